"""The page of `idiff serve` as people meet it: a real browser, a real server."""

import base64
import concurrent.futures
import contextlib
import io
import threading
import time
from importlib.resources import files

import pytest
from browser import start_browser
from picker_server import wait_for
from PIL import Image
from serve_server import ServeServer

for package in ("gradio", "prometheus_client"):
    pytest.importorskip(package, reason="idiff serve needs the extra idiff[serve]")

WebDriverException = pytest.importorskip("selenium.common", reason="selenium is not installed").WebDriverException

EXAMPLES = files("idiff") / "assets" / "examples"
PHONE = {"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": True}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = ServeServer(tmp_path_factory.mktemp("serve"))
    yield server
    code, out, err = server.stop()
    assert code == 0 and "ended" in out, err
    assert list(server.folder.iterdir()) == []  # nothing is written where it runs


@pytest.fixture(scope="module")
def driver(tmp_path_factory):
    driver = start_browser(tmp_path_factory.mktemp("profile"))
    yield driver
    driver.quit()


class Page:
    """What a person does and sees."""

    def __init__(self, driver, server):
        self.driver = driver
        driver.get(server.address)
        wait_for(lambda: self.find("#go"), seconds=60)

    def find(self, selector):
        found = self.driver.find_elements("css selector", selector)
        return found[0] if found else None

    def text(self, name):
        return self.driver.execute_script("return document.getElementById(arguments[0])?.innerText ?? ''", name)

    def upload(self, path):
        clear = "#picture button[aria-label*='lear'], #picture button[aria-label*='emove']"
        if self.find(clear):
            self.click(clear)
        wait_for(lambda: self.find("#picture input[type=file]")).send_keys(str(path))
        wait_for(lambda: self.find("#picture img"))

    def write(self, *lines):
        field = self.find("#text textarea")
        field.clear()
        field.send_keys("\n".join(lines))

    def set(self, name, value):
        """Type a number into a field of the settings."""
        if not self.driver.execute_script("return !!document.querySelector('#steps')?.offsetParent"):
            self.find("#settings button").click()
            wait_for(lambda: self.driver.execute_script("return !!document.querySelector('#steps')?.offsetParent"))
        field = self.find(f"#{name} input[type=number]")
        field.send_keys("\ue009a", str(value), "\ue004")

    def answer(self, *lines, says):
        self.write(*lines)
        self.press("go")
        return wait_for(lambda: (found := self.text("line")) and says in found and found, seconds=60)

    def press(self, name):
        self.driver.execute_script("document.getElementById(arguments[0]).scrollIntoView({block: 'center'})", name)
        self.click(f"#{name}")

    def click(self, selector):
        """Click as soon as nothing lies over it: a layout still moves, or a message fades."""

        def clicked():
            with contextlib.suppress(WebDriverException):
                self.find(selector).click()
                return True
            return False

        wait_for(clicked)

    def images(self, name):
        """How many images of an element are loaded."""
        script = "return [...document.querySelectorAll(`#${arguments[0]} img`)].filter(i => i.naturalWidth > 0).length"
        return self.driver.execute_script(script, name)


def test_segment_keypoints_edit_and_history(driver, server):
    page = Page(driver, server)
    assert driver.current_url == server.address
    page.upload(EXAMPLES / "objects.png")
    page.answer("the red star", "Make the red star blue.", says="segment 'the red star': ")
    wait_for(lambda: (page.images("slider"), page.images("side"), page.images("history")) == (2, 3, 2))
    links = driver.execute_script("return [...document.querySelectorAll('#files a')].map(a => [a.download, a.href])")
    assert [name for name, _ in links][:3] == ["segment_answer.png", "segment_mask.png", "segment_results.json"]
    mask = server.get(links[1][1].removeprefix(server.address))[1]
    assert Image.open(io.BytesIO(mask)).size == (64, 64)
    page.find("#history button[aria-label='Thumbnail 2 of 2']").click()
    wait_for(lambda: "edit 'Make the red star blue.'" in page.text("line"))
    assert "score" not in page.text("line")
    page.upload(EXAMPLES / "figure.png")
    page.answer("left hand, right hand", says="keypoints 'left hand, right hand': 2 found")
    assert "left wrist: x " in page.text("line")
    page.answer("<b>nose</b> $x$ **star**", says="'<b>nose</b> $x$ **star**'")  # words are words
    wait_for(lambda: page.images("history") == 4)


def test_an_example_is_one_click(driver, server):
    page = Page(driver, server)
    rows = wait_for(lambda: driver.find_elements("css selector", "#examples button.thumbnail-item"))
    wait_for(lambda: page.images("examples") == len(rows) == 4)
    driver.execute_script("arguments[0].scrollIntoView({block: 'center'})", rows[-1])
    rows[-1].click()
    wait_for(lambda: page.images("picture") and page.find("#text textarea").get_attribute("value") == "denoise")
    page.press("go")
    wait_for(lambda: page.text("line").startswith("denoise: a new image of"), seconds=60)


