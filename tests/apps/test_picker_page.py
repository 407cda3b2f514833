"""The picker as people meet it: a real browser, a real server, keys, and servers that die."""

import json
import re
import signal

import pytest
from browser import start_browser
from candidate_folders import write_candidates
from picker_server import Server, wait_for

pytest.importorskip("fastapi", reason="the picker needs the extra idiff[serve]")

from idiff.alignment.picks import PickJournal
from idiff.apps.picker_samples import shuffled

SAMPLES, CANDIDATES = 5, 12
ENTER, SPACE, LEFT, RIGHT, ESCAPE, TAB = "\ue007", " ", "\ue012", "\ue014", "\ue00c", "\ue004"


@pytest.fixture(scope="module")
def driver(tmp_path_factory):
    driver = start_browser(tmp_path_factory.mktemp("profile"))
    yield driver
    driver.quit()


class Page:
    """What a person does and sees."""

    def __init__(self, driver, server):
        self.driver, self.server = driver, server

    def open(self, query=""):
        self.driver.get(self.server.address + query)
        return self

    def ready(self):
        """Wait until a sample and all its images are there."""
        wait_for(lambda: self.run("return current() !== undefined && seen()"))
        return self

    def run(self, script):
        return self.driver.execute_script(script)

    def text(self, name):
        return self.driver.find_element("id", name).get_attribute("textContent")

    def press(self, *keys):
        from selenium.webdriver import ActionChains

        for key in keys:
            wait_for(lambda: self.run("return !current() || seen()"))
            ActionChains(self.driver, duration=0).send_keys(key).perform()
        return self

    def candidate(self, place):
        return self.driver.find_elements("css selector", ".candidate")[place]

    def says(self, name, part):
        wait_for(lambda: part in self.text(name))


@pytest.fixture
def server(tmp_path):
    server = Server(write_candidates(tmp_path / "set", samples=SAMPLES, candidates=CANDIDATES))
    server.start()
    yield server
    server.process.kill()
    server.process.communicate()


@pytest.fixture
def page(driver, server):
    driver.get_log("browser")
    return Page(driver, server)


def labelled(place, *, sample, annotator="anna"):
    """The true index of the candidate that a person sees at a place, from 0."""
    return shuffled(CANDIDATES, annotator=annotator, sample=f"{sample:06d}")[place]


def decided(server, annotator="anna"):
    """Sample number -> chosen indices, as the journal has it."""
    return {int(sample): one.chosen for sample, one in PickJournal(server.folder, annotator).decisions().items()}


def test_nothing_is_lost_when_the_server_dies(page, server):
    page.open("?annotator=anna").ready().says("where", "Sample 1 of 5 · not decided")
    page.press("2", "b", ENTER).says("where", "Sample 2 of 5")
    page.press("n").says("where", "Sample 3 of 5")
    page.says("saved", "✓ All saved")
    first = (labelled(1, sample=0), labelled(10, sample=0))
    assert decided(server) == {0: first, 1: ()}

    page.press("u").says("where", "Sample 2 of 5 · not decided")
    page.says("saved", "✓ All saved")
    assert decided(server) == {0: first}
    page.driver.refresh()
    page.ready().says("where", "Sample 2 of 5")

    server.stop(signal.SIGKILL)
    page.press("3", SPACE).says("where", "Sample 3 of 5")
    page.press("0").says("where", "Sample 4 of 5")
    page.says("saved", "2 not saved yet: the server does not answer; trying again")
    page.says("done", "3 of 5 decided")
    assert decided(server) == {0: first}

    server.start()
    page.says("saved", "✓ All saved")
    assert decided(server) == {0: first, 1: (labelled(2, sample=1),), 2: ()}
    page.press("1", ENTER).says("where", "Sample 5 of 5")
    page.press("5", "4", ENTER).says("note", "All 5 samples are decided")
    page.says("saved", "✓ All saved")
    page.driver.refresh()
    page.ready().says("done", "5 of 5 decided")
    assert decided(server)[4] == (labelled(4, sample=4), labelled(3, sample=4))
    lines = [json.loads(line) for line in (server.folder / "picks" / "anna.jsonl").read_text().splitlines()]
    assert [(int(line["sample"]), line["action"]) for line in lines] == [
        (0, "pick"), (1, "pick"), (1, "undo"), (1, "pick"), (2, "pick"), (3, "pick"), (4, "pick"),
    ]  # fmt: skip
    assert all(0 < line["seconds"] < 60 for line in lines)


