"""`idiff data doctor` tells the way from raw images to an epoch, and finds images that are there twice."""

import io

import cv2
import numpy as np
import pytest
from PIL import Image

from idiff.cli import main
from idiff.curation.near_duplicates import alike, looks_of
from idiff.data.build.builder import build
from idiff.data.shards.reader import ShardSet
from idiff.data.sources import RawSample, Source
from idiff.errors import BadSampleError


def scene(seed):
    """A smooth image of random colors with a few things in it."""
    rng = np.random.default_rng(seed)
    picture = cv2.resize(rng.integers(0, 256, (6, 8, 3), dtype=np.uint8), (80, 60), interpolation=cv2.INTER_CUBIC)
    for _ in range(4):
        x, y = rng.integers(0, 60), rng.integers(0, 40)
        picture[y : y + 15, x : x + 15] = rng.integers(0, 256, 3)
    return picture


def jpeg(picture, quality):
    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, "JPEG", quality=quality)
    return stream.getvalue()


class Given(Source):
    """Images by key; those that are texts are reasons to leave a sample out."""

    tasks = ("segmentation",)

    def __init__(self, images):
        self.images = list(images.items())

    def meta(self):
        return {"classes": ["background", "thing"]}

    def __len__(self):
        return len(self.images)

    def sample(self, index):
        key, image = self.images[index]
        if isinstance(image, str):
            raise BadSampleError(key, "label", image)
        return RawSample(key, image, {}, label=np.ones((60, 80), np.uint8) if isinstance(image, np.ndarray) else None)

    def funnel(self):
        return {"found": len(self) + 7, "with a label": len(self)}


@pytest.fixture
def made(tmp_path):
    def make(name, images):
        build(Given(images), tmp_path / name, name="given", split=name)
        return str(tmp_path / name)

    return make


def doctor(capsys, *words):
    code = main(["data", "doctor", *words])
    return code, capsys.readouterr()


def test_the_funnel_with_reasons_keys_and_remedies(made, capsys):
    bad = {f"bad{number}": f"values [{number}] have no name in /a/{number}.txt, and void is 255" for number in range(7)}
    folder = made("train", {f"good{number}": scene(number) for number in range(5)} | bad | {"odd": "cannot be decoded"})
    code, printed = doctor(capsys, folder, "--weight", "2")
    assert code == 0
    assert "20 found -> 13 with a label -> 5 usable -> 5 items (images) -> 10 drawn an epoch at weight 2" in printed.out
    assert "7 lost between 'found' and 'with a label'" in printed.out
    assert "8 left out" in printed.out
    assert (
        "7 x label: values … have no name in …, and void is …: bad0, bad1, bad2, bad3, bad4 and 2 more" in printed.out
    )
    assert "remedy: Correct the list of classes, or the map. Then build again." in printed.out
    assert "1 x label: cannot be decoded: odd" in printed.out
    assert "near duplicates: none" in printed.out


def test_near_duplicates_of_a_set_are_named(made, capsys):
    again = cv2.resize(scene(1), (40, 30), interpolation=cv2.INTER_AREA)
    images = {f"k{number}": jpeg(scene(number), 95) for number in range(20)}
    code, printed = doctor(capsys, made("train", images | {"small": jpeg(again, 90), "worse": jpeg(scene(2), 30)}))
    assert code == 0  # a note: nothing is scored that was trained on
    assert "near duplicates: 2 pairs look alike: k1 = small, k2 = worse" in printed.out


def test_leaks_between_sets_are_found(made, capsys):
    train = made("train", {f"k{number}": jpeg(scene(number), 95) for number in range(8)})
    val = made("val", {"same": jpeg(scene(3), 95), "again": jpeg(scene(4), 50), "new": jpeg(scene(99), 95)})
    code, printed = doctor(capsys, train, val)
    assert code == 1
    assert "LEAK: 1 images are in both: k3 = same" in printed.out
    assert f"remedy: idiff data filter {train} --without {val}" in printed.out
    assert "LEAK: 1 pairs look alike: k4 = again" in printed.out
    test = made("test", {"other": jpeg(scene(77), 95)})
    code, printed = doctor(capsys, train, test)
    assert code == 0 and "no image is in both" in printed.out


def test_one_set_under_two_names(made, capsys):
    images = {"a": scene(1)}
    one, two = made("train", images), made("again", images)
    code, printed = doctor(capsys, one, two)
    assert code == 1 and "LEAK" in printed.out


def test_a_thing_in_one_image_alone_tells_two_images_apart(made):
    wall = np.full((60, 80, 3), 128, np.uint8) + np.linspace(0, 60, 80).astype(np.uint8)[None, :, None]
    with_thing = wall.copy()
    with_thing[20:30, 30:40] = 0
    shards = ShardSet.open(made("train", {"wall": wall, "thing": with_thing, "copy": wall // 1}))
    assert alike(looks_of(shards, most=10)) == [(0, 2)]


def test_of_a_large_set_a_part_is_looked_at(made, capsys):
    code, printed = doctor(capsys, made("train", {f"k{number}": scene(number) for number in range(9)}), "--most", "4")
    assert code == 0 and "looked at 4 of 9 images" in printed.out


@pytest.mark.parametrize(
    ("words", "said"),
    [(["nowhere"], "expected a folder of shards"), (["a", "a"], "named twice"), (["a", "--most", "0"], "1 or more"),
     ([], "required: DIR"), (["a", "--weight", "x"], "invalid")],
)  # fmt: skip
def test_wrong_words(words, said, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, printed = doctor(capsys, *words)
    assert code == 2 and said in printed.err
