import pytest

from idiff.models.text import builtin_tokenizer
from idiff.tasks.instructions import InstructionBank
from idiff.utils.tokens import LIMIT, count_tokens, fits

ODD = [
    "",
    " ",
    "Mark\tthe   Left_Shoulder's \n wrist in RED.",
    "42 px; 3.5 %",
    "Größe 图像 🎨 e\u0301",
    "<|endoftext|>",
    "a" * 500,
    '"{object}" -> {color}',
    "x\u200dy",
]


def test_counts_as_the_text_encoder_does():
    from transformers import CLIPTokenizer

    tokenizer = CLIPTokenizer.from_pretrained(str(builtin_tokenizer()))
    assert tokenizer.model_max_length == LIMIT
    sentences = [template.sentence for kind in ("keypoints", "deblur") for template in InstructionBank(kind).templates]
    for text in [*ODD, *sentences]:
        if "<|" not in text:  # a mark that is written out is one token there, one word here
            assert count_tokens(text) == len(tokenizer(text)["input_ids"]), text
    assert count_tokens("<|endoftext|>") >= len(tokenizer("<|endoftext|>")["input_ids"])


@pytest.mark.parametrize("text", [*ODD, "left shoulder in magenta, " * 4, "left shoulder in magenta, " * 12])
def test_fits_says_what_counting_says(text):
    for limit in (2, 10, LIMIT):
        assert fits(text, limit) == (count_tokens(text) <= limit)
