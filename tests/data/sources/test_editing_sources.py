"""InstructPix2Pix, MagicBrush, GIER, GQA-Inpaint and plain lists in their own layouts: from folders to batches."""

import json
import pickle
import shutil
import zipfile

import numpy as np
import pytest
import torch
from PIL import Image
from raw_sets import SIZE, edited, made, put, put_json, serves, smooth
from shard_making import file_bytes

from idiff.data.sources import create
from idiff.data.sources import zips as zip_reading
from idiff.data.sources.edit_pairs import fraction
from idiff.errors import BadSampleError, ConfigError, DataError
from idiff.tasks import InstructEditing
from idiff.utils.masks import decode_mask


def edit_list(root):
    entries = []
    for name in ("a", "b"):
        before = smooth(ord(name))
        put(root / f"train/{name}_input.png", before)
        put(root / f"train/{name}_target.png", edited(before))
        entries.append({"input": f"{name}_input.png", "edited": f"{name}_target.png", "instruction": f"Edit {name}."})
    put_json(root / "train/edits.json", entries)
    return ["Edit a.", "Edit b."]


def ip2p_folders(root, folder=""):
    for prompt, seeds in (("0000000", ["11", "12"]), ("0000001", ["21"])):
        home = root / folder / prompt
        texts = {"input": f"a {prompt}", "edit": f"make it {prompt}", "output": f"another {prompt}"}
        put_json(home / "prompt.json", texts)
        for seed in seeds:
            put(home / f"{seed}_0.jpg", smooth(int(seed)))
            put(home / f"{seed}_1.jpg", edited(smooth(int(seed))))
    put_json(root / "seeds.json", [["0000000", ["11", "12"]], ["0000001", ["21"]]])
    return ["make it 0000000", "make it 0000000", "make it 0000001"]


def ip2p_zip(root):
    told = ip2p_folders(root / "unpacked")
    root.joinpath("seeds.json").write_bytes((root / "unpacked/seeds.json").read_bytes())
    for number, prompt in enumerate(("0000000", "0000001")):
        with zipfile.ZipFile(root / f"shard-{number:02d}.zip", "w", zipfile.ZIP_DEFLATED) as file:
            for path in sorted((root / "unpacked" / prompt).iterdir()):
                file.write(path, f"{prompt}/{path.name}")
    shutil.rmtree(root / "unpacked")
    return told


def magicbrush(root):
    home = root / "train"
    turns, captions = [], {}
    for identity in ("100547", "100553"):
        before = smooth(int(identity))
        middle, after = edited(before), np.clip(edited(before).astype(int) - 40, 0, 255).astype(np.uint8)
        folder = home / "images" / identity
        put(folder / f"{identity}-input.png", before)
        put(folder / f"{identity}-output1.png", middle)
        put(folder / f"{identity}-output2.png", after)
        alpha = np.full(before.shape[:2], 255, np.uint8)
        alpha[8:30, 10:34] = 0
        Image.fromarray(np.dstack([before, alpha])).save(folder / f"{identity}-mask1.png")
        put(folder / f"{identity}-mask2.png", before)
        for turn, (source, target) in enumerate((("input", "output1"), ("output1", "output2")), start=1):
            names = {"input": source, "mask": f"mask{turn}", "output": target}
            files = {key: f"{identity}-{name}.png" for key, name in names.items()}
            turns.append(files | {"instruction": f"turn {turn} of {identity}"})
        captions[identity] = {f"{identity}-input.png": "a wave", f"{identity}-output1.png": "a wave with a square"}
    put_json(home / "edit_turns.json", turns)
    put_json(home / "global_descriptions.json", captions)
    return [f"turn {turn} of {identity}" for identity in ("100547", "100553") for turn in (1, 2)]


def gier(root):
    entries = []
    for name in ("25zgyw_25zgyw", "apb5mr_apb5mr"):
        before = smooth(len(entries))
        put(root / f"images/{name}.jpg", before)
        put(root / f"images/{name}_out.jpg", edited(before))
        entries.append({
            "input": f"{name}.jpg".replace("_", "/", 1), "output": f"{name}_out.jpg",
            "operator": {"tint": {"local": False, "ids": []}, "brightness": {"local": True, "ids": [0]}},
            "expert_summary": [f"Brighten {name}.", "Tint it red."], "amateur_summary": ["please make it nicer"],
        })  # fmt: skip
    put_json(root / "GIER.json", entries)
    return ["Brighten 25zgyw_25zgyw.", "Brighten apb5mr_apb5mr."]


