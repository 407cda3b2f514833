"""What one question may cost, and how many may wait."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of a server. What is beyond them is refused with a sentence.

    Attributes:
        bytes: of a request.
        pixels: of an image, by its header, before it is decoded.
        sentences: of a question. letters: of a sentence.
        steps: sampling steps. guidance: largest scale. size: side of the model's square in pixels.
        waiting: questions in the queue. waiting_each: those of one client.
        seconds: that a question may be worked on.
        kept: bytes of answers in memory; the oldest are forgotten first.
    """

    bytes: int = 20 << 20
    pixels: int = 16_000_000
    sentences: int = 8
    letters: int = 500
    steps: int = 100
    guidance: float = 30.0
    size: int = 512
    waiting: int = 64
    waiting_each: int = 32
    seconds: float = 120.0
    kept: int = 256 << 20
