"""Train the package's byte-pair tokenizer on the instruction bank and write it as CLIP tokenizer files.

    python tools/make_tokenizer.py

At most 2,048 tokens: every byte (alone and at a word's end), merges learnt from the bank and from
tools/tokenizer_words.txt, and the two special tokens, last, as CLIP has them. The same inputs give the same files.
"""

import json
import re
from pathlib import Path

from tokenizers import Regex, Tokenizer, normalizers, pre_tokenizers
from tokenizers.models import BPE
from tokenizers.trainers import BpeTrainer

ROOT = Path(__file__).resolve().parents[1]
OUT = ROOT / "idiff" / "assets" / "tokenizer"
SIZE = 2048
SPECIAL = ["<|startoftext|>", "<|endoftext|>"]
PATTERN = r"""<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"""


def corpus() -> list[str]:
    """Bank sentences without their slots, and single words."""
    lines = []
    banks = (ROOT / "idiff" / "tasks" / "instructions").glob("*.txt")
    for file in sorted(banks, key=lambda file: (file.stem == "edits", file)):
        sentences = [line for line in file.read_text().splitlines() if line and not line.startswith("#")]
        lines += [re.sub(r"\{\w+\}", " ", sentence) for sentence in sentences] * 3
    words = (ROOT / "tools" / "tokenizer_words.txt").read_text().split()
    return lines + words * 5


def main() -> None:
    tokenizer = Tokenizer(BPE(unk_token=None, end_of_word_suffix="</w>", continuing_subword_prefix=""))
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PATTERN), behavior="removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = BpeTrainer(
        vocab_size=SIZE - len(letters) - len(SPECIAL),
        initial_alphabet=letters,
        end_of_word_suffix="</w>",
        min_frequency=3,
        show_progress=False,
    )
    tokenizer.train_from_iterator(corpus(), trainer)
    state = json.loads(tokenizer.to_str())["model"]
    merges = [pair if isinstance(pair, str) else " ".join(pair) for pair in state["merges"]]
    # every byte, alone and at the end of a word, comes first; then what the merges make, in their order
    tokens = letters + [letter + "</w>" for letter in letters] + ["".join(merge.split(" ")) for merge in merges]
    tokens = list(dict.fromkeys(tokens))[: SIZE - len(SPECIAL)]
    known = set(tokens)
    merges = [merge for merge in merges if "".join(merge.split(" ")) in known]
    vocab = {token: index for index, token in enumerate([*tokens, *SPECIAL])}
    OUT.mkdir(parents=True, exist_ok=True)
    (OUT / "vocab.json").write_text(json.dumps(vocab, ensure_ascii=False) + "\n")
    (OUT / "merges.txt").write_text("#version: 0.2\n" + "\n".join(merges) + "\n")
    settings = {
        "tokenizer_class": "CLIPTokenizer",
        "model_max_length": 77,
        "bos_token": SPECIAL[0],
        "eos_token": SPECIAL[1],
        "unk_token": SPECIAL[1],
        "pad_token": SPECIAL[1],
    }
    (OUT / "tokenizer_config.json").write_text(json.dumps(settings, indent=2) + "\n")
    print(f"{len(vocab)} tokens, {len(merges)} merges written to {OUT}")


if __name__ == "__main__":
    main()
