"""Three lines of Python: load a model, ask it about a picture, look at the answer.

from idiff import Pipeline
pipe = Pipeline("tiny")
answer = pipe.segment("photo.png", "the red star")
"""

from idiff.pipeline.answers import UNFAMILIAR, Answer, to_coco
from idiff.pipeline.asking import RESTORATIONS, Pipeline
from idiff.pipeline.reading import EXAMPLE

__all__ = ["EXAMPLE", "RESTORATIONS", "UNFAMILIAR", "Answer", "Pipeline", "to_coco"]