def gqa(root):
    things = {
        "1": {"name": "cat", "attributes": ["black"], "relations": [{"name": "to the left of", "object": "2"}], "bidirected": True},
        "2": {"name": "table", "attributes": [], "relations": [], "bidirected": True},
        "3": {"name": "cup", "relations": [], "bidirected": True},
        "4": {"name": "cup", "relations": [], "bidirected": True},
        "5": {"name": "lamp", "relations": [], "bidirected": False},
        "6": {"name": "leaf", "relations": [], "bidirected": True},
        "7": {"name": "leaf", "relations": [], "bidirected": True},
    }  # fmt: skip
    sides = {
        "1": "to the left",
        "2": "to the center",
        "3": "to the left",
        "4": "to the right",
        "6": "to the left",
        "7": "to the left",
    }
    put_json(
        root / "train_scenes.json",
        {"2370799": {"objects": things, "image_relative_positions": sides, "width": 48, "height": 40}},
    )
    put(root / "images/2370799.jpg", edited(smooth(3)))
    mask = np.zeros((40, 48, 3), np.uint8)
    mask[8:30, 10:34] = 255
    for identity in things:
        put(root / f"images_inpainted/2370799/{identity}.jpg", smooth(3))
    put(root / "masks/2370799/1.jpg", mask)
    left = "on the left of the image."
    return [
        "Remove the black cat.",
        "Remove the table.",
        f"Remove the cup {left}",
        "Remove the cup on the right of the image.",
    ]


LAYOUTS = {
    "edit-list": [edit_list],
    "ip2p": [ip2p_folders, ip2p_zip],
    "magicbrush": [magicbrush],
    "gier": [gier],
    "gqa-inpaint": [gqa],
}


@pytest.mark.parametrize(
    ("name", "write"),
    [(name, write) for name, writers in LAYOUTS.items() for write in writers],
    ids=lambda part: getattr(part, "__name__", part),
)
def test_a_set_in_its_own_layout_becomes_batches(tmp_path, name, write):
    told = write(tmp_path / "raw")
    whole = {"ip2p": "all", "gier": "train"}.get(name, "train")
    shards, rejected = made(tmp_path, name, root=str(tmp_path / "raw"), split=whole)
    assert rejected == []
    read = [shards.read(place) for place in range(len(shards))]
    assert [sample.annotation["instruction"] for sample in read] == told
    for sample in read:
        assert sample.image.shape == sample.target.shape == (40, 48, 3)
        assert 4 < np.abs(sample.image.astype(int) - sample.target).mean() < 80
    serves(shards, InstructEditing(size=48))  # the images' width: pixel on pixel


def test_the_source_is_the_picture_before_and_bytes_pass_through(tmp_path):
    edit_list(tmp_path)
    sample = create("edit-list", {"root": str(tmp_path), "split": "train"}).sample(0)
    assert sample.image == (tmp_path / "train/a_input.png").read_bytes()
    assert sample.target == (tmp_path / "train/a_target.png").read_bytes()


def test_zip_files_are_read_without_unpacking_and_give_what_folders_give(tmp_path):
    ip2p_zip(tmp_path / "zip")
    ip2p_folders(tmp_path / "flat")
    ip2p_folders(tmp_path / "nested", "shard-00")
    sources = [create("ip2p", {"root": str(tmp_path / name), "split": "all"}) for name in ("zip", "flat", "nested")]
    files = sorted((tmp_path / "zip").rglob("*"))
    one, two, three = ([source.sample(place) for place in range(3)] for source in sources)
    assert one == two == three
    assert [sample.key for sample in one] == ["0000000-11", "0000000-12", "0000001-21"]
    assert one[2].annotation["source_caption"] == "a 0000001"
    assert one[2].annotation["target_caption"] == "another 0000001"
    assert sorted((tmp_path / "zip").rglob("*")) == files
    assert pickle.loads(pickle.dumps(sources[0])).sample(1) == one[1]


