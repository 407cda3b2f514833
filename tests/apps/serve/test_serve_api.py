"""The API of `idiff serve`: answers, files, jobs, limits and refusals."""

import io
import json

import numpy as np
import pytest
from picker_server import wait_for
from PIL import Image

pytest.importorskip("prometheus_client", reason="idiff serve needs the extra idiff[serve]")
pytest.importorskip("multipart", reason="idiff serve needs the extra idiff[serve]")

from pycocotools.mask import decode
from starlette.testclient import TestClient

from idiff import Answer, Pipeline
from idiff.apps.guard import Gate
from idiff.apps.serve.api import create_api
from idiff.apps.serve.app import POLICY
from idiff.apps.serve.asking import Asker, _shown, weigh
from idiff.apps.serve.engine import Engine
from idiff.apps.serve.limits import Limits
from idiff.apps.serve.metrics import Metrics

LIMITS = Limits(bytes=200_000, pixels=90_000, sentences=3, letters=60, steps=8, size=128, seconds=20)


@pytest.fixture(scope="module")
def served():
    metrics = Metrics()
    asker = Asker(Pipeline("tiny"), limits=LIMITS, metrics=metrics)
    engine = Engine(asker.answer, weigh=weigh, limits=LIMITS, metrics=metrics)
    app = create_api(engine, asker)
    yield app, TestClient(Gate(app, limit=LIMITS.bytes + 10_000, policy=POLICY), base_url="http://127.0.0.1"), engine
    engine.close()


@pytest.fixture
def client(served):
    return served[1]


def png(width, height):
    pixels = np.random.default_rng(0).integers(0, 255, (height, width, 3)).astype(np.uint8)
    kept = io.BytesIO()
    Image.fromarray(pixels).save(kept, format="PNG")
    return kept.getvalue()


def test_sentences_choose_their_tasks_and_bring_files(client):
    texts = ["the red star", "Make the red star blue.", "left hand, right hand"]
    reply = client.post("/api/answers", data={"example": "objects", "text": texts, "steps": "4"})
    assert reply.status_code == 200
    answers = reply.json()["answers"]
    assert [each["command"] for each in answers] == ["segment", "edit", "keypoints"]
    found, edited, _ = answers
    assert found["score"] > 0.5 and edited["score"] is None and edited["pixels"] is None
    files = {name: client.get(address).content for name, address in found["files"].items()}
    mask = np.asarray(Image.open(io.BytesIO(files["mask.png"])))
    assert mask.shape == (64, 64) and (mask > 0).sum() == found["pixels"] > 50
    (entry,) = json.loads(files["results.json"])
    assert np.array_equal(decode(entry["segmentation"]) > 0, mask > 0)
    assert min(Image.open(io.BytesIO(files["answer.png"])).size) >= 512
    assert Image.open(io.BytesIO(client.get(edited["files"]["answer.png"]).content)).size == (64, 64)
    assert set(edited["files"]) == {"answer.png", "compare.png", "painted.png"}
    assert client.get(found["files"]["mask.png"].replace("/0/", "/2/")).status_code == 404


def test_what_a_task_stores_is_a_file_of_the_answer():
    picture = np.full((20, 30, 3), 99, np.uint8)
    stored = {"_depth.png": np.full((20, 30), 1234, np.uint16)}
    answer = Answer("depth", ["x"], picture, picture, 1.0, values=np.ones((20, 30), np.float32), stored=stored)
    files = _shown(answer, "depth", "depth", seconds=1.0).files
    assert set(files) == {"answer.png", "depth.png", "compare.png", "painted.png"}
    assert (np.asarray(Image.open(io.BytesIO(files["depth.png"]))) == 1234).all()


def test_the_same_question_has_the_same_answer_and_another_seed_another(client):
    def painted(**fields):
        reply = client.post("/api/answers", data={"example": "objects", "text": "Make the red star blue.", **fields})
        return client.get(reply.json()["answers"][0]["files"]["answer.png"]).content

    assert painted(seed="1") == painted(seed="1") != painted(seed="2")
    assert painted(steps="1") != painted(steps="8") != painted(steps="8", guidance_text="4")
    assert painted(size="96") != painted()


