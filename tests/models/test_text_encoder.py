import pytest
import torch
from small_models import TEXT
from transformers import CLIPTokenizer

from idiff.errors import CheckpointError
from idiff.models.text import TextEncoder, builtin_tokenizer


def test_builtin_tokenizer_is_small_and_knows_every_byte():
    tokenizer = CLIPTokenizer.from_pretrained(builtin_tokenizer())
    assert len(tokenizer) <= 2048
    assert tokenizer.model_max_length == 77
    assert tokenizer.eos_token_id == len(tokenizer) - 1
    for text in ("the left shoulder in red", "naïve 東京 😀", "\x00\x7f"):
        ids = tokenizer(text)["input_ids"]
        assert ids[0] == tokenizer.bos_token_id
        assert ids[-1] == tokenizer.eos_token_id
        assert tokenizer.eos_token_id not in ids[1:-1]
    assert "東京" in tokenizer.decode(tokenizer("東京")["input_ids"])


def test_states_are_padded_to_77_tokens_and_equal_prompts_share_one():
    torch.manual_seed(0)
    encoder = TextEncoder(config=TEXT)
    states = encoder(["red hat", "", "red hat"])
    assert states.shape == (3, 77, 16)
    assert torch.equal(states[0], states[2])
    assert not torch.allclose(states[0], states[1])


def test_long_prompts_are_cut_counted_and_end_with_the_end_token(caplog):
    encoder = TextEncoder(config=TEXT)
    ids = encoder.tokenize(["word " * 500, "short"])
    assert ids.shape == (2, 77)
    assert ids[0, -1] == encoder.tokenizer.eos_token_id
    assert encoder.truncated == 1
    assert "was cut to 77" in caplog.text


def test_hub_layout_loads(tmp_path):
    torch.manual_seed(0)
    encoder = TextEncoder(config=TEXT)
    encoder.net.save_pretrained(tmp_path / "text_encoder")
    encoder.tokenizer.save_pretrained(tmp_path / "tokenizer")
    again = TextEncoder(weights=str(tmp_path))
    assert torch.allclose(again(["a blue star"]), encoder(["a blue star"]), atol=1e-6)
    assert again.reference is not None


@pytest.mark.parametrize("arguments", [{}, {"config": TEXT, "weights": "x"}])
def test_config_or_weights(arguments):
    with pytest.raises(CheckpointError, match="either config"):
        TextEncoder(**arguments)


def test_missing_folder_is_one_sentence():
    with pytest.raises(CheckpointError, match="nowhere does not exist"):
        TextEncoder(weights="nowhere")
