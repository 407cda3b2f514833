"""The picker's server: what it tells, what it writes, and what it refuses."""

import json
import re
import shutil

import pytest
from candidate_folders import write_candidates

pytest.importorskip("fastapi", reason="the picker needs the extra idiff[serve]")
from starlette.testclient import TestClient

from idiff.alignment.candidates import CandidateFolder
from idiff.alignment.picks import PickJournal
from idiff.apps.picker import MAX_BODY, create_app
from idiff.apps.picker_samples import shuffled
from idiff.errors import ConfigError

TIME = "2026-01-02T03:04:05.678Z"
OURS = {"X-Idiff": "test"}


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    return write_candidates(tmp_path_factory.mktemp("candidates") / "set", samples=3, candidates=5)


@pytest.fixture
def folder(written, tmp_path):
    """A copy that a test may write to."""
    return shutil.copytree(written, tmp_path / "set")


@pytest.fixture
def client(folder):
    return TestClient(create_app(CandidateFolder.open(folder)), base_url="http://127.0.0.1:8765")


def state_of(client, name="anna"):
    reply = client.get("/api/state", params={"annotator": name})
    assert reply.status_code == 200
    return reply.json()


def decision(client, **changes):
    sample = state_of(client)["samples"][0]
    return {
        "annotator": "anna", "sample": sample["sample"], "version": sample["version"], "chosen": [3, 1],
        "action": "pick", "seconds": 1.25, "time": TIME, **changes,
    }  # fmt: skip


def send(client, value, **more):
    return client.post("/api/decisions", json=value, headers=OURS | more)


def test_state_tells_samples_words_and_order(client, folder):
    state = state_of(client)
    facts = json.loads((folder / "samples" / "000001" / "sample.json").read_text())
    assert [sample["sample"] for sample in state["samples"]] == ["000000", "000001", "000002"]
    assert state["samples"][1]["instruction"] == facts["instruction"]
    assert all(sorted(sample["order"]) == list(range(5)) for sample in state["samples"])
    assert (state["decisions"], state["others"], state["total"], state["damaged"]) == ([], {}, 3, 0)


def test_order_depends_on_the_annotator_and_the_sample_alone():
    orders = {(who, sample): tuple(shuffled(20, annotator=who, sample=sample)) for who in "ab" for sample in "cde"}
    assert len(set(orders.values())) == 6
    assert orders["a", "c"] == tuple(shuffled(20, annotator="a", sample="c"))
    firsts = [shuffled(5, annotator="a", sample=str(n))[0] for n in range(2000)]
    assert all(firsts.count(index) == pytest.approx(400, abs=90) for index in range(5))  # 5 standard deviations


def test_a_decision_is_in_the_journal_when_it_is_answered(client, folder):
    reply = send(client, decision(client))
    assert (reply.status_code, reply.json()) == (200, {"saved": True, "new": True})
    line = json.loads((folder / "picks" / "anna.jsonl").read_text())
    assert (line["sample"], line["chosen"], line["seconds"], line["action"]) == ("000000", [3, 1], 1.25, "pick")
    assert state_of(client)["decisions"] == [
        {"sample": "000000", "chosen": [3, 1], "time": "2026-01-02T03:04:05.678+00:00"}
    ]


def test_sending_twice_writes_once(client, folder):
    assert send(client, decision(client)).json()["new"]
    assert send(client, decision(client)).json() == {"saved": True, "new": False}
    assert len(PickJournal(folder, "anna").history()) == 1


def test_undo_takes_back(client):
    send(client, decision(client))
    reply = send(client, decision(client, action="undo", chosen=[], time="2026-01-02T03:04:06Z"))
    assert reply.status_code == 200
    assert state_of(client)["decisions"] == []


def test_annotators_see_each_others_counts_only(client):
    send(client, decision(client))
    send(client, decision(client, annotator="ben", chosen=[]))
    send(client, decision(client, annotator="ben", sample="000002", version=state_of(client)["samples"][2]["version"]))
    assert state_of(client)["others"] == {"ben": 2}
    assert client.get("/api/progress", params={"annotator": "ben"}).json()["others"] == {"anna": 1}
    assert client.get("/api/hello").json()["annotators"] == ["anna", "ben"]


def test_samples_written_later_appear(client, folder):
    (folder / "samples" / "000001" / "sample.json").rename(folder / "later.json")
    assert len(state_of(client)["samples"]) == 2
    (folder / "later.json").rename(folder / "samples" / "000001" / "sample.json")
    assert len(state_of(client)["samples"]) == 3


def test_a_damaged_sample_is_left_out_and_counted(client, folder, caplog):
    (folder / "samples" / "000001" / "sample.json").write_text("{")
    state = state_of(client)
    assert [sample["sample"] for sample in state["samples"]] == ["000000", "000002"]
    assert (state["total"], state["damaged"]) == (2, 1)
    assert "sample.json is damaged" in caplog.text


