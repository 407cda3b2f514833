"""The same build again, after its input was repaired, corrected or cut: it is read again, and what stayed is not."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from idiff.cli import main
from idiff.data.shards.check import check
from idiff.data.shards.reader import ShardSet

CASES = Path(__file__).parent / "cases"


class Again:
    """One command, run again and again over a copy of a case."""

    def __init__(self, folder, capsys, case, source, *words):
        self.raw, self.out = folder / case, folder / "out"
        shutil.copytree(CASES / case, self.raw)
        self.words = [source, "--root", str(self.raw), "--split", "val", "--out", str(self.out), *words]
        self.capsys = capsys

    def __call__(self, *more):
        code = main(["data", "build", *self.words, *more])
        said = self.capsys.readouterr()
        return code, said.out + said.err, ShardSet.open(self.out) if code == 0 else None


@pytest.fixture
def again(tmp_path, capsys):
    return lambda *words: Again(tmp_path, capsys, *words)


def test_a_file_that_was_left_out_is_read_again_when_it_is_whole(again):
    build = again("repair", "coco-keypoints")
    file = build.raw / "images/val/b.jpg"
    whole = file.read_bytes()
    file.write_bytes(whole[:300])
    code, said, shards = build()
    assert code == 0 and "1 left out" in said and len(shards) == 1
    file.write_bytes(whole)
    code, said, shards = build()
    assert code == 0 and "built again: 1 shard whose input changed" in said and len(shards) == 2
    assert not (build.out / "rejected.jsonl").exists()
    assert "already there, nothing to do" in build()[1]


def test_a_file_that_can_be_read_now_is_tried_once_more(again):
    """Size and time of change are what they were: a place that could not be reached can be."""
    build = again("repair", "coco-keypoints")
    file = build.raw / "images/val/b.jpg"
    stat, whole = file.stat(), file.read_bytes()
    file.write_bytes(bytes(len(whole)))
    os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert len(build()[2]) == 1
    file.write_bytes(whole)
    os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    code, said, shards = build()
    assert code == 0 and "built again: 1 shard with a sample that can be used now" in said and len(shards) == 2


def test_names_that_were_mended_make_the_set(again):
    build = again("repair_all", "coco-stuff")
    mask = build.raw / "annotations/val/a.png"
    mask.rename(mask.with_name("a_mask.png"))
    code, said, _ = build()
    assert code == 2 and "no label map is called like its image" in said
    mask.with_name("a_mask.png").rename(mask)
    mask.write_bytes(b"cut")
    (code, said, _), bad = build(), (CASES / "repair_all/annotations/val/a.png").read_bytes()
    assert code == 2 and "none of the 1 samples can be used" in said
    mask.write_bytes(bad)
    code, said, shards = build()
    assert code == 0 and "built again: 1 shard whose input changed" in said and len(shards) == 1


def test_corrected_labels_are_read(again):
    build = again("stale_json", "coco-keypoints")
    file = build.raw / "annotations/person_keypoints_val.json"
    value = json.loads(file.read_text())
    value["annotations"][0]["keypoints"][0] = 10
    stat = file.stat()
    file.write_text(json.dumps(value))
    assert build()[2].read(0).annotation["instances"][0]["keypoints"][0][0] == 10
    value["annotations"][0]["keypoints"][0] = 33
    file.write_text(json.dumps(value))
    os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))  # the bytes tell, not the time
    code, said, shards = build()
    assert code == 0 and "built again: 1 shard whose input changed" in said
    assert shards.read(0).annotation["instances"][0]["keypoints"][0][0] == 33


def test_more_and_fewer_samples_are_the_same_build(again):
    build = again("stale_json", "coco-keypoints", "--shard-size", "1")
    file = build.raw / "annotations/person_keypoints_val.json"
    value = json.loads(file.read_text())
    assert len(build()[2]) == 2
    file.write_text(json.dumps(value | {"annotations": value["annotations"][:1]}))
    code, said, shards = build()
    assert code == 0 and len(shards) == 1, said
    assert list(check(build.out)) == [] and not (build.out / "val-000001.tar").exists()
    file.write_text(json.dumps(value))
    assert len(build()[2]) == 2
    code, said, _ = build("--limit", "1")
    assert code == 2 and "samples was 2, now 1" in said


def test_names_of_classes_that_were_changed_are_read(again):
    build = again("upper_png", "coco-stuff")
    assert build()[0] == 0
    labels = build.raw / "labels.txt"
    labels.write_text(labels.read_text().replace(labels.read_text().split(":")[1].split()[0], "renamed"))
    code, said, shards = build()
    assert code == 0 and "built again: 1 shard" in said and "renamed" in shards.manifest.meta["classes"]


def test_bytes_are_compared_where_it_is_asked_for(again):
    build = again("repair", "coco-keypoints", "--verify")
    assert build()[0] == 0
    assert "nothing to do" in build()[1]
    file = build.raw / "images/val/b.jpg"
    stat = file.stat()
    data = bytearray(file.read_bytes())
    data[-40] ^= 1
    file.write_bytes(bytes(data))
    os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    code, said, shards = build()
    assert code == 0 and "built again: 1 shard whose input changed" in said
    assert shards.read_members(1)["source.jpg"] == bytes(data)


def test_a_build_without_hashes_is_built_again_when_they_are_asked_for(again):
    build = again("repair", "coco-keypoints")
    assert build()[0] == 0
    assert "built again: 1 shard whose files were not hashed before" in build("--verify")[1]
    assert "nothing to do" in build("--verify")[1] and "nothing to do" in build()[1]


def test_slices_of_an_older_version_are_built_again_and_it_is_said(again):
    build = again("repair", "coco-keypoints")
    assert build()[0] == 0
    (mark,) = build.out.glob("*.done")
    value = json.loads(mark.read_text())
    del value["inputs"]
    mark.write_text(json.dumps(value))
    settings = json.loads((build.out / "build.json").read_text())
    (build.out / "build.json").write_text(
        json.dumps({**{k: v for k, v in settings.items() if k != "limit"}, "meta": "a1"})
    )
    code, said, _ = build()
    assert code == 0 and "built again: 1 shard of an older version, which did not note its input" in said
    assert "nothing to do" in build()[1]


def test_a_new_image_in_the_middle_moves_the_others(again):
    build = again("upper_png", "coco-stuff")
    assert len(build()[2]) == 1
    image = next((build.raw / "images/val").iterdir())
    mask = next((build.raw / "annotations/val").iterdir())
    Image.fromarray(np.full_like(np.asarray(Image.open(image)), 77)).save(image.with_name("0.png"))
    shutil.copy(mask, mask.with_name("0.png"))
    code, said, shards = build()
    assert code == 0 and len(shards) == 2, said
    assert int(shards.read(0).image.max()) == 77
