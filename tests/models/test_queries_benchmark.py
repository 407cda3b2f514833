"""The benchmark of many queries an image runs, and counts what it should."""

from scripts import load_script

from idiff.models.io.checkpoint import load


def test_asking_together_encodes_the_picture_once():
    module = load_script("benchmarks/queries.py")
    backbone = load("tiny").backbone.eval()
    found = module.measure(backbone, classes=5, steps=2, stop=1e6, most=3, rounds=1)
    assert {name: row["encoded"] for name, row in found.items()} == {
        "one by one": 5, "together": 1, "ending early": 1, "legend": 1,
    }  # fmt: skip
    assert {name: row["evaluations"] for name, row in found.items()} == {
        "one by one": 10, "together": 10, "ending early": 5, "legend": 4,
    }  # fmt: skip
    assert found["one by one"]["ratio"] == 1
    assert found["legend"]["ratio"] > 1  # less than half of the work; the others are too close for a busy machine
