"""Stage 2: train the backbone on triplets of all tasks (InstructDiffusion, section 3.3)."""

from __future__ import annotations

import math
from typing import Annotated, Any, ClassVar

import torch
from torch import Tensor

from idiff.checks import check_number
from idiff.errors import CheckpointError
from idiff.models.autoencoder import once_each
from idiff.models.backbone import LatentDiffusion
from idiff.models.io.checkpoint import frozen_folders, load
from idiff.models.io.folders import folder_sha256, subfolder
from idiff.models.io.transfer import transfer_weights
from idiff.models.lora import Lora, adapt
from idiff.sampling import Sampling
from idiff.stages.base import Stage
from idiff.types import Batch, BatchBase, LatentBatch, Painted
from idiff.utils.settings import FREE, WEIGHTS


class TaskTraining(Stage):
    """Train a latent diffusion model on instruction-guided image edits.

    Args:
        backbone: the model.
        init_from: a checkpoint, exported folder or pretrained model whose averaged weights training starts from, with a fresh
            optimizer and step 0. A text-to-image model is widened for the source; attention and residual blocks that it lacks start
            silent; every other weight must be there.
        lora: train low-rank adapters of what was loaded, and what is new in full, instead of every weight. A checkpoint then
            holds these alone, and names what they were trained on by path and SHA-256.
        sampling: how images are sampled where a task does not say.
        max_rows: examples sampled at a time in validation and prediction, to bound memory.
        compile: `torch.compile` the U-Net for training on CUDA; elsewhere it is left as it is, which is said.
        **optim: see `Stage`.
    """

    takes: ClassVar[tuple[type[BatchBase], ...]] = (Batch, LatentBatch)

    def __init__(
        self,
        *,
        backbone: LatentDiffusion,
        init_from: Annotated[str | None, WEIGHTS] = None,
        lora: Lora | None = None,
        sampling: Annotated[Sampling | None, FREE] = None,
        max_rows: Annotated[int, FREE] = 64,
        compile: Annotated[bool, FREE] = False,
        **optim: Any,
    ) -> None:
        super().__init__(**optim)
        check_number("max_rows", max_rows, least=1, whole=True)
        self.backbone = backbone
        self.sampling = sampling or Sampling()
        self.sampling.scales(backbone.objective.rule)
        self.max_rows, self.compile_wanted = max_rows, compile
        if init_from is not None:
            source = load(init_from)
            record = transfer_weights(backbone, source.backbone.state_dict(), origin=init_from)
            record.sources = [{"path": str(init_from), "kind": "model", "sha256": source.sha256, "step": source.step}]
            record.said.append(f"{init_from} had taken {source.step} steps")
        backbone.provenance.complete(list(backbone.state_dict()), frozen=frozen_folders(backbone))
        self.adapters: dict[str, Any] | None = None
        if lora is not None:
            layers = adapt(backbone, lora)
            base = self._base()
            self.adapters = {"rank": lora.rank, "alpha": lora.alpha, "layers": layers, "base": base}
        self._resumed = False

    def _base(self) -> dict[str, Any]:
        """What training starts from, with its SHA-256."""
        base = self.backbone.provenance.sources[0]
        base["sha256"] = base["sha256"] or folder_sha256(subfolder(base["path"], "unet"))
        return base

    @property
    def bases(self) -> list[str]:
        """Paths of the weights that the model starts from; none where its U-Net is new."""
        return [str(source["path"]) for source in self.backbone.provenance.sources]

    def describe(self) -> dict[str, Any]:
        """The backbone's description, and that of the adapters."""
        adapters = {} if self.adapters is None else {"lora": self.adapters}
        return {"backbone": self.backbone.describe()} | adapters

    def frozen(self) -> tuple[str, ...]:
        """The autoencoder, and a text encoder that is not trained; with adapters, everything that is not trained."""
        if self.adapters is not None:
            trained = {name for name, parameter in self.named_parameters() if parameter.requires_grad}
            return tuple(key for key in self.state_dict() if key not in trained)
        text = () if self.backbone.text.reference is None else ("backbone.text.",)
        return ("backbone.autoencoder.", *text)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Check that the frozen parts are those the checkpoint was trained with, too.

        Raises:
            CheckpointError: the checkpoint is of another model or of another autoencoder or text encoder, or of adapters of another
                one.
        """
        self._resumed = True
        if ("lora" in checkpoint) != (self.adapters is not None):
            have, want = ("adapters", "none") if self.adapters is None else ("no adapters", "some")
            raise CheckpointError(f"the checkpoint has {have}, this model {want}: set model.lora as in its training")
        super().on_load_checkpoint(checkpoint)
        there, here = checkpoint["backbone"], self.backbone.describe()
        parts = {"autoencoder": (here["autoencoder"], there["autoencoder"])}
        if "weights" in there["text"]:
            parts["text encoder"] = (here["text"]["weights"], there["text"]["weights"])
        if self.adapters is not None:
            parts["base of the adapters"] = (self.adapters["base"], checkpoint["lora"]["base"])
        for name, (got, wanted) in parts.items():
            if got["sha256"] != wanted["sha256"]:
                raise CheckpointError(
                    f"the {name} at {got['path']} is not the one this checkpoint was trained with (SHA-256 "
                    f"{got['sha256'][:12]}, expected {wanted['sha256'][:12]}, from {wanted['path']}). Put that one back."
                )

    def configure_model(self) -> None:
        """Shard the U-Net where the strategy is Lightning's `ModelParallelStrategy`; called for every strategy.

        Raises:
            ConfigError: see `shard_unet`.
        """
        if self.device_mesh is not None:
            from idiff.utils.sharding import shard_unet

            shard_unet(self, self.backbone.unet, self.device_mesh)

    def on_fit_start(self) -> None:
        """Say what was loaded and what is new, and write the list of all weights to `handover.json` in the run folder.

        A run that goes on has its weights from its checkpoint: there is nothing to say.

        Raises:
            ConfigError: a task samples by another rule than the model's.
        """
        for entry in getattr(getattr(self.trainer, "datamodule", None), "entries", {}).values():
            entry.sampled(fitting=True).scales(self.backbone.objective.rule)
        self._compile()
        self._lay_out()
        if self._resumed:
            return
        for line in self.backbone.report:
            self.print(line)
        if self.trainer.is_global_zero and not getattr(self.trainer, "fast_dev_run", False):
            if self.backbone.provenance.sources:
                self._base()
            self.backbone.provenance.write(self.trainer.default_root_dir)

    def _lay_out(self) -> None:
        """In bfloat16 on a CPU weights are not channels-last: group norms in that layout lose more than convolutions gain."""
        if self.device.type == "cpu" and self.trainer.precision == "bf16-mixed":
            self.backbone.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]

    def _compile(self) -> None:
        """Compile the U-Net in place, where it is asked for and can be: keys of the weights stay the same."""
        if not self.compile_wanted:
            return
        if self.device.type == "cuda":
            self.backbone.unet.compile()
        else:
            self.print(f"model.compile is left out: it is for CUDA, and this is {self.device.type}")

    def loss(self, batch: Batch | LatentBatch, *, train: bool, source_latent: Tensor | None = None) -> Tensor:
        """See `LatentDiffusion.loss`; conditions are dropped in training only."""
        loss = self.backbone.loss(batch, seed=self.seed, dropout=train, source_latent=source_latent)
        if train and self.backbone.recognition is not None and math.isfinite(self.backbone.recognition.accuracy):
            self.log("train/named", self.backbone.recognition.accuracy, batch_size=len(batch))
        return loss

    def render(self, pictures: Tensor) -> Tensor:
        """Images (B, 3, H, W) as the autoencoder renders them, `max_rows` at a time; equal ones in a row once."""
        return once_each(self.backbone.autoencoder.render, pictures, most=self.max_rows)

    def source_latent(self, batch: Batch) -> Tensor | None:
        """Latents (B, C, h, w) of the sources, unscaled, each image encoded once; None for text-to-image."""
        if batch.source is None:
            return None
        return once_each(
            self.backbone.autoencoder.encode_source, batch.source, index=batch.image_index, most=self.max_rows
        )

    def paint(self, batch: Batch, latent: Tensor | None = None) -> Painted:
        """Sample the batch's images; noise depends on each example's position alone.

        Args:
            batch: prompts and sources.
            latent: what `source_latent` made of it, where that is known.
        """
        sampling, autoencoder = batch.sampling or self.sampling, self.backbone.autoencoder
        latent = self.source_latent(batch) if latent is None else latent
        images, evaluations = [], []
        for start in range(0, len(batch), self.max_rows):
            rows = slice(start, start + self.max_rows)
            found = self.backbone.edit_counted(
                None, batch.instruction[rows], sampling=sampling, seeds=batch.position[rows].tolist(),
                latent=None if latent is None else latent[rows],
            )  # fmt: skip
            images.append(found.pictures)
            evaluations += found.evaluations
        if latent is None:
            sources = self.render(batch.target)
        else:
            sources = once_each(
                lambda each: autoencoder.decode(autoencoder.scale * each), latent, index=batch.image_index, most=self.max_rows
            )  # fmt: skip
        return Painted(torch.cat(images), sources, evaluations)

    def validation_step(self, batch: Batch, batch_idx: int, dataloader_idx: int = 0) -> Painted:  # type: ignore[override]  # Lightning passes it on
        """Paint; the evaluate callback reads and scores it. Logs the loss under fixed noise."""
        latent = self.source_latent(batch)
        loss = self.loss(batch, train=False, source_latent=latent)
        self.log(
            f"{self.split}/{batch.task[0]}/loss",
            loss,
            batch_size=self.rows_of_all(batch),
            add_dataloader_idx=False,
            sync_dist=True,
        )
        return self.paint(batch, latent)

    def predict_step(self, batch: Batch, batch_idx: int, dataloader_idx: int = 0) -> Painted:
        """Paint."""
        return self.paint(batch)