def test_a_job_is_looked_at_and_cancelled(served):
    _, client, _ = served
    ask = {"example": "noisy", "text": ["denoise"]}
    job = client.post("/api/jobs", data=ask)
    assert job.status_code == 202
    address = f"/api/jobs/{job.json()['id']}"
    wait_for(lambda: client.get(address).json()["state"] == "done")
    assert client.get(address).json()["answers"][0]["line"].startswith("denoise: a new image of")
    assert client.delete(address).json()["state"] == "done"
    slow = {"example": "objects", "text": ["the red star"] * 3, "steps": "8", "size": "128"}
    many = [client.post("/api/jobs", data=slow).json()["id"] for _ in range(8)]
    assert client.delete(f"/api/jobs/{many[-1]}").json()["state"] == "cancelled"
    for key in many:
        client.delete(f"/api/jobs/{key}")
    wait_for(lambda: client.get("/health").json() == {"status": "ok", "waiting": 0, "running": 0})


@pytest.mark.parametrize(
    ("fields", "picture", "status", "says"),
    [
        ({"text": "the star"}, b"no image", 422, "cannot be decoded: starts with b'no image'"),
        ({"text": "the star"}, png(64, 64)[:2000], 422, "the image cannot be used"),
        ({"text": "the star"}, png(400, 300), 413, "the request has more than"),
        ({"text": "the star"}, b"\x89PNG\r\n\x1a\n", 422, "the image cannot be used"),
        ({"text": "the star", "steps": "9"}, png(9, 9), 422, "steps: Input should be less than or equal to 8."),
        ({"text": "x" * 61}, png(9, 9), 422, "61 letters in a sentence: expected at most 60."),
        ({"text": ["a", "b", "c", "d"]}, png(9, 9), 422, "4 sentences: expected at most 3."),
        ({"text": " "}, png(9, 9), 422, "there is no sentence"),
        ({"text": "the star", "task": "depht"}, png(9, 9), 422, "unknown task 'depht'"),
        ({"text": "the star", "size": "65"}, png(9, 9), 422, "is no multiple of"),
        ({"text": "the star", "guidance_text": "nan"}, png(9, 9), 422, "guidance_text"),
        ({"text": "the star", "example": "object"}, None, 422, "did you mean 'objects'?"),
        ({"text": "the star", "example": "objects"}, png(9, 9), 422, "one of the two"),
        ({"text": "the star"}, None, 422, "one of the two"),
        ({"text": "colorize", "task": "restore"}, png(9, 9), 422, "restore knows no 'colorize'"),
    ],
)
def test_what_cannot_be_answered_is_refused_in_a_sentence(client, fields, picture, status, says):
    reply = client.post("/api/answers", data=fields, files=None if picture is None else {"picture": ("p.png", picture)})
    assert (reply.status_code, says in reply.json()["error"]) == (status, True), reply.text
    assert set(reply.json()) == {"error"} and "Traceback" not in reply.text


def test_an_image_of_too_many_pixels_is_refused_by_its_header(client):
    flat = io.BytesIO()
    Image.new("RGB", (3000, 3000)).save(flat, format="PNG")
    reply = client.post("/api/answers", data={"text": "a"}, files={"picture": ("p.png", flat.getvalue())})
    assert reply.status_code == 422 and "3000" in reply.json()["error"]


def test_other_hosts_and_other_sites_are_refused(client):
    assert client.get("/health", headers={"Host": "evil.example"}).status_code == 400
    assert client.get("/health", headers={"Host": "localhost:99"}).status_code == 200
    ask = {"data": {"example": "objects", "text": "the red star"}}
    for headers in ({"Origin": "http://evil.example"}, {"Sec-Fetch-Site": "cross-site"}, {"Origin": "null"}):
        assert client.post("/api/answers", headers=headers, **ask).status_code == 403
    reply = client.post("/api/answers", headers={"Origin": "http://127.0.0.1"}, **ask)
    assert reply.status_code == 200
    assert (
        reply.headers["x-frame-options"] == "DENY" and "'unsafe-eval'" not in reply.headers["content-security-policy"]
    )


def test_a_body_without_a_length_ends_at_the_limit(client):
    def endless():
        for _ in range(100):
            yield b"x" * 10_000

    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    assert client.post("/api/answers", content=endless(), headers=headers).status_code in {400, 413}


def test_metrics_count_what_happened(client):
    client.post("/api/answers", data={"example": "objects", "text": "the red star"})
    text = client.get("/metrics")
    assert text.headers["content-type"].startswith("text/plain")
    for line in (
        'idiff_questions_total{outcome="done"}',
        'idiff_answers_total{command="segment"}',
        "idiff_waiting 0.0",
    ):
        assert line in text.text
    assert client.get("/api/model").json()["commands"] == ["segment", "keypoints", "edit", "restore"]