def test_pictures_are_served_by_number(client, folder):
    version = state_of(client)["samples"][0]["version"]
    reply = client.get("/pictures/000000/3", params={"v": version})
    assert reply.content == (folder / "samples" / "000000" / "candidate_03.png").read_bytes()
    assert (reply.headers["content-type"], "immutable" in reply.headers["cache-control"]) == ("image/png", True)
    assert client.get("/pictures/000000/3?v=old").headers["cache-control"] == "no-store"
    assert client.get("/pictures/000000/source").content == (folder / "samples/000000/source.png").read_bytes()


@pytest.mark.parametrize(
    "path",
    [
        "/pictures/000000/5",
        "/pictures/000000/-1",
        "/pictures/000000/03",
        "/pictures/000000/target",
        "/pictures/000000/target.png",
        "/pictures/000000/sample.json",
        "/pictures/000000/",
        "/pictures/000000",
        "/pictures/",
        "/pictures/000009/0",
        "/pictures/../0",
        "/pictures/%2e%2e/source",
        "/pictures/%2e%2e%2f%2e%2e/source",
        "/pictures/000000/%2e%2e%2f%2e%2e%2falign.json",
        "/pictures/000000%00/source",
        "/pictures/" + "1" * 3000 + "/source",
        "/align.json",
        "/picks/anna.jsonl",
        "/samples/000000/source.png",
        "/docs",
        "/openapi.json",
    ],
)
def test_nothing_else_is_served(client, folder, path):
    PickJournal(folder, "anna").append("000000", [1])
    reply = client.get(path)
    assert reply.status_code == 404
    assert set(reply.json()) == {"error"}


@pytest.mark.parametrize("file", ["../../align.json", "/etc/passwd", "..", "a/b.png", "sample.json"])
def test_a_sample_cannot_name_files_elsewhere(client, folder, file):
    path = folder / "samples" / "000001" / "sample.json"
    facts = json.loads(path.read_text())
    facts["candidates"][0]["file"] = file
    path.write_text(json.dumps(facts))
    assert client.get("/pictures/000001/0").status_code == 404
    assert state_of(client)["damaged"] == 1


@pytest.mark.parametrize(
    "linked", ["samples", "samples/000000", "samples/000000/sample.json", "samples/000000/source.png"]
)
def test_links_in_the_folder_are_not_followed(client, folder, linked):
    place = folder / linked
    outside = folder.parent / "outside"
    place.rename(outside)
    place.symlink_to(outside)
    reply = client.get("/pictures/000000/source")
    assert reply.status_code in {404, 500} and b"PNG" not in reply.content


@pytest.mark.parametrize("linked", ["picks", "picks/anna.jsonl"])
def test_decisions_are_not_written_through_links(client, folder, linked):
    outside = folder.parent / "outside"
    outside.mkdir() if linked == "picks" else outside.write_bytes(b"")
    value = decision(client)
    (folder / linked).parent.mkdir(exist_ok=True)
    (folder / linked).symlink_to(outside)
    reply = send(client, value)
    assert reply.status_code == 500 and "it is a link, which is not followed" in reply.text
    assert not (list(outside.iterdir()) if linked == "picks" else outside.read_bytes())


def test_a_picture_that_was_changed_is_not_shown(client, folder):
    (folder / "samples" / "000000" / "candidate_00.png").write_bytes(b"no image")
    reply = client.get("/pictures/000000/0")
    assert reply.status_code == 500
    assert "SHA-256 differs" in reply.json()["error"]


@pytest.mark.parametrize(
    "host", ["example.com", "example.com:8765", "127.0.0.1.example.com", "", "10.0.0.1:8765", "[::1]:8765"]
)
@pytest.mark.parametrize("path", ["/", "/api/state?annotator=anna", "/pictures/000000/0"])
def test_other_hosts_are_refused(client, host, path):
    assert client.get(path, headers={"Host": host}).status_code == 400


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.1:8765", "localhost:1234", "LOCALHOST"])
def test_this_host_is_served(client, host):
    assert client.get("/", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"Content-Type": "application/json"}, 403),
        ({"Content-Type": "text/plain", **OURS}, 415),
        ({"Content-Type": "application/x-www-form-urlencoded", **OURS}, 415),
        ({**OURS}, 415),
        ({"Content-Type": "application/json", **OURS, "Origin": "http://example.com"}, 403),
        ({"Content-Type": "application/json", **OURS, "Origin": "http://127.0.0.1:9999"}, 403),
        ({"Content-Type": "application/json", **OURS, "Origin": "null"}, 403),
    ],
)
def test_other_sites_cannot_decide(client, folder, headers, code):
    body = json.dumps(decision(client))
    assert client.post("/api/decisions", content=body, headers=headers).status_code == code
    assert not (folder / "picks").exists()