def test_a_page_that_is_closed_meanwhile_sends_later(page, server):
    page.open("?annotator=anna").ready()
    server.stop(signal.SIGKILL)
    page.press("1", ENTER)
    page.says("saved", "1 not saved yet")
    page.driver.get("about:blank")
    server.start()
    page.open().ready().says("where", "Sample 2 of 5")  # the name, too, was kept
    page.says("saved", "✓ All saved")
    assert decided(server) == {0: (labelled(0, sample=0),)}


def test_an_answer_that_is_lost_is_no_second_decision(page, server):
    page.open("?annotator=anna").ready()
    page.run(
        "const real = window.fetch; let lost = 0;"
        "window.fetch = async (...what) => { const reply = await real(...what);"
        " if (what[1]?.method === 'POST' && !lost++) throw new TypeError('lost'); return reply; };"
    )
    page.press("1", ENTER, "2", ENTER).says("where", "Sample 3 of 5")
    page.says("saved", "✓ All saved")
    assert len(PickJournal(server.folder, "anna").history()) == 2
    assert decided(server) == {0: (labelled(0, sample=0),), 1: (labelled(1, sample=1),)}


def test_two_people_at_once(page, server):
    tabs = [page.driver.current_window_handle]
    page.open("?annotator=anna").ready()
    page.driver.switch_to.new_window("tab")
    tabs.append(page.driver.current_window_handle)
    page.open("?annotator=ben").ready()
    for place, tab in enumerate([*tabs, *tabs]):
        page.driver.switch_to.window(tab)
        page.press(f"{place + 1}", ENTER).says("done", f"{place // 2 + 1} of 5")
        page.says("saved", "✓ All saved")
    page.driver.refresh()
    page.ready().says("others", "Others: anna 2")
    page.driver.close()
    page.driver.switch_to.window(tabs[0])
    assert decided(server) == {0: (labelled(0, sample=0),), 1: (labelled(2, sample=1),)}
    assert decided(server, "ben") == {
        0: (labelled(1, sample=0, annotator="ben"),),
        1: (labelled(3, sample=1, annotator="ben"),),
    }


def test_the_name_is_asked_for_and_checked(page, server):
    page.open()
    page.run("localStorage.clear()")
    page.open()
    wait_for(lambda: page.run("return $('ask').open"))
    page.press(ESCAPE, ESCAPE)
    wait_for(lambda: page.run("return $('ask').open"))
    page.press("a b", ENTER).says("wrong", "Use 1 to 64 letters")
    page.run("$('name').value = ''")
    page.press("carla-2", ENTER).ready()
    assert page.driver.current_url.endswith("?annotator=carla-2")
    page.press("1", ENTER).says("saved", "✓ All saved")
    assert list(decided(server, "carla-2")) == [0]


def test_mouse_zoom_walk_and_changes_of_mind(page, server):
    from selenium.webdriver import ActionChains

    page.open("?annotator=anna").ready()
    page.press(ENTER).says("note", "Choose one or two, or press 0")
    page.candidate(3).click()
    page.candidate(0).click()
    page.candidate(7).click()
    page.says("note", "Two are chosen already: take out 4 or 1 first")
    page.candidate(3).click()
    assert page.candidate(0).get_attribute("aria-label") == "Candidate 1, chosen: 1st"
    ActionChains(page.driver, duration=0).move_to_element(page.candidate(5)).perform()
    page.says("looking", "Candidate 6")
    assert page.run("return $('look').src") == page.candidate(5).find_element("tag name", "img").get_attribute("src")

    page.press("z")
    assert page.run("return $('zoom').open && $('zoom-look').clientWidth > 400")
    page.press(RIGHT).says("zoom-name", "Candidate 7")
    page.press("7").says("zoom-name", "chosen: 2nd")
    page.driver.find_element("id", "left").click()
    page.says("zoom-name", "Candidate 6")
    page.press(ESCAPE)
    assert not page.run("return $('zoom').open")

    page.press(RIGHT).says("where", "Sample 2 of 5")
    page.press(LEFT).says("looking", "Candidate 1 chosen: 1st")  # what was chosen is still there
    page.driver.find_element("id", "save").click()
    page.says("where", "Sample 2 of 5")
    page.press(LEFT).says("where", "decided: 1, 7")
    page.press("1", "7", "9", ENTER).says("saved", "✓ All saved")
    page.says("where", "Sample 2 of 5")
    assert decided(server) == {0: (labelled(8, sample=0),)}
    page.driver.find_element("id", "undo").click()
    page.says("saved", "✓ All saved")
    assert decided(server) == {}


