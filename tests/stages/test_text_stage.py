import lightning.pytorch as pl
import pytest
import torch
from lightning.pytorch.callbacks import Callback
from small_models import TEXT

from idiff.callbacks import AtomicCheckpointIO, KeepLast, WeightAverage
from idiff.data.sentence_datamodule import SentenceDataModule
from idiff.errors import ConfigError
from idiff.models.text import TextEncoder
from idiff.stages import TextTraining
from idiff.stages.text_encoder import NOTHING, Words, ask

SMALL = {**TEXT, "hidden_size": 32, "intermediate_size": 64, "num_attention_heads": 2}


def stage(**options):
    torch.manual_seed(0)
    return TextTraining(text=TextEncoder(config=SMALL), **options)


class Logged(Callback):
    def __init__(self):
        self.losses, self.right = [], []

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        self.losses.append(float(outputs["loss"]))
        self.right.append(float(trainer.callback_metrics["train/accuracy"]))


def fit(stage, folder, *callbacks, steps, batch=32, **options):
    settings = {
        "max_steps": steps, "max_epochs": -1, "accelerator": "cpu", "logger": False, "enable_progress_bar": False,
        "enable_model_summary": False, "default_root_dir": folder, "enable_checkpointing": False,
        "use_distributed_sampler": False, "plugins": [AtomicCheckpointIO()],
    }  # fmt: skip
    pl.Trainer(callbacks=list(callbacks), **(settings | options)).fit(
        stage, datamodule=SentenceDataModule(batch_size=batch)
    )


def test_each_sentence_is_asked_its_own_questions_and_those_of_strangers():
    facts = [{"nose": "red", "neck": "blue"}, {"neck": "pink"}, {"task": "denoise"}]
    asked = ask(facts, strangers=2)
    assert asked[0] == [("nose", "red"), ("neck", "blue"), ("task", NOTHING)]
    assert asked[1] == [("neck", "pink"), ("task", NOTHING), ("nose", NOTHING)]
    assert asked[2] == [("task", "denoise"), ("nose", NOTHING), ("neck", NOTHING)]
    assert ask(facts, strangers=0) == [list(row.items()) for row in facts]
    assert ask([{"a": "b"}, {"a": "c"}], strangers=3) == [[("a", "b")], [("a", "c")]]


def test_texts_that_share_a_word_are_alike_and_not_the_same():
    torch.manual_seed(0)
    left, right, neck, again = Words(64)(["left wrist", "right wrist", "neck", "left wrist"])
    assert torch.equal(left, again)
    assert torch.cosine_similarity(left, right, dim=0) > 0.15 + torch.cosine_similarity(left, neck, dim=0)
    assert not torch.allclose(left, right, atol=0.1)


def test_the_encoder_learns_to_tell_what_its_sentences_ask(tmp_path):
    model, seen = stage(lr=1e-2, betas=(0.9, 0.99), strangers=1), Logged()
    fit(model, tmp_path, seen, steps=200)
    assert sum(seen.losses[-5:]) < 0.5 * sum(seen.losses[:5])
    assert sum(seen.right[:10]) / 10 < 0.25  # the most frequent answer alone is right as often
    assert sum(seen.right[-10:]) / 10 > 0.45
    texts = ["Paint the star red.", "Paint the star blue."]
    with torch.no_grad():
        red, blue = model.text(texts)
    assert not torch.allclose(red, blue, atol=1e-2)


@pytest.mark.parametrize("decay", [None, 0.9])
def test_a_run_leaves_encoder_and_tokenizer_in_the_hubs_layout(tmp_path, decay):
    model = stage(lr=1e-2)
    callbacks = [] if decay is None else [WeightAverage(decay), KeepLast(2)]
    fit(model, tmp_path, *callbacks, steps=4, batch=8)
    loaded, texts = TextEncoder(weights=str(tmp_path)), ["Make the red star blue.", ""]
    assert torch.equal(loaded.tokenize(texts), model.text.tokenize(texts))
    weights = dict(loaded.net.named_parameters())
    if decay is None:
        expected = {f"text.net.{name}": weight for name, weight in model.text.net.named_parameters()}
        assert torch.equal(loaded(texts), model.text(texts))
    else:
        saved = torch.load(tmp_path / "checkpoints" / "last.ckpt", weights_only=True)
        expected = saved["state_dict"]
        assert any(not torch.equal(saved["raw"][name], expected[name]) for name in saved["raw"] if "text.net" in name)
    assert all(torch.equal(weight, expected[f"text.net.{name}"]) for name, weight in weights.items())


def test_a_dry_run_writes_nothing(tmp_path):
    fit(stage(), tmp_path, steps=1, batch=2, fast_dev_run=True)
    assert not (tmp_path / "text_encoder").exists()


def test_batches_of_another_kind_are_refused(batch):
    with pytest.raises(
        ConfigError, match="batches are of type Batch, TextTraining takes SentenceBatch: choose another"
    ):
        stage().training_step(batch, 0)
