"""Every form of an image gives the same pixels; what is no image, no text, no steps and no device is said."""

import numpy as np
import pytest
import torch
from PIL import Image

from idiff import Pipeline
from idiff.errors import ConfigError
from idiff.pipeline.image_input import read_picture

PIXELS = np.random.default_rng(0).integers(0, 256, (40, 70, 3)).astype(np.uint8)
CHANNELS_FIRST = torch.from_numpy(PIXELS).permute(2, 0, 1)
FORMS = {
    "uint8": PIXELS,
    "not contiguous": np.asfortranarray(PIXELS),
    "float32": PIXELS.astype(np.float32) / 255,
    "float64": PIXELS / 255,
    "PIL": Image.fromarray(PIXELS),
    "tensor": CHANNELS_FIRST,
    "float tensor": CHANNELS_FIRST / 255,
    "batch of one": (CHANNELS_FIRST / 255)[None],
    "with gradient": (CHANNELS_FIRST / 255).requires_grad_(),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_same_pixels(form):
    found = read_picture(FORMS[form])
    assert found.dtype == np.uint8 and found.flags.c_contiguous and np.array_equal(found, PIXELS)


def test_half_precision_is_near():
    halved = CHANNELS_FIRST.div(255)
    assert np.abs(read_picture(halved.half()).astype(int) - PIXELS).max() <= 1
    assert np.abs(read_picture(halved.bfloat16()).astype(int) - PIXELS).max() <= 1


def test_a_pil_image_follows_the_rules_of_files(tmp_path):
    gray = Image.fromarray(PIXELS[..., 0])
    assert np.array_equal(read_picture(gray), np.repeat(PIXELS[..., :1], 3, axis=2))
    clear = Image.new("RGBA", (5, 4), (9, 9, 9, 0))
    assert (read_picture(clear) == 255).all()
    turned = Image.fromarray(PIXELS)
    turned.getexif()[0x0112] = 6
    turned.save(tmp_path / "a.png", exif=turned.getexif())
    assert np.array_equal(read_picture(turned), read_picture(tmp_path / "a.png"))
    assert read_picture(str(tmp_path / "a.png")).shape == (70, 40, 3)


REFUSED = [
    (PIXELS[..., 0], r"the image is uint8 \(40, 70\): expected uint8 \(H, W, 3\) RGB, or floats in \[0, 1\]"),
    (PIXELS[:0], r"uint8 \(0, 70, 3\): expected uint8 \(H, W, 3\)"),
    (PIXELS[..., :2], r"\(40, 70, 2\): expected uint8 \(H, W, 3\)"),
    (PIXELS.astype(np.int64), "int64"),
    (PIXELS.astype(np.float32), r"float32 with values from 0 to 255: expected uint8 .* Divide 0 to 255 by 255"),
    (PIXELS / 127.5 - 1, r"from -1 to 1: .* turn -1 to 1 into \(values \+ 1\) / 2"),
    (np.full((4, 4, 3), np.nan), "values from nan to nan"),
    (torch.from_numpy(PIXELS), r"the image is uint8 \(40, 70, 3\): expected uint8 \(3, H, W\)"),
    (torch.zeros(2, 3, 8, 8), r"float32 \(2, 3, 8, 8\): expected uint8 \(3, H, W\)"),
    ([[1, 2]], "the image is of type list: expected a path, a PIL image, an array"),
    (None, "of type NoneType"),
    (Image.new("1", (9000, 9000)), "9000 x 9000 pixels: expected at most 64,000,000"),
]


@pytest.mark.parametrize(("given", "sentence"), REFUSED)
def test_what_is_no_image_is_said(given, sentence):
    with pytest.raises(ConfigError, match=sentence):
        read_picture(given)


def test_a_file_that_cannot_be_read_is_named(tmp_path, monkeypatch):
    (tmp_path / "a.png").write_bytes(b"x")

    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("idiff.pipeline.image_input.read_regular", refuse)
    with pytest.raises(ConfigError, match=r"a\.png cannot be read: Permission denied"):
        read_picture(tmp_path / "a.png")


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"steps": 0}, "steps is 0: expected 1 or more"),
        ({"steps": 2.5}, "steps is 2.5: expected 1 or more, a whole number"),
        ({"steps": True}, "steps is True"),
        ({"seed": -1}, "seed is -1: expected 0 or more"),
        ({"device": "banana"}, "device banana cannot be used .*: expected cpu"),
        ({"device": "cuda:99"}, "device cuda:99 cannot be used .*: expected cpu"),
        ({"device": 1.5}, "device 1.5 cannot be used"),
        ({"device": "meta"}, "device meta holds no values"),
    ],
)
def test_steps_seed_and_device_are_checked_before_the_model_loads(options, sentence):
    with pytest.raises(ConfigError, match=sentence):
        Pipeline("no such model", **options)


def test_the_text_is_words_and_a_new_joint_is_said():
    pipe = Pipeline("tiny", steps=1)
    for ask in (pipe.segment, pipe.keypoints, pipe.edit, pipe.restore):
        with pytest.raises(ConfigError, match="the text is of type int: expected words"):
            ask(PIXELS, 3)
    with pytest.raises(ConfigError, match="the threshold is high: expected more than 0"):
        pipe.edit(PIXELS, "Make it red.", threshold="high")
    known = pipe.keypoints("example:figure", "left hand, Neck")
    assert known.notice is None
    new = pipe.keypoints("example:figure", "left hand, left eyebrow")
    assert new.notice.startswith(
        "The model was not trained on left eyebrow: do not trust these joints. It knows head top,"
    )
    both = pipe.keypoints(np.full((64, 64, 3), 255, np.uint8), "tail")
    assert "do not trust the answer. The model was not trained on tail" in both.notice
