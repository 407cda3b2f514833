"""What each vision task is: how its answer is painted, read back and scored."""

from idiff.tasks.base import Task
from idiff.tasks.captioned import Captioned
from idiff.tasks.classification import ImageClassification
from idiff.tasks.detection import ObjectDetection
from idiff.tasks.editing import InstructEditing
from idiff.tasks.keypoints import KeypointDetection
from idiff.tasks.referring import ReferringSegmentation
from idiff.tasks.restoration import Deblur, Denoise, Dewatermark
from idiff.tasks.segmentation import SemanticSegmentation

__all__ = [
    "Captioned",
    "Deblur",
    "Denoise",
    "Dewatermark",
    "ImageClassification",
    "InstructEditing",
    "KeypointDetection",
    "ObjectDetection",
    "ReferringSegmentation",
    "SemanticSegmentation",
    "Task",
]
