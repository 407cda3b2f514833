"""Train the learned decoder: read masks and joints out of painted images, good ones and poor ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import torch
from torch import Tensor

from idiff.checks import check_number
from idiff.decoders import weights
from idiff.decoders.calibration import Calibration, chosen
from idiff.decoders.decoder_unet import ReadoutNet, planes
from idiff.decoders.queries import asked_paint, visible
from idiff.errors import CheckpointError, ConfigError
from idiff.models.autoencoder import Autoencoder
from idiff.models.io.checkpoint import load
from idiff.sampling import Sampling
from idiff.stages.base import Stage
from idiff.stages.disturbance import Disturbance
from idiff.stages.held_out import HeldOut
from idiff.stages.readout_loss import readout_loss, repaint
from idiff.types import Batch, Painted
from idiff.utils.seeds import torch_rng
from idiff.utils.settings import WEIGHTS


class ReadoutTraining(Stage):
    """Train the lightweight U-Net that turns painted images into masks and discs (InstructDiffusion, section 3.1).

    An example is painted in one of two ways, chosen by its position. Either its target goes through the autoencoder and is
    disturbed (`Disturbance`); or a frozen model paints it from source and instruction, mistakes included. The truth is the
    batch's `answer` either way, so that the net learns what the model's mistakes look like. The loss is cross-entropy a pixel,
    plus `overlap_weight` times one minus the soft overlap (Dice) of each map that is not empty.

    Validation paints held-out examples in the same ways. One half of the images fits temperature and bias (`HeldOut`), the
    other half tells the expected calibration error before and after: `val/ece_raw`, `val/ece`. What the net reads is painted
    anew over the source, as strongly as it is sure; so the evaluate callback scores the net's reading with the usual metrics.

    At the end of `fit` the decoder lies in `<run folder>/decoder`, see `idiff.decoders.weights`.

    Args:
        autoencoder: with weights; left out where there is a generator, which brings its own.
        generator: a checkpoint that paints examples: a `.ckpt` file, an exported folder, or a pretrained model's name.
        generated_share: share of examples that the generator paints, in [0, 1]. A score is the chance that the answer is there: the
            more a poor generator paints, the less the net trusts paint.
        steps: sampling steps of the generator; each example takes one of them.
        widths: channels of the net's levels.
        overlap_weight: weight of the overlap in the loss. It rewards finding what is there and is blind to what is not.
        disturbance: of painted truth.
        init_from: a decoder to go on from, see `idiff.decoders.weights.load`; None starts anew.
        calibrate_bias: fit a bias beside the temperature.
        **optim: see `Stage`.

    Raises:
        ConfigError: neither or both of autoencoder and generator are given, or a share or the steps cannot be used.
        CheckpointError: the generator or the decoder to go on from cannot be read, or the latter has other widths.
    """

    def __init__(
        self,
        *,
        autoencoder: Autoencoder | None = None,
        generator: str | None = None,
        generated_share: float = 0.3,
        steps: Sequence[int] = (1, 4),
        widths: Sequence[int] = (16, 32, 64),
        overlap_weight: float = 0.05,
        disturbance: Disturbance | None = None,
        calibrate_bias: bool = True,
        init_from: Annotated[str | None, WEIGHTS] = None,
        **optim: Any,
    ) -> None:
        super().__init__(**optim)
        if (autoencoder is None) == (generator is None):
            got = "neither" if generator is None else "both"
            raise ConfigError(
                f"a decoder's training needs either an autoencoder or a generator, which has one: got {got}."
            )
        check_number("generated_share", generated_share, least=0, most=1)
        check_number("overlap_weight", overlap_weight, least=0)
        if not steps:
            raise ConfigError("steps is empty: expected step counts of the generator, such as [1, 4].")
        for count in steps:
            check_number("steps", count, least=1, whole=True)
        self.net = ReadoutNet(widths)
        if init_from is not None:
            before = weights.load(init_from).net
            if before.widths != self.net.widths:
                raise CheckpointError(
                    f"{init_from} has widths {list(before.widths)}, expected {list(self.net.widths)}: set widths to them."
                )
            self.net.load_state_dict(before.state_dict())
        self.trained: dict[str, Any] = {}
        self.backbone = None
        if generator is not None:
            loaded = load(generator)
            self.backbone = loaded.backbone.requires_grad_(False)
            autoencoder = loaded.backbone.autoencoder
            self.trained = {"generator": loaded.name, "generator_sha256": loaded.sha256, "steps": list(steps)}
        assert autoencoder is not None
        self.autoencoder = autoencoder.requires_grad_(False)
        self.generated_share = generated_share if generator is not None else 0.0
        self.steps, self.overlap_weight, self.calibrate_bias = tuple(steps), overlap_weight, calibrate_bias
        self.disturbance = disturbance or Disturbance()
        self.calibrations: dict[str, Calibration] = {}
        self.held_out = HeldOut()

    def train(self, mode: bool = True) -> ReadoutTraining:
        """Set training mode; what is frozen stays in evaluation mode."""
        super().train(mode)
        for part in (self.autoencoder, self.backbone):
            if part is not None:
                part.eval()
        return self

    def frozen(self) -> tuple[str, ...]:
        """The autoencoder and the generator."""
        return ("autoencoder.", "backbone.")

    def describe(self) -> dict[str, Any]:
        """The decoder's shape and calibration, and what painted for it."""
        calibration = {kind: asdict(value) for kind, value in self.calibrations.items()}
        return {"readout": {"widths": list(self.net.widths), "calibration": calibration, "trained": self.trained}}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take the calibration back.

        Raises:
            CheckpointError: the checkpoint is of another model, or another generator painted for it.
        """
        super().on_load_checkpoint(checkpoint)
        there = checkpoint["readout"]
        wanted, got = there["trained"].get("generator_sha256"), self.trained.get("generator_sha256")
        if wanted != got:
            raise CheckpointError(
                f"the generator is not the one this checkpoint was trained with (SHA-256 {str(got)[:12]}, expected "
                f"{str(wanted)[:12]}, {there['trained'].get('generator')}). Put that one back, or start a new run."
            )
        self.calibrations = {kind: Calibration(**value) for kind, value in there["calibration"].items()}

    def render(self, pictures: Tensor) -> Tensor:
        """Images (B, 3, H, W) as the autoencoder renders them."""
        return self.autoencoder.render(pictures)

    @torch.no_grad()
    def paint(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Images to read: painted, and the sources as rendered, each (B, 3, H, W); an example depends on its position alone.

        Raises:
            ConfigError: the batch has no source.
        """
        if batch.source is None:
            raise ConfigError("a decoder compares an image with its source: train it on tasks that have one")
        rendered, edited = self.render(batch.source), torch.empty_like(batch.target)
        rngs = [torch_rng(self.seed, "readout", int(position)) for position in batch.position]
        painter = [float(torch.rand((), generator=rng)) < self.generated_share for rng in rngs]
        step = [self.steps[int(torch.randint(len(self.steps), (), generator=rng))] for rng in rngs]
        true = [row for row, generated in enumerate(painter) if not generated]
        if true:
            targets = self.render(batch.target[true])
            for target, row in zip(targets, true, strict=True):
                shown = float(batch.query[row].get("transparency", 0.0))
                edited[row] = self.disturbance(target, rendered[row], shown, rngs[row])
        for count in sorted(set(self.steps)):
            rows = [row for row in range(len(batch)) if painter[row] and step[row] == count]
            if rows:
                assert self.backbone is not None
                edited[rows] = self.backbone.edit(
                    batch.source[rows], [batch.instruction[row] for row in rows], sampling=Sampling(steps=count),
                    seeds=batch.position[rows].tolist(),
                )  # fmt: skip
        return edited, rendered

    def read(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """Paint the batch and read it.

        Returns:
            logits and truth, (N, H, W), one for each asked color; bool (B, K), which colors were asked; their blends,
            (B, K, 3, H, W); the sources as rendered, (B, 3, H, W).

        Raises:
            ConfigError: the batch has no truth to read, or its queries ask for no color.
        """
        colors, transparency = asked_paint(batch.query, batch.target)
        if batch.answer is None or batch.answer.shape[1] < colors.shape[1]:
            have = "none" if batch.answer is None else f"{batch.answer.shape[1]} maps per example"
            raise ConfigError(
                f"the batch's answer has {have}, its queries ask for {colors.shape[1]}: give `Triplet.answer` one map a color."
            )
        edited, rendered = self.paint(batch)
        inputs, asked = planes(edited, rendered, colors, transparency)
        truth = visible(batch.answer)[:, : colors.shape[1]][asked]
        share = transparency.view(-1, 1, 1, 1, 1)
        blends = share * rendered[:, None] + (1 - share) * colors.nan_to_num(0.0)[:, :, :, None, None]
        return self.net(inputs), truth, asked, blends, rendered

    def loss(self, batch: Batch, *, train: bool) -> Tensor:
        """Cross-entropy and overlap of every map that was asked for."""
        logits, truth, *_ = self.read(batch)
        return readout_loss(logits, truth, overlap_weight=self.overlap_weight)

    def validation_step(self, batch: Batch, batch_idx: int, dataloader_idx: int = 0) -> Painted:  # type: ignore[override]  # Lightning passes it on
        """Keep some pixels for the calibration; return the net's reading, painted anew over the source."""
        logits, truth, asked, blends, rendered = self.read(batch)
        loss = readout_loss(logits, truth, overlap_weight=self.overlap_weight)
        self.log(
            f"{self.split}/{batch.task[0]}/loss",
            loss,
            batch_size=self.rows_of_all(batch),
            add_dataloader_idx=False,
            sync_dist=True,
        )
        scores = logits.new_zeros((*asked.shape, *logits.shape[1:]))
        numbers = asked.nonzero()[:, 0].tolist()
        kinds = [float(batch.query[row]["transparency"]) for row in numbers]
        read = torch.stack([chosen(self.calibrations, kind)(one) for kind, one in zip(kinds, logits, strict=True)])
        scores[asked] = read
        rng = torch_rng(self.seed, "calibration", int(batch.position[0]))
        for row, kind, one, true in zip(numbers, kinds, logits, truth, strict=True):
            self.held_out.add(batch.keys[row], kind, one, true, rng=rng)
        return Painted(repaint(rendered, blends, scores), rendered)

    def on_validation_epoch_end(self) -> None:
        """Fit the calibration on one half of the held-out examples, and log its error on the other half."""
        held, self.held_out = self.held_out, HeldOut()
        found, errors = held.fit(bias=self.calibrate_bias)
        self.calibrations |= found
        for name, error in errors.items():
            self.log(f"val/{name}", error, prog_bar=True, sync_dist=True)
        if errors:
            self.print(f"expected calibration error {errors['ece_raw']:.4f}, calibrated {errors['ece']:.4f}")

    def on_fit_end(self) -> None:
        """Write the decoder, with averaged weights where there is an average."""
        if not self.trainer.is_global_zero or getattr(self.trainer, "fast_dev_run", False):
            return
        self.take_average()
        trained = self.trained | {"step": self.trainer.global_step}
        folder = Path(self.trainer.default_root_dir) / weights.INSIDE
        weights.save(folder, self.net, calibrations=self.calibrations, trained=trained)
        state = "calibrated" if self.calibrations else "not calibrated: no validation ran"
        self.print(f"decoder written to {folder}, {state}")