def test_the_zoom_can_stay_open(page, server):
    page.open("?annotator=anna").ready()
    page.press("z", RIGHT, "2", ENTER).says("where", "Sample 2 of 5")
    page.says("zoom-name", "Candidate 1")
    page.press("0", "z").says("where", "Sample 3 of 5")
    assert not page.run("return $('zoom').open")
    page.says("saved", "✓ All saved")
    assert decided(server) == {0: (labelled(1, sample=0),), 1: ()}


def test_what_has_the_focus_is_pressed_by_space(page, server):
    page.open("?annotator=anna").ready()
    page.run("$('more').focus()")
    page.press(TAB, TAB, TAB, SPACE).says("looking", "Candidate 3 chosen: 1st")
    assert page.run("return getComputedStyle(document.activeElement).outlineStyle") == "solid"
    page.press(ENTER).says("saved", "✓ All saved")
    assert decided(server) == {0: (labelled(2, sample=0),)}
    page.run("$('none').focus()")
    page.press(SPACE).says("where", "Sample 3 of 5")
    page.press("?")
    assert page.run("return $('help').open")
    page.press("1", "0", ESCAPE).says("done", "2 of 5")  # no decision behind the help
    assert not page.run("return $('help').open")


def test_it_fits_the_screen_and_loads_nothing_from_elsewhere(page, server, tmp_path):
    page.open("?annotator=anna").ready()
    inner = "return [document.documentElement.scrollHeight <= innerHeight, $('grid').scrollHeight <= $('grid').clientHeight]"
    assert page.run(inner) == [True, True]
    size = page.run("const img = document.querySelector('.candidate img'); return [img.clientWidth, img.naturalWidth]")
    assert (size[1], size[0] % size[1]) == (32, 0)
    assert size[0] >= 128
    assert page.run("return getComputedStyle(document.querySelector('.candidate img')).imageRendering") == "pixelated"
    page.run("$('size').value = 64; $('size').oninput()")
    assert page.run("return document.querySelector('.candidate img').clientWidth") == 64
    loaded = page.run("return performance.getEntriesByType('resource').map(one => one.name)")
    assert loaded
    assert all(name.startswith(server.address) for name in loaded)
    assert page.driver.get_log("browser") == []


LONG = (
    "Make the small green hexagon that lies behind the large violet crescent blue, and leave everything else as it is. "
    * 4
)


@pytest.mark.parametrize(("width", "height"), [(390, 844), (320, 568), (844, 390), (1280, 800)])
@pytest.mark.parametrize("sentence", [LONG, "x" * 400])
def test_the_sentence_is_never_cut(page, server, width, height, sentence):
    for path in (server.folder / "samples").glob("*/sample.json"):
        path.write_text(re.sub('"instruction": "[^"]*"', f'"instruction": "{sentence}"', path.read_text()))
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 700}
    page.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    try:
        page.open("?annotator=anna").ready()
        assert page.text("instruction").strip() == sentence.strip()
        seen = page.run("""
          const h1 = $("instruction"), box = h1.getBoundingClientRect(), page = document.documentElement;
          return [h1.scrollHeight <= h1.clientHeight, h1.scrollWidth <= h1.clientWidth, box.left >= 0, box.right <= innerWidth,
                  page.scrollWidth <= innerWidth, getComputedStyle(h1).overflow, $("grid").clientHeight >= 100,
                  box.bottom + scrollY <= page.scrollHeight]""")
        assert seen == [True, True, True, True, True, "visible", True, True]
        page.run("document.querySelector('.candidate').click()")
        wait_for(lambda: page.run("return chosen.length") == 1)
    finally:
        page.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_what_the_server_refuses_stays_in_the_browser(page, server):
    page.open("?annotator=anna").ready()
    path = server.folder / "samples" / "000000" / "sample.json"
    path.write_text(re.sub('"instruction": "', '"instruction": "Please: ', path.read_text()))
    page.press("1", ENTER).says("saved", "✗ 1 refused: the images of sample 000000 have changed")
    page.press("1", ENTER)
    wait_for(lambda: list(decided(server)) == [1])
    wait_for(lambda: page.run("return pending().length") == 1)
    page.driver.refresh()
    page.ready().says("where", "Sample 1 of 5 · not decided")
    page.says("saved", "✗ 1 refused")
    page.press("2", ENTER).says("where", "Sample 3 of 5")
    page.says("saved", "✓ All saved")
    assert (decided(server)[0], page.run("return pending().length")) == ((labelled(1, sample=0),), 0)
