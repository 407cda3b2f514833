"""Stage 3 as preference training: the chosen candidate is made likelier than the one that lost against it.

The other form of stage 3, fine-tuning on the chosen candidates alone (InstructDiffusion, section 3.3), is `TaskTraining` as it is.
"""

from __future__ import annotations

import copy
import hashlib
from typing import Annotated, Any, ClassVar

import torch
from torch import Tensor

from idiff.checks import check_number
from idiff.diffusion import draw_dropout, draw_timesteps, min_snr_weight, per_sample_noise, training_target
from idiff.diffusion.preference import implicit_reward, preference_accuracy, preference_loss
from idiff.errors import CheckpointError, ConfigError
from idiff.models.backbone import LatentDiffusion
from idiff.stages.tasks import TaskTraining
from idiff.types import Batch, BatchBase
from idiff.utils.seeds import torch_rng
from idiff.utils.settings import WEIGHTS

ADAPTER = "lora_"
"""In the names of weights that change nothing before they are trained."""


class PreferenceTraining(TaskTraining):
    """Diffusion-DPO (Wallace et al., arXiv 2311.12908): learn from pairs of a chosen and a rejected image.

    A frozen copy of the weights that training starts from is the reference. It is not a part of a checkpoint: a run that goes on
    makes it again from `init_from`, and its SHA-256 has to be the same. Chosen and rejected image of an example share noise,
    timestep and the noise of the posterior. No condition is dropped. A validation set without rejected images logs the usual
    loss.

    Args:
        backbone: the model.
        init_from: what training starts from, see `TaskTraining`; here it must be given.
        beta: how far the model may move from the reference: larger stays nearer. See `implicit_reward`.
        **options: see `TaskTraining` and `Stage`.

    Raises:
        ConfigError: there is no `init_from`, or beta is not positive.
    """

    takes: ClassVar[tuple[type[BatchBase], ...]] = (Batch,)

    def __init__(
        self,
        *,
        backbone: LatentDiffusion,
        init_from: Annotated[str | None, WEIGHTS] = None,
        beta: float = 2500.0,
        **options: Any,
    ) -> None:
        if init_from is None:
            raise ConfigError(
                "preference training compares with the weights it starts from, and none were named: set "
                "model.init_from to a checkpoint of stage 2."
            )
        check_number("beta", beta, above=0)
        super().__init__(backbone=backbone, init_from=init_from, **options)
        self.beta = beta
        self.reference = frozen_copy(self.backbone)
        self.started_from = {"path": init_from, "sha256": weights_sha256(self.reference)}

    def train(self, mode: bool = True) -> PreferenceTraining:
        """Set training mode; the reference stays in evaluation mode."""
        super().train(mode)
        self.reference.eval()
        return self

    def describe(self) -> dict[str, Any]:
        """What `TaskTraining` says, and the reference by path and SHA-256."""
        return super().describe() | {"reference": dict(self.started_from)}

    def frozen(self) -> tuple[str, ...]:
        """What `TaskTraining` leaves out, and the reference."""
        return (*super().frozen(), "reference.")

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Check that the reference is the one this training began with, too.

        Raises:
            CheckpointError: as `TaskTraining`; or the reference is another one.
        """
        super().on_load_checkpoint(checkpoint)
        wanted = checkpoint.get("reference") or {"path": "a training without preferences", "sha256": "none"}
        if wanted["sha256"] != self.started_from["sha256"]:
            raise CheckpointError(
                f"the reference at {self.started_from['path']} is not the one this training began with (SHA-256 "
                f"{self.started_from['sha256'][:12]}, expected {wanted['sha256'][:12]}, from {wanted['path']}). Set "
                "model.init_from to that one."
            )

    def loss(self, batch: Batch, *, train: bool, source_latent: Tensor | None = None) -> Tensor:  # type: ignore[override]  # see `takes`
        """Equation 14 over the batch, a scalar; logs the share of pairs in the right order, and the implicit rewards.

        Raises:
            ConfigError: a training batch has no rejected images.
        """
        if batch.rejected is None and not train:
            return super().loss(batch, train=False, source_latent=source_latent)
        chosen, rejected = self.rewards(batch)
        place = "train" if train else f"val/{batch.task[0]}"
        figures = {
            "preference_accuracy": preference_accuracy(chosen, rejected),
            "preference_margin": (chosen - rejected).mean(),
            "reward_chosen": chosen.mean(),
            "reward_rejected": rejected.mean(),
        }
        for name, value in figures.items():
            self.log(
                f"{place}/{name}",
                value.detach(),
                batch_size=self.rows_of_all(batch),
                add_dataloader_idx=False,
                sync_dist=not train,
            )
        return preference_loss(chosen, rejected)

    def rewards(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Implicit rewards of the chosen and the rejected images, each (B,).

        Raises:
            ConfigError: the batch has no rejected images, or no source.
        """
        if batch.rejected is None or batch.source is None:
            lacks = "no rejected images" if batch.rejected is None else "no source images"
            raise ConfigError(
                f"examples of {', '.join(sorted(set(batch.task)))} have {lacks}: preference training needs pairs, as "
                "`idiff align build` writes them."
            )
        model, rows = self.backbone, len(batch)
        objective, schedule = model.objective, model.schedule
        with torch.no_grad():
            latents = []
            for pictures in (batch.target, batch.rejected):
                rngs = [torch_rng(self.seed, "noise", int(position)) for position in batch.position]
                t = draw_timesteps(rngs, schedule.num_train_timesteps, terminal_share=objective.terminal_share)
                draw_dropout(rngs, text=0.0, image=0.0)  # keeps the draws those of `LatentDiffusion.loss`
                latents.append(model.autoencoder.encode_target(pictures, rngs))
            clean = torch.cat(latents)
            t = t.to(clean.device).repeat(2)
            noise = per_sample_noise(rngs, clean.shape[1:]).to(clean).repeat(2, 1, 1, 1)
            noisy = schedule.add_noise(clean, noise, t)
            target = training_target(clean, noise, t=t, schedule=schedule, prediction_type=objective.prediction)
            condition = model.autoencoder.encode_source(batch.source).repeat(2, 1, 1, 1)
            weight: Tensor | float = 1.0
            if objective.min_snr_gamma is not None:
                weight = min_snr_weight(schedule.snr(t), objective.min_snr_gamma, prediction_type=objective.prediction)

        def errors(net: LatentDiffusion) -> Tensor:
            states = net.text(batch.instruction).repeat(2, 1, 1)
            predicted = net.predict(noisy, t, states, condition).float()
            return weight * (predicted - target.float()).square().flatten(1).mean(dim=1)

        with torch.no_grad():
            before = errors(self.reference)
        gained = implicit_reward(errors(model), before, beta=self.beta)
        return gained[:rows], gained[rows:]


def frozen_copy(backbone: LatentDiffusion) -> LatentDiffusion:
    """A copy that is never trained. Parts of the model that are frozen anyway are shared, not copied."""
    shared: list[torch.nn.Module] = [backbone.autoencoder]
    shared += [] if backbone.text.reference is None else [backbone.text]
    head, backbone.recognition = backbone.recognition, None
    try:
        copied = copy.deepcopy(backbone, {id(part): part for part in shared})
    finally:
        backbone.recognition = head
    for name, parameter in copied.named_parameters():
        if not name.startswith(("autoencoder.",)):
            parameter.requires_grad_(False)
    return copied.eval()


def weights_sha256(backbone: LatentDiffusion) -> str:
    """SHA-256 over names, shapes and float32 values of what a backbone does not share with others, in name order."""
    digest = hashlib.sha256()
    skipped = ("autoencoder.",) if backbone.text.reference is None else ("autoencoder.", "text.")
    for name, value in sorted(backbone.state_dict().items()):
        if not name.startswith(skipped) and ADAPTER not in name:
            digest.update(f"{name}:{tuple(value.shape)};".encode())
            digest.update(value.detach().cpu().float().contiguous().numpy().tobytes())
    return digest.hexdigest()