def test_without_seeds_the_files_tell_them(tmp_path):
    ip2p_zip(tmp_path / "zip")
    ip2p_folders(tmp_path / "flat")
    for name in ("zip", "flat"):
        (tmp_path / name / "seeds.json").unlink()
        source = create("ip2p", {"root": str(tmp_path / name), "split": "all"})
        assert [source.sample(place).key for place in range(3)] == ["0000000-11", "0000000-12", "0000001-21"]


def test_splits_of_instructpix2pix_are_those_of_its_authors(tmp_path):
    ip2p_folders(tmp_path)
    put_json(tmp_path / "seeds.json", [[f"{place:07d}", [str(place)]] for place in range(40)])
    made_of = {
        split: [edit[0] for edit in create("ip2p", {"root": str(tmp_path), "split": split}).edits]
        for split in ("train", "val", "test", "all")
    }
    assert [len(prompts) for prompts in made_of.values()] == [36, 2, 2, 40]
    assert made_of["train"] + made_of["val"] + made_of["test"] == made_of["all"]
    with pytest.raises(ConfigError, match="split 'dev': this set is published in one piece"):
        create("ip2p", {"root": str(tmp_path), "split": "dev"})


def test_a_filter_keeps_the_edits_that_it_names(tmp_path):
    ip2p_zip(tmp_path)
    put_json(tmp_path / "filtered.json", ["0000000/12", "0000001/21", "0000009/5"])
    options = {"root": str(tmp_path), "split": "all", "annotations": str(tmp_path / "filtered.json")}
    source = create("ip2p", options)
    assert [source.sample(place).key for place in range(len(source))] == ["0000000-12", "0000001-21"]
    assert source.funnel() == {"prompts": 2, "edits of the split all": 3, "in the filter": 2}


def test_missing_and_damaged_members_are_named(tmp_path, monkeypatch):
    ip2p_zip(tmp_path)
    put_json(tmp_path / "seeds.json", [["0000000", [11, 99]], ["0000001", ["21"]], ["0000007", ["1"]]])
    data = bytearray((tmp_path / "shard-01.zip").read_bytes())
    place = data.index(b"21_0.jpg") + 200
    data[place : place + 40] = bytes(40)
    (tmp_path / "shard-01.zip").write_bytes(data)
    shards, rejected = made(tmp_path, "ip2p", root=str(tmp_path), split="all")
    assert [shards.key(place) for place in range(len(shards))] == ["0000000-11"]
    reasons = {line["where"]: line["reason"] for line in rejected}
    assert "shard-00.zip has no member 0000000/99_0.jpg" in reasons["0000000/99"]
    assert "cannot be unpacked" in reasons["0000001/21"]
    assert "Is a shard missing?" in reasons["0000007/1"]
    monkeypatch.setattr(zip_reading, "MAX_BYTES", 100)
    with pytest.raises(BadSampleError, match="expected at most 100"):
        create("ip2p", {"root": str(tmp_path), "split": "all"}).sample(0)
    (tmp_path / "shard-02.zip").write_bytes(b"PK")
    with pytest.raises(DataError, match=r"shard-02\.zip cannot be read as a zip file"):
        create("ip2p", {"root": str(tmp_path), "split": "all"})


def test_masks_of_magicbrush_are_where_they_are_transparent(tmp_path):
    magicbrush(tmp_path)
    source = create("magicbrush", {"root": str(tmp_path), "split": "train"})
    first, second = source.sample(0).annotation, source.sample(1).annotation
    region = decode_mask(first["region"])
    assert region[8:30, 10:34].all() and region.sum() == 22 * 24
    assert "region" not in second  # a mask without transparency says nothing
    assert (first["source_caption"], first["target_caption"]) == ("a wave", "a wave with a square")
    assert [source.sample(place).key for place in range(2)] == ["100547-output1", "100547-output2"]
    assert source.sample(1).image == source.sample(0).target


