import numpy as np
import pytest
from PIL import Image

from idiff.cli import main

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
    assert sheet.shape == (214, 1200, 3)
    cells = [sheet[14:, 200 * number + 2 : 200 * number + 198] for number in range(6)]
    for cell in cells:
        assert (cell[-16:-4, :20] == 255).all(axis=2).any()
    tinted = [bool(((cell[..., 0] >= 170) & (cell[..., 2] >= 170) & (cell[..., 1] < 86)).sum() > 200) for cell in cells]
    assert any(tinted)
