"""LightningModules, one a training stage. They see batches and images, never a task."""

from idiff.stages.adaptation import Adaptation
from idiff.stages.alignment import PreferenceTraining
from idiff.stages.autoencoder import AutoencoderTraining
from idiff.stages.readout import ReadoutTraining
from idiff.stages.tasks import TaskTraining
from idiff.stages.text_encoder import TextTraining

__all__ = ["Adaptation", "AutoencoderTraining", "PreferenceTraining", "ReadoutTraining", "TaskTraining", "TextTraining"]
