import itertools
import math
import re

import lightning.pytorch as pl
import numpy as np
import pytest
import torch
from small_models import TEXT

from idiff.data.sentence_datamodule import SentenceDataModule
from idiff.errors import ConfigError, DataError
from idiff.models.text import TextEncoder
from idiff.synthetic.drawing.palette import COLORS
from idiff.synthetic.phrases.grammar import held_out
from idiff.synthetic.scenes.edits import SLOTS
from idiff.synthetic.sentences import Sentences, phrase_facts
from idiff.tasks.common.scene_captions import MOST, PLACES, WAYS, caption, place_of
from idiff.types import SentenceBatch
from idiff.utils.silhouettes import KINDS

COUNT = 400
NAMED = {"task", "which", "other which"}
"""Facts whose answer is a name for what is said, not a word of it."""


@pytest.fixture(scope="module")
def drawn():
    sentences = Sentences(seed=0, names=["traffic light", "zebra"])
    return [sentences[position] for position in range(COUNT)]


def of_task(drawn, *tasks):
    found = [sentence for sentence in drawn if sentence.facts["task"] in tasks]
    assert len(found) > 20
    return found


def test_a_sentence_depends_on_seed_and_place_alone(drawn):
    again = Sentences(seed=0, names=["traffic light", "zebra"])
    assert [again[position] for position in reversed(range(60))] == drawn[:60][::-1]
    other = Sentences(seed=1, names=["traffic light", "zebra"])
    assert sum(other[position] == drawn[position] for position in range(60)) < 3


def test_all_kinds_are_drawn_equally_often(drawn):
    kind = {"denoise": "restoration", "deblur": "restoration", "dewatermark": "restoration"} | dict.fromkeys(
        SLOTS, "editing"
    )
    tasks = [kind.get(sentence.facts["task"], sentence.facts["task"]) for sentence in drawn]
    assert set(tasks) == set(Sentences(seed=0).makers)
    assert all(0.1 < tasks.count(task) / COUNT < 0.25 for task in set(tasks))
    assert {sentence.facts["task"] for sentence in drawn} >= {*SLOTS, "denoise", "deblur", "dewatermark"}


def test_every_answer_stands_in_its_sentence(drawn):
    for text, facts in drawn:
        for question, answer in facts.items():
            if question not in NAMED and not (question.endswith("colour") and answer == "any"):
                assert re.search(rf"\b{answer}", text), (text, question, answer)


def test_joints_stand_in_their_sentence_beside_their_colours(drawn):
    counts = set()
    for text, facts in of_task(drawn, "keypoints"):
        joints = {joint: color for joint, color in facts.items() if joint != "task"}
        counts.add(len(joints))
        assert len(set(joints.values())) == len(joints)
        for joint, color in joints.items():
            others = [
                place.start() for other in joints if other != joint for place in re.finditer(rf"\b{other}\b", text)
            ]
            here = re.search(rf"\b{joint}\b", text).start()
            near = min((place.start() for place in re.finditer(rf"\b{color}\b", text)), key=lambda at: abs(at - here))
            assert sum(min(here, near) < other < max(here, near) for other in others) == 0, (text, joint, color)
    assert counts == {1, 2, 3, 4, 5}


def test_held_out_pairs_are_never_named(drawn):
    pairs = {(kind, color) for kind in KINDS for color in COLORS if held_out(kind, color)}
    sentences = of_task([*drawn, *map(Sentences(seed=3).__getitem__, range(COUNT))], "referring")
    named = 0
    for text, facts in sentences:
        for prefix in ("", "other "):
            pair = (facts.get(f"{prefix}object"), facts.get(f"{prefix}colour"))
            named += pair[0] in KINDS and pair[1] in COLORS
            assert pair not in pairs, text
        assert not any(re.search(rf"\b{color} {kind}", text) for kind, color in pairs), text
    assert named > 40


