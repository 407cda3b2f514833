import numpy as np
import pytest
from PIL import Image

from idiff.cli import main
from idiff.curation.browse import GAP, LINE, PANEL
from idiff.curation.drawn_facts import NAMED, draw_facts, legend_of, phrase_of
from idiff.data.shards.reader import ShardSet

BUILD = ["data", "build", "synthetic", "--task", "referring", "--split", "val", "--count", "6", "--seed", "3"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("phrases") / "val"
    assert main([*BUILD, "--out", str(out)]) == 0
    return out


def test_a_set_of_phrases_is_sound(folder, capsys):
    assert main(["data", "check", str(folder)]) == 0
    assert main(["data", "stats", str(folder)]) == 0
    shown = capsys.readouterr().out
    assert "unit: phrases" in shown and "no_target_phrases" in shown


def test_the_sheet_shows_a_phrase_and_what_it_names(folder, tmp_path):
    assert main(["data", "browse", str(folder), "--out", str(tmp_path / "sheet.png")]) == 0
    sheet = np.array(Image.open(tmp_path / "sheet.png"))
    assert sheet.shape[1] == 6 * (PANEL + GAP)
    first = sheet[LINE : LINE + PANEL]
    panels = [first[:, place * (PANEL + GAP) :][:, :PANEL].astype(int) for place in range(6)]
    changed = [np.abs(panels[place + 1] - panels[place + 2]).max(axis=2) > 20 for place in (0, 3)]
    assert any(each.sum() > 200 for each in changed)  # the target is painted


def test_what_is_drawn(folder):
    shards = ShardSet.open(folder)
    samples = [shards.read(index) for index in range(len(shards))]
    assert legend_of(samples) == {"what the sentence names": NAMED}
    tinted = []
    for sample in samples:
        cell = np.array(draw_facts(sample, PANEL))
        tinted.append(bool(((cell[..., 0] >= 170) & (cell[..., 2] >= 170) & (cell[..., 1] < 86)).sum() > 200))
        assert tinted[-1] == bool(phrase_of(sample)["instances"])
    assert any(tinted)
