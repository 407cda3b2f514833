"""Train the text encoder alone, before any image: a sentence has to tell what it asks."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from idiff.checks import check_number
from idiff.models.text import TextEncoder
from idiff.stages.base import Stage
from idiff.types import BatchBase, SentenceBatch
from idiff.utils.seeds import hash64

NOTHING = "nothing"
"""The answer to a question about something a sentence does not speak of."""

_TABLE = 4096


class Words(nn.Module):
    """Any short text to a vector: the mean of the vectors its words are hashed to."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.table = nn.EmbeddingBag(_TABLE, width, mode="mean")

    def forward(self, texts: list[str]) -> Tensor:
        """Vectors (N, D) of N texts. `left wrist` and `right wrist` share a word; the whole text counts as one, too."""
        words = [[text, *text.split()] for text in texts]
        flat = torch.tensor([hash64("word", word) % _TABLE for row in words for word in row])
        starts = torch.tensor([0, *[len(row) for row in words][:-1]]).cumsum(0)
        device = self.table.weight.device
        vectors: Tensor = self.table(flat.to(device), starts.to(device))
        return vectors


class TextTraining(Stage):
    """Train the text encoder to answer questions about its sentences.

    CLIP's encoder learns language from captioned images (Radford et al., arXiv 2103.00020). A small one that reads
    instructions can learn it from the facts themselves: each question ("left wrist") attends to the sentence's states, as a U-Net's
    cross-attention will, and has to find the answer ("red") among all answers of the batch. Questions of other sentences are mixed
    in, whose answer is "nothing". Only the encoder is kept: at the end of `fit` it lies in `<run folder>`, in the hub's layout
    (`text_encoder/`, `tokenizer/`).

    Args:
        text: built from a config.
        strangers: questions of other sentences that each sentence is asked.
        **optim: see `Stage`.
    """

    takes: ClassVar[tuple[type[BatchBase], ...]] = (SentenceBatch,)

    def __init__(self, *, text: TextEncoder, strangers: int = 3, **optim: Any) -> None:
        super().__init__(**optim)
        check_number("strangers", strangers, least=0, whole=True)
        self.text = text
        self.strangers = strangers
        width = text.width
        self.questions, self.answers = Words(width), Words(width)
        self.attention = nn.MultiheadAttention(width, num_heads=4, batch_first=True)
        self.out = nn.Linear(width, width)
        self.norm = nn.LayerNorm(width)

    def loss(self, batch: SentenceBatch, *, train: bool) -> Tensor:
        """Cross-entropy of the answers. Logs the share that is right, as `train/accuracy`: no sentence is read twice."""
        asked = ask(batch.facts, strangers=self.strangers)
        most = max(len(row) for row in asked)
        padded = [[question for question, _ in row] + [""] * (most - len(row)) for row in asked]
        queries = self.questions([question for row in padded for question in row])
        states = self.text(batch.instruction)
        found, _ = self.attention(queries.view(len(asked), most, -1), states, states, need_weights=False)
        choices = sorted({answer for row in asked for _, answer in row})
        place = {answer: index for index, answer in enumerate(choices)}
        truth = [place[answer] for row in asked for _, answer in row]
        rows = [i * most + j for i, row in enumerate(asked) for j in range(len(row))]
        seen = self.norm(queries + found.reshape(len(queries), -1))[torch.tensor(rows, device=states.device)]
        logits = self.out(seen) @ self.answers(choices).T
        wanted = torch.tensor(truth, device=states.device)
        if train:
            right = (logits.detach().argmax(dim=1) == wanted).float().mean()
            self.log("train/accuracy", right, prog_bar=True, batch_size=len(batch))
        return F.cross_entropy(logits, wanted)

    def on_fit_end(self) -> None:
        """Write the encoder, with averaged weights where there is an average."""
        if not self.trainer.is_global_zero or getattr(self.trainer, "fast_dev_run", False):
            return
        self.take_average()
        folder = Path(self.trainer.default_root_dir)
        self.text.save(folder)
        self.print(f"text encoder written to {folder}")


def ask(facts: list[dict[str, str]], *, strangers: int) -> list[list[tuple[str, str]]]:
    """Questions and answers for each sentence: its own, and up to `strangers` of the sentences after it that it does not answer.

    >>> ask([{"nose": "red"}, {"neck": "blue"}], strangers=1)
    [[('nose', 'red'), ('neck', 'nothing')], [('neck', 'blue'), ('nose', 'nothing')]]
    """
    asked = []
    for row, own in enumerate(facts):
        others: list[str] = []
        for step in range(1, len(facts)):
            if len(others) >= strangers:
                break
            others += [q for q in facts[(row + step) % len(facts)] if q not in own and q not in others][:1]
        asked.append([*own.items(), *[(question, NOTHING) for question in others]])
    return asked