def test_val_of_magicbrush_is_its_dev(tmp_path):
    magicbrush(tmp_path)
    (tmp_path / "train").rename(tmp_path / "dev")
    assert len(create("magicbrush", {"root": str(tmp_path), "split": "val"})) == 4
    with pytest.raises(DataError, match="has the folders dev"):
        create("magicbrush", {"root": str(tmp_path), "split": "test"})


def test_gier_keeps_all_requests_and_evaluates_the_first(tmp_path):
    gier(tmp_path)
    source = create("gier", {"root": str(tmp_path), "split": "all"})
    facts = source.sample(0).annotation
    assert facts["instructions"] == ["Brighten 25zgyw_25zgyw.", "Tint it red.", "please make it nicer"]
    assert facts["operations"] == ["brightness", "tint"]
    assert len(create("gier", {"root": str(tmp_path), "split": "train"})) == 2
    whole = {"root": str(tmp_path), "split": "mine", "annotations": str(tmp_path / "GIER.json")}
    assert len(create("gier", whole)) == 2


def test_small_sets_are_not_cut_and_large_ones_are_cut_in_order(tmp_path):
    assert [len(fraction(range(19), split)) for split in ("train", "val", "test", "all")] == [19, 0, 0, 19]
    parts = [fraction(range(60), split) for split in ("train", "val", "test")]
    assert [len(part) for part in parts] == [54, 3, 3]
    assert [place for part in parts for place in part] == list(range(60)) == list(fraction(range(60), "all"))


def test_lists_that_others_converted_are_read_too(tmp_path):
    edit_list(tmp_path)
    file = str(tmp_path / "train/edits.json")
    options = {"root": str(tmp_path), "split": "train", "annotations": file}
    brush = create("magicbrush", options)
    assert [brush.sample(place).annotation["instruction"] for place in range(2)] == ["Edit a.", "Edit b."]
    other = create("gier", options | {"images": str(tmp_path / "train")})
    assert other.sample(1).target == brush.sample(1).target


def test_training_draws_each_request(tmp_path):
    gier(tmp_path)
    shards, _ = made(tmp_path, "gier", root=str(tmp_path), split="train")
    task, sample = InstructEditing(size=SIZE), shards.read(0)
    train, asked = (
        {task.encode(sample, 0, np.random.default_rng(n), train=train).instruction for n in range(40)}
        for train in (True, False)
    )
    assert train == set(sample.annotation["instructions"]) and asked == {"Brighten 25zgyw_25zgyw."}


def test_objects_are_removed_that_a_sentence_can_single_out(tmp_path):
    gqa(tmp_path)
    source = create("gqa-inpaint", {"root": str(tmp_path), "split": "train"})
    assert source.funnel() == {"found": 6, "objects that a sentence can single out": 4}
    first = source.sample(0)
    assert first.annotation["instructions"] == [
        "Remove the black cat.",
        "Remove the black cat on the left of the image.",
        "Remove the black cat that is to the left of the table.",
    ]
    assert first.image == (tmp_path / "images/2370799.jpg").read_bytes()
    assert first.target == (tmp_path / "images_inpainted/2370799/1.jpg").read_bytes()
    assert decode_mask(first.annotation["region"])[10:28, 12:32].all()
    assert "region" not in source.sample(1).annotation
    put_json(tmp_path / "train_instructions.json", {"i2370799-o1": "remove the cat"})
    again = create("gqa-inpaint", {"root": str(tmp_path), "split": "train"})
    assert again.sample(0).annotation["instruction"] == "remove the cat"
    with pytest.raises(DataError, match=r"val_scenes\.json is missing: .* has train_scenes\.json"):
        create("gqa-inpaint", {"root": str(tmp_path), "split": "val"})


def test_a_list_stands_for_scenes(tmp_path):
    gqa(tmp_path)
    pairs = {
        "source_image_path": "images/2370799.jpg",
        "target": "images_inpainted/2370799/1.jpg",
        "instruction": "No cat.",
    }
    (tmp_path / "train_scenes.json").unlink()
    put_json(tmp_path / "meta_info.json", [pairs, {"source": "images/2370799.jpg", "instruction": "?"}])
    options = {"root": str(tmp_path), "split": "train", "images": str(tmp_path)}
    shards, rejected = made(tmp_path, "gqa-inpaint", **options)
    assert shards.read(0).annotation["instruction"] == "No cat."
    assert [(line["where"], line["field"]) for line in rejected] == [("meta_info.json[1]", "target")]


