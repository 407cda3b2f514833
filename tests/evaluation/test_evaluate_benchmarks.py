"""Every benchmark of docs/benchmarks.md: its two commands, run on a small folder in the set's own layout, and re-scored elsewhere.

The model is one of middling skill. The files that `--predictions` writes are scored by pycocotools, scikit-image or numpy
against the raw set, and must get the card's figures.
"""

import contextlib
import io
import json
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
import torch
from judged_labels import judge_labels
from map_judges import bsds, judge_depth, judge_edges, judge_normals, kitti, nyu, nyu_normals
from PIL import Image
from pycocotools import mask as rle
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from raw_layouts import editing, keypoints, label_sets, large_label_sets, object_sets, refcoco, restoration
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from small_clip import write_clip, write_head
from small_models import ROOT

from idiff.cli import main
from idiff.curation.quality.aesthetic import load_head
from idiff.curation.quality.features import ClipFeatures
from idiff.stages import TaskTraining
from idiff.types import Painted
from idiff.utils.sigmas import TABLES

PAGE = (ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8")
BLOCKS = [block.strip().splitlines() for block in re.findall(r"^```sh\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)]
COMMANDS = {Path(lines[1].split()[-1]).stem: lines for lines in BLOCKS}


# --- what the raw folders hold


def coco(root):
    for name in ("000000000007.jpg", "000000000008.jpg", "000000000009.jpg"):
        keypoints.save_picture(root / "val2017" / name, keypoints.WIDTH, keypoints.HEIGHT, seed=int(name[:12]))
    value = keypoints.coco_like(keypoints.COCO, [f"{n:012d}.jpg" for n in (7, 8, 9)], people=(2, 1, 3), area=6000.0)
    for number, entry in enumerate(value["annotations"]):  # people stand apart, as their boxes say
        entry["keypoints"] = keypoints.pose(17, 2 * number, hidden=(number,))
    keypoints.write(root / "annotations/person_keypoints_val2017.json", value)


def renamed(write, old, new):
    def wrote(root):
        write(root)
        (root / old).rename(root / new)

    return wrote


def magicbrush(root):
    editing.magicbrush(root)
    (root / "train").rename(root / "dev")
    write_clip(root.parents[1] / "models/clip")
    write_head(root.parents[1] / "models/aesthetic.safetensors")


def large_gopro(root):
    """Frames larger than the model's square, as the set's are."""
    for sequence in ("GOPR0384_11_00", "GOPR0385_11_01"):
        base = root / "test" / sequence
        for frame in ("000001", "000002"):
            restoration.pair(base / f"blur/{frame}.png", base / f"sharp/{frame}.png", int(frame), size=(90, 140))


def grefs(root):
    entries = [
        refcoco.refer(1, 581857, [11, 12], "val", "both people", category=[1, 1]),
        refcoco.refer(2, 581857, [-1], "val", "the dog", "a cat", category=[-1]),
        refcoco.refer(3, 9, [-1], "val", "the moon", category=[-1]),
        refcoco.refer(4, 581857, [11], "val", "left guy", category=[1]),
    ]
    refcoco.published(root.parent, root.name, refs="grefs(unc).json", entries=entries)


def refs(root):
    refcoco.published(root.parent, root.name)


WRITE = {
    "coco": coco,
    "humanart": keypoints.humanart,
    "ap10k": keypoints.ap10k,
    "refcoco": refs,
    "refcoco+": refs,
    "refcocog": lambda root: refcoco.published(root.parent, root.name, refs="refs(umd).p"),
    "grefcoco": grefs,
    "ade20k": label_sets.ade,
    "voc": lambda root: label_sets.voc(root.parent),
    "coco-stuff": label_sets.stuff,
    "ade847": lambda root: large_label_sets.ade_prepared(root.parent),
    "pc459": lambda root: large_label_sets.context(root.parent),
    "pc59": lambda root: large_label_sets.context(root.parent, values=(2, 397, 459, 59)),
    "coco-instances": object_sets.coco,
    "gopro": large_gopro,
    "sidd": renamed(restoration.sidd_flat, "train", "val"),
    "clwd": renamed(restoration.clwd, "train", "test"),
    "magicbrush": magicbrush,
    "nyuv2": nyu,
    "kitti": kitti,
    "nyuv2-normals": nyu_normals,
    "bsds": bsds,
}


# --- how others score the files


def judge_keypoints(root, out, card):
    file = next(path for path in root.rglob("*.json") if "annotations" in path.parts)
    return coco_ap(json.loads(file.read_text()), out / "keypoints.json", shared=card["scored"]["joints"] == "coco")


def coco_ap(value, results, *, shared=False):
    names = [name.replace("_", " ") for name in value["categories"][0]["keypoints"][:17]]
    table = next(one for one in TABLES.values() if set(names) <= set(one))
    value["annotations"] = [entry for entry in value["annotations"] if entry["num_keypoints"]]
    found = [entry | {"category_id": 1} for entry in json.loads(results.read_text())]  # all kinds of animal together
    for number, entry in enumerate(value["annotations"], start=1):
        points = np.reshape(entry["keypoints"], (-1, 3))
        if shared:
            points[[name not in TABLES["coco"] for name in names], 2] = 0
        labelled = int((points[:, 2] > 0).sum())
        entry |= {"id": number, "category_id": 1, "keypoints": points.ravel().tolist(), "num_keypoints": labelled}
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = value
        truth.createIndex()
        scoring = COCOeval(truth, truth.loadRes(found), "keypoints")
        scoring.params.kpt_oks_sigmas = np.array([table[name] for name in names])
        scoring.params.catIds = [1]
        scoring.evaluate()
        scoring.accumulate()
        scoring.summarize()
    assert len(found) == len(value["annotations"]), "one result a person"
    return dict(zip(("ap", "ap50", "ap75"), scoring.stats[:3].tolist(), strict=True))


def judge_masks(root, out, card):
    value = json.loads((root / "instances.json").read_text())
    objects = {entry["id"]: entry["segmentation"] for entry in value["annotations"]}
    listed = next(path for path in root.iterdir() if path.name.startswith(("refs", "grefs")))
    entries = json.loads(listed.read_text()) if listed.suffix == ".json" else refcoco.REFERS
    named = {entry["ref_id"]: np.atleast_1d(entry["ann_id"]).tolist() for entry in entries}
    both = either = 0
    ious, empty = [], []
    for answer in json.loads((out / "masks.json").read_text()):
        found = rle.decode(answer["segmentation"]).astype(bool)
        file = out / "masks" / f"{answer['key']}_{answer['item']}.png"
        assert np.array_equal(np.asarray(Image.open(file)) > 0, found)
        true = np.zeros_like(found)
        for one in named[answer["ref_id"]]:
            if one != -1:
                shape = objects[one]
                made = rle.frPyObjects(shape, *found.shape)
                true |= rle.decode(rle.merge(made) if isinstance(made, list) else made).astype(bool)
        both, either = both + (found & true).sum(), either + (found | true).sum()
        ious.append((found & true).sum() / (found | true).sum() if (found | true).any() else 1.0)
        if not true.any():
            empty.append(not found.any())
    assert len(ious) == card["samples"] == sum(len(e["sentences"]) for e in entries if e["split"] == "val")
    return {"ciou": both / either, "giou": np.mean(ious), **({"n_acc": np.mean(empty)} if empty else {})}


CLEAN = {"gopro": "sharp", "sidd": "gt", "clwd": "Watermark_free_image"}


def judge_pictures(root, out, card):
    """PSNR and SSIM of whole images; the files are of 8 bits, which moves them a little."""
    [folder] = [name for name in CLEAN.values() if list(root.rglob(name))]
    psnr, ssim = [], []
    for path in sorted((out / "pictures").iterdir()):
        *sequence, name = path.stem.rsplit("-", 1)
        [file] = [one for one in root.rglob(f"{folder}/{name}.*") if not sequence or sequence[0] in str(one)]
        true, found = np.asarray(Image.open(file).convert("RGB")), np.asarray(Image.open(path))
        psnr.append(peak_signal_noise_ratio(true, found))
        window = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "channel_axis": 2}
        ssim.append(structural_similarity(true, found, **window))
    assert len(psnr) == card["samples"]
    return {"psnr": np.mean(psnr), "ssim": np.mean(ssim)}


def judge_edits(root, out, card):
    home = root / "dev"
    captions = json.loads((home / "global_descriptions.json").read_text())
    features = ClipFeatures(str(root.parents[1] / "models/clip"))
    head = load_head(root.parents[1] / "models/aesthetic.safetensors")
    sims, directions, scores, inside = [], [], [], []
    for turn in json.loads((home / "edit_turns.json").read_text()):
        folder = home / "images" / turn["output"].partition("-")[0]
        found = np.asarray(Image.open(out / "pictures" / turn["output"]))
        source, true = (np.asarray(Image.open(folder / turn[name])) for name in ("input", "output"))
        alpha = np.asarray(Image.open(folder / turn["mask"]))
        region = alpha[..., 3] < 128 if alpha.shape[2] == 4 else (np.abs(source.astype(int) - true) > 20).any(axis=2)
        inside.append(peak_signal_noise_ratio(true[region], found[region]))
        seen = torch.nn.functional.normalize(features([found, source]))
        scores.append(float(head(seen[:1])))
        words = [captions[folder.name].get(turn[name]) for name in ("output", "input")]
        if words[0]:
            said = torch.nn.functional.normalize(features.texts([words[0], words[1] or ""]))
            sims.append(float(seen[0] @ said[0]))
            if words[1]:
                moved = torch.nn.functional.cosine_similarity(seen[0] - seen[1], said[0] - said[1], dim=0)
                directions.append(float(moved))
    assert len(sims) == len(directions) == 2 and len(scores) == card["samples"] == 4
    return {
        "psnr_inside": np.mean(inside), "clip_sim": np.mean(sims), "clip_dir": np.mean(directions),
        "aesthetic": np.mean(scores),
    }  # fmt: skip


def judge_instances(root, out, card):
    truth = COCO(str(root / "annotations/instances_val2017.json"))
    scoring = COCOeval(truth, truth.loadRes(str(out / "instances.json")), "segm")
    scoring.evaluate()
    scoring.accumulate()
    scoring.summarize()
    return dict(zip(("ap", "ap50", "ap75"), scoring.stats[:3].tolist(), strict=True))


JUDGE = {
    "instances": (judge_instances, 1e-6),
    "keypoints": (judge_keypoints, 1e-6),
    "referring": (judge_masks, 1e-6),
    "segmentation": (judge_labels, 1e-6),
    "deblur": (judge_pictures, 0.02),
    "denoise": (judge_pictures, 0.02),
    "dewatermark": (judge_pictures, 0.02),
    "editing": (judge_edits, 0.02),
    "depth": (judge_depth, 2e-3),
    "normals": (judge_normals, 0.02),
    "edges": (judge_edges, 0.02),
}

LOWER_IS_BETTER = {"absrel", "mean_angle"}


@pytest.fixture
def fair_painter(monkeypatch):
    """A model of middling skill: it paints under noise or two pixels beside, and forgets one answer of five."""

    def paint(self, batch):
        painted = batch.source + (batch.target - batch.source).roll(2, dims=-1)
        if batch.query[0]["task"] not in {"segmentation", "referring"}:
            rng = torch.Generator().manual_seed(len(batch))
            painted = batch.target + 0.15 * torch.randn(batch.target.shape, generator=rng)
        if batch.query[0]["task"] == "edges":
            painted = batch.target.roll(3, dims=-1)  # farther than the tolerance
        forgot = (batch.position % 5 == 1)[:, None, None, None]
        evaluations = [batch.sampling.steps] * len(batch)
        return Painted(torch.where(forgot, batch.source, painted.clamp(-1, 1)), batch.source, evaluations)

    monkeypatch.setattr(TaskTraining, "paint", paint)
    monkeypatch.setattr(TaskTraining, "render", lambda self, pictures: pictures)


def test_every_benchmark_is_tested():
    assert set(COMMANDS) == set(WRITE)


@pytest.mark.parametrize("name", WRITE)
def test_the_commands_of_the_page_give_a_card_that_others_agree_with(tmp_path, monkeypatch, fair_painter, name):
    monkeypatch.chdir(tmp_path)
    build, evaluate = (shlex.split(line)[1:] for line in COMMANDS[name])
    root = tmp_path / build[build.index("--root") + 1]
    WRITE[name](root)
    Path("cards").mkdir()
    Path("configs").symlink_to(ROOT / "configs")
    assert main(build) == 0
    assert main([*evaluate, "--bootstrap", "50"]) == 0
    card = json.loads(Path(f"cards/{name}.json").read_text())
    out = Path("predictions") / name / card["task"]
    judge, tolerance = JUDGE[card["task"]]
    figures = judge(root, out, card)
    assert figures
    for metric, expected in figures.items():
        assert card["metrics"][metric] == pytest.approx(expected, abs=tolerance), metric
    headline = next(iter(figures))
    found, painted = card["metrics"][headline], card["painted"][headline]
    assert 0 < painted < found if headline in LOWER_IS_BETTER else 0 < found < painted
    assert card["metrics"][headline] != card["identity"][headline]
    for metric, value in card["metrics"].items():
        assert (value is None) == (metric in card["null"]), metric
    asked = [json.loads(line) for line in (out / "queries.jsonl").read_text(encoding="utf-8").splitlines()]
    assert len(asked) == card["queries"] == len(list((out / "painted").iterdir()))
    files = {path.name for path in root.parent.rglob("*") if path.is_file()}
    assert all(Path(line["query"]["origin"]["file_name"]).name in files for line in asked)
