"""What a diffusion model is trained for."""

from __future__ import annotations

from dataclasses import dataclass

from idiff.checks import check_choice, check_number
from idiff.diffusion import Branch, branches
from idiff.errors import ConfigError
from idiff.sampling import PredictionName, RuleName, Sampling, SpacingName


@dataclass
class Objective:
    """How the diffusion model is trained. The defaults are those of Stable Diffusion 1.5 and InstructDiffusion.

    Attributes:
        prediction: what the U-Net predicts: `epsilon`, `v_prediction` or `sample`.
        zero_terminal_snr: no signal is left at the last timestep (arXiv 2305.08891); needs `v_prediction` or `sample`.
        spacing: inference timesteps: `trailing`, `leading` or `linspace`.
        terminal_share: share of training examples drawn at the last timestep; the rest is uniform.
        scheduled_sampling: share of the other examples whose noisy latent is made from what the model itself predicts at the last
            timestep, not from the target: so sampling in several steps meets what training showed (Bengio et al., arXiv
            1506.03099; for diffusion Deng et al., arXiv 2210.05147, section 3.2). Needs `sample`.
        changed_weight: weight of latent cells where the target differs from the source; 1 weighs all alike.
        min_snr_gamma: min-SNR weighting (arXiv 2303.09556); None weighs all timesteps alike.
        dropout_text, dropout_image, dropout_both: shares of examples whose condition is dropped: text alone, source alone, both.
        residual: the U-Net's output is added to the scaled source latent, so that what stays as it is need not be learnt; a new
            U-Net starts as a copy of its source. Needs `sample`. Where the source is missing or dropped, zeros are added.
        auxiliary_loss_weight: weight of the loss that teaches the U-Net what is where, where the data says so; see `AuxiliaryLoss`.
        rule: guidance formula the dropout prepares for and that images are sampled by: `instructdiffusion` or `instructpix2pix`.

    Raises:
        ConfigError: a name that is unknown, a number out of its range, dropped shares that sum to more than 1, or an option that
            needs another prediction.
    """

    prediction: PredictionName = "epsilon"
    zero_terminal_snr: bool = False
    spacing: SpacingName = "leading"
    terminal_share: float = 0.0
    scheduled_sampling: float = 0.0
    changed_weight: float = 1.0
    min_snr_gamma: float | None = None
    dropout_text: float = 0.075
    dropout_image: float = 0.075
    dropout_both: float = 0.0
    residual: bool = False
    auxiliary_loss_weight: float = 0.0
    rule: RuleName = "instructdiffusion"

    def __post_init__(self) -> None:
        check_choice("prediction", self.prediction, PredictionName)
        check_choice("spacing", self.spacing, SpacingName)
        check_choice("rule", self.rule, RuleName)
        dropped = ("dropout_text", "dropout_image", "dropout_both")
        for name in ("terminal_share", "scheduled_sampling", *dropped):
            check_number(name, getattr(self, name), least=0, most=1)
        for name in ("changed_weight", "auxiliary_loss_weight"):
            check_number(name, getattr(self, name), least=0)
        check_number("min_snr_gamma", self.min_snr_gamma, above=0, optional=True)
        if sum(getattr(self, name) for name in dropped) > 1 + 1e-9:
            raise ConfigError(
                f"{' + '.join(dropped)} is {' + '.join(f'{getattr(self, name):g}' for name in dropped)}: expected at most 1, an "
                "example drops one of them."
            )
        for name, why in {"residual": "the source is added", "scheduled_sampling": "noise is added"}.items():
            if getattr(self, name) and self.prediction != "sample":
                raise ConfigError(
                    f"objective.{name} needs the prediction 'sample', got '{self.prediction}': {why} to a clean latent"
                )

    def branches(self, sampling: Sampling) -> list[Branch]:
        """The U-Net evaluations of a step of sampling, by the rule.

        Raises:
            ConfigError: the settings are meant for another rule.
        """
        text, image = sampling.scales(self.rule)
        return branches(self.rule, text=text, image=image)
