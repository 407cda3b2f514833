import numpy as np
import pytest
import torch

import idiff.tasks
from idiff.errors import ConfigError
from idiff.tasks import (
    Deblur,
    Denoise,
    Dewatermark,
    ImageClassification,
    InstructEditing,
    KeypointDetection,
    ObjectDetection,
    Task,
)
from idiff.tasks import ReferringSegmentation as Referring
from idiff.tasks import SemanticSegmentation as Segmentation
from idiff.tasks.captioned import Captioned
from idiff.utils.task_notes import task_commands

WORDED = {name: "traffic light" for name, command in task_commands().items() if command.words}
WORDS = {
    Segmentation: "traffic light",
    Referring: "the red star to the left of the moon",
    KeypointDetection: "left wrist, nose",
    InstructEditing: "Make the red star blue.",
    ObjectDetection: "traffic light",
    ImageClassification: "star, ring, moon",
    Denoise: "denoise",
    Deblur: "deblur",
    Dewatermark: "dewatermark",
    **{task: WORDED.get(kind, "") for kind, task in idiff.tasks.by_kind().items() if task.maps or kind in WORDED},
}
SPEAK = [Segmentation, Referring, KeypointDetection, InstructEditing, ObjectDetection, ImageClassification]
"""Tasks that need a person's words."""


def picture(height=50, width=90):
    return np.random.default_rng(0).integers(0, 256, (height, width, 3)).astype(np.uint8)


def prompts(task, text, shown=None):
    return [triplet.instruction for triplet in task.queries(task.asked(picture() if shown is None else shown, text), 0)]


def test_every_task_is_asked_here():
    from_words_alone = {idiff.tasks.Captioned}  # has no image to be asked about
    assert {getattr(idiff.tasks, name) for name in idiff.tasks.__all__} - {Task} - from_words_alone == set(WORDS)


@pytest.mark.parametrize("kind", WORDS)
@pytest.mark.parametrize("shape", [(64, 64), (50, 90), (150, 20)])
def test_questions_of_a_person_are_queries_that_can_be_answered(kind, shape):
    task, shown = kind(), picture(*shape)
    triplets = task.queries(task.asked(shown, WORDS[kind]), 0)
    assert all(triplet.source.shape == (3, 64, 64) and triplet.query["size"] == list(shape) for triplet in triplets)
    assert {triplet.query["group"] for triplet in triplets} == {"picture/0"}
    sources, queries = torch.stack([triplet.source for triplet in triplets]), [triplet.query for triplet in triplets]
    found = task.combine(task.decode(sources, sources, queries), queries)
    assert task.render(found, shown).shape == shown.shape


@pytest.mark.parametrize("kind", SPEAK)
def test_the_words_stand_in_the_prompt(kind):
    (prompt,) = prompts(kind(), WORDS[kind])
    assert all(word.strip() in prompt for word in WORDS[kind].split(","))
    assert prompts(kind(), f"  {WORDS[kind]}\n\x00 ") == [prompt]


@pytest.mark.parametrize("kind", [Denoise, Deblur, Dewatermark])
def test_restoration_needs_no_words(kind):
    assert prompts(kind(), "") == prompts(kind(), "please") == [kind().bank.first().fill([{}])]


@pytest.mark.parametrize("kind", SPEAK)
@pytest.mark.parametrize("text", ["", " \n", "\x00"])
def test_an_empty_text_is_refused(kind, text):
    with pytest.raises(ConfigError, match="expected words that say what is asked"):
        kind().asked(picture(), text)


def test_six_joints_are_two_prompts():
    names = ["nose", "neck", "left elbow", "right elbow", "left knee", "right knee"]
    first, second = prompts(KeypointDetection(), ", ".join(names))
    assert [name for name in names if name in first] == names[::2]
    assert [name for name in names if name in second] == names[1::2]
    assert len(prompts(KeypointDetection(), ", ".join(names[:5]))) == 1


@pytest.mark.parametrize(
    ("text", "joints"),
    [
        ("left hand", ["left wrist"]),
        ("Left_Hand and RIGHT FOOT", ["left wrist", "right ankle"]),
        ("nose AND neck; head", ["nose", "neck", "head"]),
        ("-, nose,,", ["nose"]),
        ("left hand, left wrist", ["left wrist"]),
    ],
)
def test_joints_are_understood_as_people_name_them(text, joints):
    task = KeypointDetection()
    assert [
        name for triplet in task.queries(task.asked(picture(), text), 0) for name in triplet.query["joints"]
    ] == joints


@pytest.mark.parametrize("text", [",", "and", " - ; "])
def test_a_text_without_a_joint_is_refused(text):
    with pytest.raises(ConfigError, match="names no joint: expected names with commas between"):
        KeypointDetection().asked(picture(), text)


@pytest.mark.parametrize("ask", ["auto", "all", "present"])
def test_a_class_is_asked_for_however_evaluation_asks(ask):
    (prompt,) = prompts(Segmentation(ask=ask), "zebra")
    assert "zebra" in prompt


def test_a_task_that_takes_no_words_says_so():
    with pytest.raises(ConfigError, match="the task 'captioned' cannot be asked in words"):
        Captioned().asked(picture(), "a red star")
