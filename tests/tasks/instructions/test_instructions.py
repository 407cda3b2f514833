from pathlib import Path

import pytest

import idiff.tasks.instructions
from idiff.errors import ConfigError, DataError
from idiff.tasks.instructions import InstructionBank
from idiff.tasks.instructions.bank import SLOTS, parse
from idiff.utils.seeds import numpy_rng

PARTS = {
    "segmentation": [{"object": "traffic light", "color": "red"}],
    "legend": [{"object": "traffic light", "color": "red"}, {"object": "zebra", "color": "cyan"}],
    "referring": [{"object": "the dog to the left of the tree", "color": "red"}],
    "keypoints": [{"joint": "left hand", "color": "red"}, {"joint": "nose", "color": "cyan"}],
    "denoise": [{}],
    "deblur": [{}],
    "dewatermark": [{}],
    "detection": [{"object": "traffic light", "color": "red"}],
    "depth": [{}],
    "edges": [{}],
    "generate": [{"caption": "two red cones on a plane"}],
    "normals": [{}],
    "classification": [{"object": "traffic light", "color": "red"}, {"object": "zebra", "color": "cyan"}],
}


@pytest.mark.parametrize("kind", SLOTS)
def test_built_in_banks(kind):
    bank = InstructionBank(kind)
    assert len(bank.templates) > 100 and len(set(bank.templates)) == len(bank.templates)
    for template in bank.templates:
        words = template.fill(PARTS[kind])
        assert all(value in words for part in PARTS[kind] for value in part.values())
        assert "{" not in words and "|" not in words
        assert len(words.split()) >= 4  # bare task names halve the accuracy


@pytest.mark.parametrize("kind", SLOTS)
def test_training_draws_all_and_evaluation_takes_the_first(kind):
    bank = InstructionBank(kind)
    drawn = {bank.draw(numpy_rng(0, n)) for n in range(2000)}
    assert drawn == set(bank.templates)
    assert bank.draw(numpy_rng(0, 1)) == bank.draw(numpy_rng(0, 1))
    assert bank.first() is bank.templates[0]


@pytest.mark.parametrize("kind", SLOTS)
def test_unseen_wordings_have_the_slots_and_are_not_those_of_training(kind):
    path = Path(idiff.tasks.instructions.__file__).parent / "unseen" / f"{kind}.txt"
    unseen = InstructionBank(kind, str(path)).templates
    known = {(template.sentence.casefold(), template.clause.casefold()) for template in InstructionBank(kind).templates}
    assert len(set(unseen)) == len(unseen) >= 10
    assert not {(template.sentence.casefold(), template.clause.casefold()) for template in unseen} & known


@pytest.mark.parametrize("kind", SLOTS)
def test_evaluation_asks_with_the_first_or_by_key_with_unseen_ones(kind):
    seen, unseen = InstructionBank(kind), InstructionBank(kind, phrasings="unseen")
    keys = [f"{number:06d}/0" for number in range(400)]
    assert {seen.asking(key) for key in keys} == {seen.first()}
    asked = [unseen.asking(key) for key in keys]
    assert set(asked) == set(unseen.unseen) and len(unseen.unseen) == 12
    assert asked == [InstructionBank(kind, phrasings="unseen").asking(key) for key in keys]
    assert unseen.templates == seen.templates  # training draws the same


def test_phrasings_are_seen_or_unseen():
    with pytest.raises(ConfigError, match="did you mean 'unseen'"):
        InstructionBank("deblur", phrasings="unsen")


def test_clauses_are_joined():
    (template,) = parse("Mark {joints}. | {joint} in {color}", "keypoints", where="x")
    assert template.fill(PARTS["keypoints"]) == "Mark left hand in red and nose in cyan."
    assert template.fill(PARTS["keypoints"][:1]) == "Mark left hand in red."


def test_names_with_braces_and_control_characters_are_plain_words():
    (template,) = parse("Paint the {object} {color}", "segmentation", where="x")
    assert template.fill([{"object": "{color} \x00dog\n", "color": "red"}]) == "Paint the {color} dog red"


def test_a_file_of_ones_own(tmp_path):
    path = tmp_path / "mine.txt"
    path.write_text("# mine\n\nMal das {object} {color} an. 🎨\n", encoding="utf-8")
    (template,) = InstructionBank("segmentation", str(path)).templates
    assert template.fill(PARTS["segmentation"]) == "Mal das traffic light red an. 🎨"


@pytest.mark.parametrize(
    ("kind", "text", "message"),
    [
        ("segmentation", "Paint the {object}", r"x:1: .*'object'"),
        ("segmentation", "# note\nPaint {object} {colour}", r"x:2: .*'colour'"),
        ("segmentation", "Paint {object} {object} {color}", "once each"),
        ("segmentation", "Paint {object} {color} {", "no template"),
        ("segmentation", "Paint {} {object} {color}", "slots"),
        ("segmentation", "# only a note", "no template in it"),
        ("segmentation", "Paint {object:>999999999} {color}", "nothing else"),
        ("segmentation", "Paint {object!r} {color}", "nothing else"),
        ("segmentation", "Paint {object:{color}}", "nothing else"),
        ("segmentation", "Paint {{object}} {object} {color}", "nothing else"),
        ("segmentation", "Paint {object.__class__} {color}", "slots"),
        ("segmentation", "Paint {object[0]} {color}", "slots"),
        ("keypoints", "Mark {joints}", r"\['color', 'joint'\]"),
        ("keypoints", "Mark {joint}", "slots"),
        ("keypoints", "Mark {joint} {color}\nMark {joints} | {joint} in {color}", "clauses alone"),
        ("keypoints", "Mark {joints} | {joint}", "slots"),
    ],
)
def test_wrong_templates_are_refused(kind, text, message):
    with pytest.raises(ConfigError, match=message):
        parse(text, kind, where="x")


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(DataError, match="missing"):
        InstructionBank("segmentation", str(tmp_path / "none.txt"))
    (tmp_path / "binary.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="UTF-8"):
        InstructionBank("segmentation", str(tmp_path / "binary.txt"))
    with pytest.raises(ConfigError, match="did you mean 'segmentation'"):
        InstructionBank("segmentatio")
