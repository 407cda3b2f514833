"""The mixture of all sets: its rows and shares are those that its head states, by the published sizes and weights."""

import re

import pytest
from small_models import ROOT

from idiff.config.compose import compose
from idiff.data.loading.mixture import Stream

FILE = ROOT / "configs/experiment/full.yaml"

PUBLISHED = {
    "coco": (149_000, 1), "crowdpose": (35_000, 1), "mpii": (22_000, 1), "aic": (378_000, 0.1),
    "coco_stuff": (118_000, 1), "refcoco refcocoplus refcocog grefcoco": (121_000, 1),
    "gopro": (2_103, 2), "reds": (24_000, 0.2), "sidd": (320, 20), "clwd": (60_000, 0.2),
    "ip2p": (561_000, 0.2), "magicbrush": (8_000, 1), "gier": (5_000, 2), "gqa_inpaint": (131_000, 1),
    "inpaint": (159_000, 1),
}  # fmt: skip
"""Names -> (size, weight) of InstructDiffusion's training sets; the four referring sets are published as one number."""

GROUPS = {
    "keypoints": "KeypointDetection",
    "segmentation": "SemanticSegmentation ReferringSegmentation",
    "restoration": "Deblur Denoise Dewatermark",
    "editing": "InstructEditing",
}


@pytest.fixture(scope="module")
def entries():
    return compose([str(FILE)])["data"]["init_args"]["tasks"]


@pytest.fixture(scope="module")
def head():
    return "".join(line for line in FILE.read_text(encoding="utf-8").splitlines(keepends=True) if line.startswith("#"))


def draws(entries):
    """Rows an epoch of each entry, by the stream itself."""
    sizes = {name: size // len(names.split()) for names, (size, _) in PUBLISHED.items() for name in names.split()}
    weights = [
        entry["rows"] / sizes[name] if entry.get("rows") else entry["weight"] for name, entry in entries.items()
    ]  # fmt: skip
    return dict(zip(entries, Stream([sizes[name] for name in entries], weights, seed=0).draws, strict=True))


def test_every_published_set_is_there_with_its_product_of_size_and_weight(entries):
    rows = draws(entries)
    assert set(rows) == {name for names in PUBLISHED for name in names.split()}
    for names, (size, weight) in PUBLISHED.items():
        assert sum(rows[name] for name in names.split()) == pytest.approx(size * weight, abs=0.5 * len(names.split()))


def test_the_head_states_the_rows_and_shares_of_each_kind(entries, head):
    rows = draws(entries)
    kinds = {name: entry["task"]["class_path"].rpartition(".")[2] for name, entry in entries.items()}
    total = sum(rows.values())
    stated = {
        kind: (int(count.replace(",", "")), float(share))
        for kind, count, share in re.findall(r"(\w+) ([\d,]+) \(([\d.]+) %\)", head)
    }
    assert set(stated) == set(GROUPS)
    for kind, classes in GROUPS.items():
        found = sum(rows[name] for name in rows if kinds[name] in classes.split())
        assert stated[kind] == (found, round(100 * found / total, 1))
    assert f"{total:,} in all" in head


def test_the_stated_factor_of_restoration_gives_the_papers_share(entries, head):
    rows = draws(entries)
    factor = float(re.search(r"times ([\d.]+)", head)[1])
    assert factor * sum(rows[name] for name in ("gopro", "reds", "sidd", "clwd")) == pytest.approx(46_000, rel=0.01)


def test_all_entries_are_of_one_size_and_no_set_is_both_trained_and_validated_on(entries):
    assert {entry["task"]["init_args"]["size"] for entry in entries.values()} == {256}
    trained, validated = ({entry[key] for entry in entries.values() if entry.get(key)} for key in ("train", "val"))
    assert len(trained) == len(entries)
    assert not trained & validated
