"""Three lines of Python: load a model, ask it about an image, look at the answer.

::

    from idiff import Pipeline

    pipe = Pipeline("tiny")
    answer = pipe.segment("photo.png", "the red star")
"""

from idiff.pipeline.asking import RESTORATIONS, Pipeline
from idiff.pipeline.image_input import EXAMPLE, AnyPicture
from idiff.pipeline.results import UNFAMILIAR, Answer, to_coco

__all__ = ["EXAMPLE", "RESTORATIONS", "UNFAMILIAR", "Answer", "AnyPicture", "Pipeline", "to_coco"]
