"""`idiff evaluate --phrasings`: sentences that training never drew, chosen by key, recorded in the card."""

import json

import pytest

from idiff.cli import main
from idiff.tasks.instructions import InstructionBank


@pytest.fixture(scope="module")
def cards(uncut, shards, tmp_path_factory):
    """Cards and prompts of segmentation in seen, unseen, and once more unseen phrasings."""
    folder = tmp_path_factory.mktemp("phrasings")

    def evaluate(name, *more):
        words = ["evaluate", "--checkpoint", str(uncut / "checkpoints" / "last.ckpt"), "--steps", "1", "--limit", "4"]
        words += ["--data", str(shards / "segmentation" / "val"), "--predictions", str(folder / name), "--queries"]
        assert main([*words, "present", "--out", str(folder / f"{name}.json"), *more]) == 0
        lines = (folder / name / "segmentation" / "queries.jsonl").read_text().splitlines()
        return json.loads((folder / f"{name}.json").read_text()), [json.loads(line)["prompt"] for line in lines]

    unseen = ("--phrasings", "unseen")
    return evaluate("seen"), evaluate("unseen", *unseen), evaluate("again", *unseen)


def test_the_card_says_which_phrasings(cards):
    assert [card["phrasings"] for card, _ in cards] == ["seen", "unseen", "unseen"]
    assert all(card["prompts"] == {"split": 0, "cut": 0} for card, _ in cards)


def test_seen_is_the_first_sentence_and_unseen_is_never_one_of_training(cards):
    bank = InstructionBank("segmentation", phrasings="unseen")

    def came_from(prompt, template):
        return all(part in prompt for part in template.sentence.replace("{color}", "{object}").split("{object}"))

    (_, seen), (_, unseen), _ = cards
    assert seen and all(came_from(prompt, bank.first()) for prompt in seen)
    for prompt in unseen:
        assert any(came_from(prompt, template) for template in bank.unseen)
        assert not any(came_from(prompt, template) for template in bank.templates)


def test_the_choice_is_the_same_each_time(cards):
    assert cards[1][1] == cards[2][1]
    assert cards[1][0]["metrics"] == cards[2][0]["metrics"]


def test_tasks_whose_data_bring_the_sentence_take_none(uncut, shards, tmp_path, capsys):
    words = ["evaluate", "--checkpoint", str(uncut / "checkpoints" / "last.ckpt"), "--out", str(tmp_path / "card.json")]
    assert main([*words, "--data", str(shards / "keypoints" / "val"), "--phrasings", "odd"]) == 2
    assert "invalid choice: 'odd'" in capsys.readouterr().err
