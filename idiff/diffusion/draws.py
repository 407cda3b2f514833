"""Random draws of one training or sampling step. One generator a sample.

So an example's draws do not depend on the batch it is in. Each function takes the same amount of randomness from every
generator, whatever its settings.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from idiff.errors import ConfigError


def per_sample_noise(
    rngs: Sequence[torch.Generator],
    shape: Sequence[int],
    *,
    device: torch.device | str | None = None,
    dtype: torch.dtype = torch.float32,
) -> Tensor:
    """Standard normal noise, each example from its own generator.

    Args:
        rngs: B generators.
        shape: of one example, such as (C, h, w).
        device: where to put the result. Drawing happens on the generator's device, so a CPU generator gives the same
            noise for every device.
        dtype: of the draw and the result.

    Returns:
        (B, *shape).
    """
    rows = [torch.randn(tuple(shape), generator=rng, device=rng.device, dtype=dtype) for rng in rngs]
    return torch.stack(rows).to(device)


def draw_timesteps(rngs: Sequence[torch.Generator], num_train_timesteps: int, *, terminal_share: float = 0.0) -> Tensor:
    """Training timesteps: uniform in [0, T), with an extra share at T - 1, where few-step sampling starts.

    Args:
        rngs: B generators.
        num_train_timesteps: T.
        terminal_share: probability in [0, 1] that an example takes T - 1 instead of the uniform draw.

    Returns:
        int64 (B,) on the CPU. T - 1 has probability terminal_share + (1 - terminal_share) / T.

    Raises:
        ConfigError: terminal_share is not a probability.
    """
    if not 0 <= terminal_share <= 1:
        raise ConfigError(f"terminal_share is {terminal_share}: expected a probability in [0, 1].")
    last = num_train_timesteps - 1
    uniform = [int(torch.randint(num_train_timesteps, (), generator=rng, device=rng.device)) for rng in rngs]
    terminal = _uniform(rngs) < terminal_share
    return torch.where(terminal, last, torch.tensor(uniform, dtype=torch.int64))


def draw_dropout(
    rngs: Sequence[torch.Generator], *, text: float, image: float, both: float = 0.0
) -> tuple[Tensor, Tensor]:
    """Which examples lose their text, their image or both, for classifier-free guidance.

    The three events exclude each other. InstructDiffusion: text 7.5 %, image 7.5 %, never both. InstructPix2Pix
    (arXiv 2211.09800, section 3.2.1): 5 % each.

    Args:
        rngs: B generators.
        text: probability that the text alone is dropped.
        image: probability that the image alone is dropped.
        both: probability that both are dropped.

    Returns:
        bool (B,), bool (B,) on the CPU: the text is dropped, the image is dropped.

    Raises:
        ConfigError: a share is negative, or they sum to more than 1.
    """
    if min(text, image, both) < 0 or text + image + both > 1:
        raise ConfigError(
            f"condition dropout text={text}, image={image}, both={both}: expected shares of at least 0 that "
            "sum to at most 1."
        )
    u = _uniform(rngs)
    neither = u >= text + image + both
    text_alone = u < text
    image_alone = (u >= text) & (u < text + image)
    return ~neither & ~image_alone, ~neither & ~text_alone


def draw_share(rngs: Sequence[torch.Generator], share: float) -> Tensor:
    """Which examples belong to a share of all: bool (B,) on the CPU. `share` is a probability in [0, 1]."""
    return _uniform(rngs) < share


def _uniform(rngs: Sequence[torch.Generator]) -> Tensor:
    """One float64 in [0, 1) a generator: (B,) on the CPU."""
    values = [float(torch.rand((), generator=rng, device=rng.device, dtype=torch.float64)) for rng in rngs]
    return torch.tensor(values, dtype=torch.float64)