def test_what_phrases_name_is_told():
    assert phrase_facts("the largest red star to the left of the moon") == {
        "object": "star", "colour": "red", "which": "largest", "compared": "to the left of",
        "other object": "moon", "other colour": "any", "other which": "one",
    }  # fmt: skip
    assert phrase_facts("all crosses") == {"object": "cross", "colour": "any", "which": "all"}
    assert phrase_facts("every blue fish") == {"object": "fish", "colour": "blue", "which": "all"}
    assert phrase_facts("the object at the top") == {"object": "object", "colour": "any", "which": "top"}
    assert phrase_facts("all red objects") == {"object": "object", "colour": "red", "which": "all"}


def test_no_sentence_is_cut_by_the_tokenizer(drawn):
    encoder = TextEncoder(config=TEXT)
    tokens = encoder.tokenizer([text for text, _ in drawn])["input_ids"]
    assert 40 < max(map(len, tokens)) <= encoder.length == 77


def test_further_names_are_asked_for_too(drawn):
    names = [facts["object"] for _, facts in of_task(drawn, "segmentation")]
    assert {"zebra", "traffic light"} < set(names)
    assert 0.3 < sum(name in KINDS for name in names) / len(names) < 0.7
    plain = Sentences(seed=0)
    assert all(
        facts["object"] in KINDS for _, facts in map(plain.__getitem__, range(80)) if facts["task"] == "segmentation"
    )


# --- captions


def scene(*centres, background="waves", figures=()):
    names = [("red", "star"), ("orange", "moon"), ("blue", "fish"), ("green", "cross"), ("pink", "heart")]
    objects = [{"colour": c, "kind": k, "centre": list(at)} for (c, k), at in zip(names, centres, strict=False)]
    return {"background": background, "objects": objects, "figures": list(figures)}


def test_the_nearest_place_to_a_centre_is_named():
    for x, y in itertools.product(range(0, 100, 7), repeat=2):
        near = {name: math.dist(((x + 0.5) / 100, (y + 0.5) / 100), at) for name, at in PLACES.items()}
        assert near[place_of((x, y), size=100)] == min(near.values())
    assert place_of((31.5, 31.5), size=64) == "centre"
    assert place_of((63, 0), size=64) == "upper right"


def test_captions_tell_what_is_where_in_each_of_their_ways():
    shown, used = scene((5, 5), (60, 60)), set()
    for seed in range(200):
        text, facts = caption(shown, np.random.default_rng(seed), size=64)
        assert "a red star in the upper left" in text
        assert "an orange moon in the lower right" in text
        assert facts.pop("background", "wavy") == "wavy"
        assert facts == {"upper left": "red star", "lower right": "orange moon"}
        used.add(re.sub(r"an? (red star|orange moon) in the \w+ \w+( and )?", "", text).replace("wavy", "{background}"))
    assert used == {way.replace("{things}", "") for way in WAYS}


def test_two_things_in_one_place_are_named_and_not_asked_for():
    text, facts = caption(scene((5, 5), (6, 6), (32, 32)), np.random.default_rng(0), size=64)
    assert text.count("in the upper left") == 2
    assert facts.keys() - {"background"} == {"centre"}


def test_captions_name_no_more_than_fits_and_people():
    crowd = scene(*[(32, 32)] * 5)
    assert {caption(crowd, np.random.default_rng(seed), size=64)[0].count("centre") for seed in range(9)} == {MOST}
    person = scene(figures=[{"facing": "back"}])
    assert "a person seen from the back" in caption(person, np.random.default_rng(0), size=64)[0]


# --- the data module


