"""What a diffusion model is trained for."""

from __future__ import annotations

from dataclasses import dataclass

from idiff.errors import ConfigError


@dataclass
class Objective:
    """How the diffusion model is trained. The defaults are those of Stable Diffusion 1.5 and InstructDiffusion.

    Attributes:
        prediction: what the U-Net predicts: `epsilon`, `v_prediction` or `sample`.
        zero_terminal_snr: no signal is left at the last timestep (arXiv 2305.08891); needs `v_prediction` or `sample`.
        spacing: inference timesteps: `trailing`, `leading` or `linspace`.
        terminal_share: share of training rows drawn at the last timestep; the rest is uniform.
        changed_weight: weight of latent cells where the target differs from the source; 1 weighs all alike.
        min_snr_gamma: min-SNR weighting (arXiv 2303.09556); None weighs all timesteps alike.
        dropout_text, dropout_image, dropout_both: shares of rows whose condition is dropped: text alone, source alone, both.
        residual: the U-Net's output is added to the scaled source latent, so that what stays as it is need not be learnt; a new
            U-Net starts as a copy of its source. Needs `sample`. Where the source is missing or dropped, zeros are added.
        recognition_weight: weight of the loss that teaches the U-Net what is where, where the data says so; see `Recognition`.
        rule: guidance formula the dropout prepares for: `instructdiffusion` or `instructpix2pix`.
    """

    prediction: str = "epsilon"
    zero_terminal_snr: bool = False
    spacing: str = "leading"
    terminal_share: float = 0.0
    changed_weight: float = 1.0
    min_snr_gamma: float | None = None
    dropout_text: float = 0.075
    dropout_image: float = 0.075
    dropout_both: float = 0.0
    residual: bool = False
    recognition_weight: float = 0.0
    rule: str = "instructdiffusion"

    def __post_init__(self) -> None:
        if self.residual and self.prediction != "sample":
            raise ConfigError(
                f"objective.residual needs the prediction 'sample', got '{self.prediction}': the source is added to a clean latent"
            )
