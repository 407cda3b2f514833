"""What each vision task is: how its answer is painted, read back and scored."""

from idiff.tasks.base import Task
from idiff.tasks.keypoints import KeypointDetection
from idiff.tasks.segmentation import SemanticSegmentation

__all__ = ["KeypointDetection", "SemanticSegmentation", "Task"]
