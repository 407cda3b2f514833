"""Which command a sentence asks for; settings of a question."""

import pytest

from idiff import Pipeline
from idiff.errors import ConfigError
from idiff.pipeline.commands import choose, commands_of, steps_of
from idiff.tasks.asking import Asking

ALL = ["segment", "keypoints", "edit", "restore"]


@pytest.mark.parametrize(
    ("text", "command", "words"),
    [
        ("the red star", "segment", "the red star"),
        ("Find the red star.", "segment", "the red star"),
        ("Where is the red star?", "segment", "the red star"),
        ("show me the man with the left shoe", "segment", "the man with the left shoe"),
        ("the blurry star", "segment", "the blurry star"),
        ("Make the red star blue.", "edit", "Make the red star blue."),
        ("please  remove the blue mushroom", "edit", "remove the blue mushroom"),
        ("Make the nose red", "edit", "Make the nose red"),
        ("Remove the watermark.", "restore", "dewatermark"),
        ("Take the noise out of this picture", "restore", "denoise"),
        ("Sharpen the image.", "restore", "deblur"),
        ("deblur", "restore", "deblur"),
        ("left hand, right hand", "keypoints", "left hand, right hand"),
        ("Where are the nose and the left wrist?", "keypoints", "nose and left wrist"),
        ("mark the Left Knee.", "keypoints", "Left Knee"),
    ],
)
def test_a_sentence_chooses_its_command(text, command, words):
    assert choose(text, ALL) == (command, words)


def test_a_wanted_command_is_taken_and_one_that_is_missing_is_not():
    assert choose("the red star", ALL, "edit") == ("edit", "the red star")
    assert choose("Remove all noise", ALL, "restore") == ("restore", "denoise")
    assert choose("left hand", ["segment", "edit"])[0] == "segment"
    assert choose("the red star", ["edit", "restore"])[0] == "edit"
    with pytest.raises(ConfigError, match="unknown task 'segmnt'; did you mean 'segment'"):
        choose("the red star", ALL, "segmnt")
    with pytest.raises(ConfigError, match="the text is empty"):
        choose(" \t", ALL)


def test_the_shipped_model_answers_all_with_settings_of_a_question():
    pipe = Pipeline("tiny")
    assert commands_of(pipe) == ALL
    assert steps_of(pipe, "restore", "denoise") >= 1
    other = pipe.with_settings(Asking(steps=3, guidance_text=2.0, size=96), seed=4)
    assert steps_of(other, "edit", "x") == 3
    assert other.backbone is pipe.backbone
    one, again = (other.edit("example:objects", "Make the red star blue.").overlay for _ in range(2))
    assert (one == again).all()
    assert (one != pipe.edit("example:objects", "Make the red star blue.").overlay).any()
    # how familiar an image is does not depend on the size that it is asked at
    assert (
        other.segment("example:objects", "the star").ood_score == pipe.segment("example:objects", "the star").ood_score
    )


def test_every_step_can_be_watched_and_ended():
    pipe, taken = Pipeline("tiny", steps=6), []

    class StopError(Exception):
        pass

    def step():
        taken.append(1)
        if len(taken) == 9:
            raise StopError

    pipe.backbone.on_step = step
    pipe.edit("example:objects", "Make the red star blue.")
    assert len(taken) == 6
    with pytest.raises(StopError):
        pipe.edit("example:objects", "Make the red star blue.")
    assert len(taken) == 9
