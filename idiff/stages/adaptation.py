"""Stage 1: a text-to-image model learns to paint images that carry areas of color and discs."""

from __future__ import annotations

from typing import Any

from idiff.errors import ConfigError
from idiff.models.backbone import LatentDiffusion
from idiff.stages.tasks import TaskTraining


class Adaptation(TaskTraining):
    """Pre-training adaptation (InstructDiffusion, section 3.3): text-to-image on marked images, no truth of any task.

    A share of the images carries random areas of color or discs, and a caption that says so (`Captioned(marks=...)`), so that
    what stage 2 paints is not new to the model. Its checkpoint starts stage 2, where the first convolution is widened with zeros.

    Args:
        backbone: a text-to-image model, `with_source: false`.
        **options: see `TaskTraining`.

    Raises:
        ConfigError: the model takes a source image.
    """

    def __init__(self, *, backbone: LatentDiffusion, **options: Any) -> None:
        if backbone.with_source:
            raise ConfigError(
                "adaptation trains a text-to-image model, this one takes a source image: set "
                "model.backbone.with_source: false"
            )
        super().__init__(backbone=backbone, **options)