def test_our_own_page_can_decide(client):
    headers = {"Content-Type": "application/json; charset=utf-8", "Origin": "http://127.0.0.1:8765"}
    assert send(client, decision(client), **headers).status_code == 200


def test_no_site_is_allowed_to_ask(client):
    reply = client.options(
        "/api/decisions", headers={"Origin": "http://example.com", "Access-Control-Request-Method": "POST"}
    )
    assert reply.status_code == 405
    assert not [name for name in reply.headers if name.startswith("access-control")]


def test_long_bodies_are_cut_off(client, folder):
    headers = {"Content-Type": "application/json", **OURS}
    body = json.dumps(decision(client)).encode()
    padded = body + b" " * (MAX_BODY - len(body) + 1)
    assert client.post("/api/decisions", content=padded, headers=headers).status_code == 413
    assert client.post("/api/decisions", content=(b" " * 1024 for _ in range(100)), headers=headers).status_code == 413
    assert not (folder / "picks").exists()
    assert client.post("/api/decisions", content=padded[:-1], headers=headers).status_code == 200


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[" * 4000, b"[]", b"3", b"null", b'"x"', b"{}"])
def test_bodies_that_mean_nothing_are_refused(client, body):
    reply = client.post("/api/decisions", content=body, headers={"Content-Type": "application/json", **OURS})
    assert reply.status_code == 400
    assert reply.json()["error"]


@pytest.mark.parametrize(
    ("changes", "code", "reason"),
    [
        ({"annotator": "../x"}, 400, "annotator"),
        ({"annotator": 3}, 400, "annotator"),
        ({"sample": "000009"}, 404, "no sample"),
        ({"sample": "../000000"}, 404, "no sample"),
        ({"sample": 0}, 400, "sample is 0"),
        ({"chosen": [5]}, 400, "has 5 candidates"),
        ({"chosen": [0, 1, 2]}, 400, "at most 2"),
        ({"chosen": "01"}, 400, "chosen is"),
        ({"version": "old"}, 409, "have changed"),
        ({"version": None}, 409, "have changed"),
        ({"time": "now"}, 400, "time is"),
        ({"seconds": None}, 400, "seconds is"),
        ({"action": ["pick"]}, 400, "action is"),
    ],
)
def test_decisions_that_cannot_be_used_are_refused(client, folder, changes, code, reason):
    reply = send(client, decision(client, **changes))
    assert (reply.status_code, reason in reply.json()["error"]) == (code, True), reply.text
    assert not (folder / "picks").exists()


def test_another_picture_is_another_version(client, folder):
    value = decision(client)
    path = folder / "samples" / "000000" / "sample.json"
    facts = json.loads(path.read_text())
    facts["candidates"][0]["sha256"] = "1" * 64
    path.write_text(json.dumps(facts))
    assert send(client, value).status_code == 409


def test_a_journal_that_cannot_be_written_may_be_tried_again(client, folder):
    value = decision(client)
    (folder / "picks").write_text("a file")
    reply = send(client, value)
    assert reply.status_code == 500
    assert "cannot be written" in reply.json()["error"]
    (folder / "picks").unlink()
    assert send(client, value).json() == {"saved": True, "new": True}


def test_names_are_checked(client, folder):
    for name in ("", "../x", "a b", "x" * 65):
        assert client.get("/api/state", params={"annotator": name}).status_code == 400
    assert client.get("/api/state").status_code == 400
    with pytest.raises(ConfigError, match="expected 1 to 64 letters"):
        create_app(CandidateFolder.open(folder), annotator="a/b")


def test_the_page_runs_only_its_own_script(client):
    reply, style, script = (client.get(f"/{name}") for name in ("", "picker.css", "picker.js"))
    policy = dict(part.split(" ", 1) for part in reply.headers["content-security-policy"].split("; "))
    assert policy["default-src"] == "'none'" and set(policy.values()) == {"'none'", "'self'"}
    assert {name for name, source in policy.items() if source == "'self'"} == {
        "script-src", "style-src", "img-src", "connect-src",
    }  # fmt: skip
    assert re.findall(r'<(?:script|link)[^>]*(?:src|href)="([^"]+)"', reply.text) == ["picker.css", "picker.js"]
    assert re.findall(r"\son\w+=|\sstyle=|<style|<script>", reply.text) == []
    assert re.findall(r"@import|url\(", style.text) == []
    for part, kind in ((reply, "text/html"), (style, "text/css"), (script, "javascript")):
        assert re.findall(r"https?://", part.text) == []
        assert kind in part.headers["content-type"] and part.headers["cache-control"] == "no-store"


def test_every_answer_carries_the_headers(client):
    for path in ("/", "/api/hello", "/pictures/000000/0", "/nothing", "/favicon.ico"):
        headers = client.get(path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        assert headers["cross-origin-resource-policy"] == "same-origin"
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert client.get("/", headers={"Host": "example.com"}).headers["x-frame-options"] == "DENY"