def test_batches_are_the_sentences_in_their_order():
    module = SentenceDataModule(batch_size=3, seed=4, epoch_steps=2)
    batches = list(module.train_dataloader())
    known = Sentences(seed=4)
    assert len(batches) == len(module.train_dataloader()) == 2
    assert [batch.position.tolist() for batch in batches] == [[0, 1, 2], [3, 4, 5]]
    for batch in batches:
        assert isinstance(batch, SentenceBatch) and batch.task == ["text"] * 3
        assert list(zip(batch.instruction, batch.facts, strict=True)) == [
            tuple(known[position]) for position in batch.position.tolist()
        ]


class Reader(pl.LightningModule):
    """Notes what it is given."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.read = []

    def training_step(self, batch, batch_idx):
        self.read += batch.instruction
        return self.weight**2

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


def trained(folder, *, steps, checkpoint=None, seed=0, **options):
    reader = Reader()
    trainer = pl.Trainer(
        max_steps=steps, max_epochs=-1, accelerator="cpu", logger=False, enable_progress_bar=False, default_root_dir=folder,
        enable_checkpointing=False, enable_model_summary=False, use_distributed_sampler=False, **options,
    )  # fmt: skip
    module = SentenceDataModule(batch_size=2, seed=seed, epoch_steps=5)
    trainer.fit(reader, datamodule=module, ckpt_path=checkpoint, weights_only=True if checkpoint else None)
    return trainer, module, reader


def test_a_loader_begun_at_a_step_goes_on_where_an_unbroken_one_would_be(tmp_path):
    _, _, whole = trained(tmp_path, steps=7, accumulate_grad_batches=2)
    assert whole.read == [Sentences(seed=0)[position].text for position in range(28)]
    trainer, module, _ = trained(tmp_path, steps=3, accumulate_grad_batches=2)
    assert module.state_dict() == {"global_step": 3, "seed": 0}
    assert module.progress_at(13) == (2, 6)
    loader = module.train_dataloader()
    assert len(loader) == 10
    assert [text for batch in loader for text in batch.instruction] == whole.read[12:20]
    trainer.save_checkpoint(tmp_path / "a.ckpt")
    with pytest.raises(ConfigError, match=r"data\.seed is 1, the checkpoint's 0"):
        trained(tmp_path, steps=4, checkpoint=tmp_path / "a.ckpt", seed=1)


def test_ranks_share_the_sentences(tmp_path):
    _, module, _ = trained(tmp_path, steps=1)
    module.trainer = type("", (), {"global_step": 2, "world_size": 2, "global_rank": 1, "accumulate_grad_batches": 1})()
    assert next(iter(module.train_dataloader())).position.tolist() == [10, 11]


def test_the_file_of_words_is_read_and_a_missing_one_is_named(tmp_path):
    (tmp_path / "words.txt").write_text("traffic_light zebra\nzebra\n")
    assert SentenceDataModule(words=str(tmp_path / "words.txt")).sentences.names == ("traffic light", "zebra")
    with pytest.raises(DataError, match=r"gone\.txt is missing: expected a text file of object names"):
        SentenceDataModule(words=str(tmp_path / "gone.txt"))
    with pytest.raises(ConfigError, match="batch_size is 0"):
        SentenceDataModule(batch_size=0)


def test_sentences_of_ones_own_are_found_by_their_class(tmp_path, monkeypatch):
    (tmp_path / "own_sentences.py").write_text(
        "from types import SimpleNamespace\n\n\nclass Counted:\n"
        "    def __init__(self, *, seed, names):\n        self.seed = seed\n\n"
        "    def __getitem__(self, position):\n"
        "        return SimpleNamespace(text=f'{self.seed}: {position}', facts={'n': 'x'})\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    module = SentenceDataModule(seed=4, batch_size=2, sentences="own_sentences.Counted")
    batch = next(iter(module.train_dataloader()))
    assert batch.instruction == ["4: 0", "4: 1"]
    assert batch.facts == [{"n": "x"}] * 2
    with pytest.raises(ConfigError, match=r"data\.sentences 'own_sentences\.Count': .*did you mean 'Counted'"):
        SentenceDataModule(sentences="own_sentences.Count")