def test_bad_entries_are_named_and_the_rest_is_kept(tmp_path):
    edit_list(tmp_path)
    file = tmp_path / "train/edits.json"
    good = json.loads(file.read_text())
    bad = [
        ({"input": "../a.png", "edited": "x.png", "instruction": "x"}, "input", "leads out of the folder"),
        ({"input": "/etc/passwd", "edited": "x.png", "instruction": "x"}, "input", "leads out of the folder"),
        ({"edited": "x.png", "instruction": "x"}, "input", "got None"),
        (good[0] | {"instruction": 7}, "instruction", "got 7"),
        (good[0] | {"instruction": " \0 "}, "instruction", "expected a sentence"),
        ({key: good[0][key] for key in ("input", "edited")}, "instruction", "missing, expected a sentence"),
        (good[0] | {"edited": "gone.png"}, "target", "No such file"),
        ("no object", "entry", "got str, expected an object"),
    ]
    put_json(file, [entry for entry, _, _ in bad] + good)
    shards, rejected = made(tmp_path, "edit-list", root=str(tmp_path), split="train")
    assert len(shards) == 2
    for line, (_, field, reason) in zip(rejected, bad, strict=True):
        assert line["field"] == field and reason in line["reason"]


@pytest.mark.parametrize("name", ["edit-list", "magicbrush", "gier", "gqa-inpaint", "ip2p"])
def test_missing_or_wrong_files_are_one_sentence(tmp_path, name):
    with pytest.raises(DataError, match=" is missing: expected "):
        create(name, {"root": str(tmp_path / "nowhere"), "split": "train"})
    LAYOUTS[name][0](tmp_path)
    files = ["train/edits.json", "train/edit_turns.json", "GIER.json", "train_scenes.json", "seeds.json"]
    file = next(tmp_path / name for name in files if (tmp_path / name).is_file())
    for text, reason in (("{", "cannot be read as JSON"), ("7", "holds int, expected")):
        file.write_text(text)
        with pytest.raises(DataError, match=f"{file.name} {reason}"):
            create(name, {"root": str(tmp_path), "split": "train"})


def test_edits_keep_their_shape(tmp_path):
    """A wide image is fitted, not squashed: a square of it stays a square, and its place maps back."""
    before = np.full((30, 90, 3), 100, np.uint8)
    after = before.copy()
    after[5:25, 60:80] = (255, 0, 0)
    put(tmp_path / "val/a.png", before)
    put(tmp_path / "val/b.png", after)
    put_json(tmp_path / "val/edits.json", [{"input": "a.png", "edited": "b.png", "instruction": "Add a square."}])
    shards, _ = made(tmp_path, "edit-list", root=str(tmp_path), split="val")
    task = InstructEditing(size=90)
    (triplet,) = task.queries(shards.read(0), 0)
    rows, columns = torch.where(triplet.target[0] - triplet.target[1] > 1)
    height, width = int(rows.max() - rows.min()) + 1, int(columns.max() - columns.min()) + 1
    assert (height, width) == (20, 20)
    (made_of,) = task.decode(triplet.target[None], triplet.source[None], [triplet.query])
    whole = task.combine([made_of], [triplet.query]).picture
    assert whole.shape == (3, 30, 90)
    assert torch.equal(torch.where(whole[0] - whole[1] > 1)[1].unique(), torch.arange(60, 80))


def test_a_webp_target_of_a_jpeg_source(tmp_path):
    put(tmp_path / "val/a.jpg", smooth(0))
    (tmp_path / "val/b.webp").write_bytes(file_bytes(smooth(1), "WEBP"))
    put_json(
        tmp_path / "val/edits.json", [{"input": "a.jpg", "edited": "b.webp", "instruction": ["Wave.", "Wave more."]}]
    )
    shards, rejected = made(tmp_path, "edit-list", root=str(tmp_path), split="val")
    assert rejected == [] and shards.read(0).annotation["instructions"] == ["Wave.", "Wave more."]
