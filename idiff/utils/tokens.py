"""How many tokens a prompt has, without a model: the package's own tokenizer, read once."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers

LIMIT = 77
"""Tokens that the text encoder takes, the marks of begin and end included (CLIP's context)."""

_MARKS = 2
_WORDS = r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"


def count_tokens(text: str) -> int:
    """Tokens of a prompt with the marks of begin and end, as the tokenizer of the package counts them.

    That tokenizer has few merges and splits words into small pieces; CLIP's own has many times as many and needs fewer
    tokens for English. So what fits here fits there.

    >>> count_tokens("")
    2
    """
    return len(_tokenizer().encode(text, add_special_tokens=False).ids) + _MARKS


def fits(text: str, limit: int = LIMIT) -> bool:
    """Whether the text encoder sees all of a prompt. A token has a byte at least, so that short ones need no counting."""
    return len(text.encode("utf-8", "surrogatepass")) + _MARKS <= limit or count_tokens(text) <= limit


@cache
def _tokenizer() -> Tokenizer:
    """CLIP's byte-pair encoding over the package's vocabulary, as transformers' `CLIPTokenizer` sets it up."""
    folder = files("idiff") / "assets" / "tokenizer"
    vocab, merges = models.BPE.read_file(str(folder / "vocab.json"), str(folder / "merges.txt"))
    made = Tokenizer(models.BPE(vocab, merges, end_of_word_suffix="</w>", unk_token="<|endoftext|>"))
    spaces = normalizers.Replace(Regex(r"\s+"), " ")
    made.normalizer = normalizers.Sequence([normalizers.NFC(), spaces, normalizers.Lowercase()])
    words = pre_tokenizers.Split(Regex(_WORDS), behavior="removed", invert=True)
    made.pre_tokenizer = pre_tokenizers.Sequence([words, pre_tokenizers.ByteLevel(add_prefix_space=False)])
    return made
