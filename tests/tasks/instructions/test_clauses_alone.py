"""Files as the released InstructDiffusion has them: one clause a joint, joined without words."""

import numpy as np
import pytest

from idiff.tasks import KeypointDetection, SemanticSegmentation
from idiff.tasks.common.examples import figure, shapes
from idiff.tasks.instructions import InstructionBank
from idiff.utils.tokens import fits

JOINTS = "Ring the {joint} with {color}, \nLay a {color} ring on the {joint}, \nOn the {joint} goes {color}, \n"
MASKS = "Tint the pixels of {object} in {color}.\nLet {object} be {color} and the rest stay.\n"


@pytest.fixture
def files(tmp_path):
    joints, masks = tmp_path / "pose.txt", tmp_path / "seg.txt"
    joints.write_text(JOINTS)
    masks.write_text(MASKS)
    return str(joints), str(masks)


def test_clauses_follow_one_another_without_words(files):
    template = InstructionBank("keypoints", files[0]).first()
    parts = [{"joint": "nose", "color": "red"}, {"joint": "left eye", "color": "blue"}]
    assert template.fill(parts) == "Ring the nose with red, Ring the left eye with blue,"
    assert template.fill(parts[:1]) == "Ring the nose with red,"


def test_in_training_each_joint_has_a_clause_of_its_own(files):
    bank, parts = InstructionBank("keypoints", files[0]), [{"joint": "nose", "color": "red"}] * 3
    said = {bank.draw(np.random.default_rng(seed)).fill(parts) for seed in range(60)}
    assert len(said) > 15 and any(len(set(one.split(", "))) == 3 for one in said)


def test_tasks_ask_with_them_and_every_prompt_fits(files):
    task = KeypointDetection(instructions=files[0], palette="official-joints", augment=[])
    sample = figure(np.random.default_rng(0))
    for triplet in [*task.queries(sample, 0), task.encode(sample, 0, np.random.default_rng(1), train=True)]:
        assert fits(triplet.instruction)
        assert all(joint in triplet.instruction for joint in triplet.query["joints"])
        assert " and " not in triplet.instruction
    mask = SemanticSegmentation(instructions=files[1], palette="official-masks", augment=[])
    (first, *_) = mask.queries(shapes(np.random.default_rng(0)), 0)
    assert first.instruction.startswith("Tint the pixels of")


def test_banks_with_sentences_draw_as_before():
    """One number a template: what is drawn after it is the same as ever."""
    rng, same = np.random.default_rng(0), np.random.default_rng(0)
    bank = InstructionBank("keypoints")
    drawn = bank.draw(rng)
    assert drawn == bank.templates[int(same.integers(len(bank.templates)))]
    assert rng.random() == same.random()