def test_a_question_is_cancelled(driver, server):
    page = Page(driver, server)
    page.upload(EXAMPLES / "objects.png")
    page.set("steps", 100)
    page.set("size", 256)
    page.write(*["the red star"] * 8)
    began = time.monotonic()
    page.press("go")
    wait_for(lambda: "done" in page.text("status") or "before you" in page.text("status"))
    assert page.find("#status progress")
    page.press("stop")
    wait_for(lambda: "cancelled" in page.text("status"))
    assert page.text("line") == "" and time.monotonic() - began < 30
    wait_for(lambda: b'"waiting":0,"running":0' in server.get("health")[1])


def test_broken_files_and_empty_fields_are_said_in_a_sentence(driver, server, tmp_path):
    page = Page(driver, server)
    page.write("the red star")
    page.press("go")
    wait_for(lambda: "Drop a picture first." in page.text("status"))
    broken = tmp_path / "broken.png"
    broken.write_bytes((EXAMPLES / "objects.png").read_bytes()[:900])
    page.upload(broken)
    page.press("go")
    wait_for(lambda: "The image cannot be used" in page.text("status"))
    page.upload(EXAMPLES / "objects.png")
    page.write(" ")
    page.press("go")
    wait_for(lambda: "There is no sentence" in page.text("status"))
    assert "segment" in page.answer("the red star", says="segment")
    assert page.text("status") == ""


def test_a_picture_is_pasted(driver, server):
    page = Page(driver, server)
    data = base64.b64encode((EXAMPLES / "objects.png").read_bytes()).decode()
    script = """
      const bytes = Uint8Array.from(atob(arguments[0]), c => c.charCodeAt(0)), data = new DataTransfer();
      data.items.add(new File([bytes], "pasted.png", {type: "image/png"}));
      const zone = document.querySelector("#picture button, #picture [role=button]");
      zone.dispatchEvent(new DragEvent("drop", {dataTransfer: data, bubbles: true, cancelable: true}));
    """
    driver.execute_script(script, data)
    wait_for(lambda: page.images("picture"))
    page.answer("the red star", says="segment 'the red star'")


def test_the_page_fits_a_phone_and_asks_nobody_else(driver, server):
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", PHONE)
    try:
        page = Page(driver, server)
        page.upload(EXAMPLES / "objects.png")
        page.answer("the red star", says="segment")
        wait_for(lambda: page.images("side") == 3)
        assert driver.execute_script("return document.documentElement.scrollWidth") <= PHONE["width"]
        for name in ("go", "stop", "slider", "line"):
            box = driver.execute_script(
                "const b = document.getElementById(arguments[0]).getBoundingClientRect(); return [b.left, b.right]",
                name,
            )
            assert box[0] >= 0 and box[1] <= PHONE["width"]
    finally:
        driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    asked = driver.execute_script("return performance.getEntriesByType('resource').map(each => each.name)")
    foreign = [name for name in asked if not name.startswith((server.address, "data:", "blob:"))]
    assert len(asked) > 10 and foreign == []
    wrong = [each["message"] for each in driver.get_log("browser") if "Content Security Policy" in each["message"]]
    assert wrong == []


def test_twenty_at_once_are_all_answered_and_small_clients_do_not_wait(server):
    fields = [("example", "objects"), ("steps", "20")]
    phrases = [f"the {color} star" for color in ("red", "pink", "blue", "green")]
    small, began = {}, time.monotonic()

    def once():
        time.sleep(0.3)
        small["reply"] = server.ask([("example", "objects"), ("text", "the red star")], client="small")
        small["seconds"] = time.monotonic() - began

    other = threading.Thread(target=once)
    other.start()
    with concurrent.futures.ThreadPoolExecutor(20) as pool:
        replies = list(pool.map(lambda n: server.ask([*fields, ("text", phrases[n % 4])], client="greedy"), range(20)))
    whole = time.monotonic() - began
    other.join()
    assert [status for status, _ in replies] == [200] * 20
    lines = {reply["answers"][0]["line"] for _, reply in replies}
    assert len(lines) == 4  # the same question has the same answer, whoever asks at the same time
    assert small["reply"][0] == 200 and small["seconds"] < whole


def test_files_of_the_disk_and_addresses_are_not_taken_for_uploads(server):
    import json
    import urllib.request

    config = json.loads(server.get("config")[1])
    ask = next(each["id"] for each in config["dependencies"] if len(each["inputs"]) == 9)
    for number, path in enumerate((str(EXAMPLES / "objects.png"), "/etc/passwd", f"{server.address}health")):
        data = [
            {"path": path, "meta": {"_type": "gradio.FileData"}},
            "a",
            "by the sentence",
            0,
            None,
            None,
            0,
            None,
            None,
        ]
        body = json.dumps({"data": data, "fn_index": ask, "session_hash": f"s{number}"}).encode()
        headers = {"Content-Type": "application/json"}
        urllib.request.urlopen(
            urllib.request.Request(f"{server.address}gradio_api/queue/join", body, headers), timeout=20
        )
        told = server.get(f"gradio_api/queue/data?session_hash=s{number}")[1].decode()
        assert '"success":false' in told and "segment" not in told
    for path in ("gradio_api/file=/etc/passwd", "gradio_api/file=setup.cfg", "monitoring/summary"):
        with pytest.raises(urllib.error.HTTPError):
            server.get(path)
