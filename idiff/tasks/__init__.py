"""What each vision task is: how its answer is painted, read back and scored.

Every class of a task in a module of this package is found and offered here under its own name: a new one is named nowhere.
"""

import importlib
import inspect
import pkgutil

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


def by_kind() -> dict[str, type[Task]]:
    """The tasks of this package: kind -> class."""
    return {task.kind: task for task in _found().values()}


def _found() -> dict[str, type[Task]]:
    """The classes of tasks that the modules of this package define, by name."""
    modules = (
        importlib.import_module(f"{__name__}.{each.name}") for each in pkgutil.iter_modules(__path__) if not each.ispkg
    )
    return {
        name: task
        for module in modules
        for name, task in vars(module).items()
        if inspect.isclass(task) and issubclass(task, Task) and task.__module__ == module.__name__
        and not inspect.isabstract(task) and hasattr(task, "kind")
    }  # fmt: skip


for _name, _task in _found().items():
    if _name not in __all__:
        globals()[_name] = _task
        __all__.append(_name)
