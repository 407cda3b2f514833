"""Lightning callbacks: evaluation, averaged weights, checkpoints, prediction files."""

from idiff.callbacks.average import WeightAverage
from idiff.callbacks.bands import TimestepLoss
from idiff.callbacks.best import BestCheckpoint
from idiff.callbacks.board import RunBoard
from idiff.callbacks.checkpoint_io import AtomicCheckpointIO
from idiff.callbacks.evaluate import Evaluate
from idiff.callbacks.keep_last import KeepLast
from idiff.callbacks.lines import ProgressLines
from idiff.callbacks.prediction_files import PredictionWriter
from idiff.callbacks.run_report import RunReport

__all__ = [
    "AtomicCheckpointIO",
    "BestCheckpoint",
    "Evaluate",
    "KeepLast",
    "PredictionWriter",
    "ProgressLines",
    "RunBoard",
    "RunReport",
    "TimestepLoss",
    "WeightAverage",
]
