"""What the API sends, as its description says it."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field

from idiff.apps.serve.asking import Question, Shown
from idiff.apps.serve.engine import Engine, Job, State


class Problem(BaseModel):
    """What is wrong, in a sentence."""

    error: str


class Joint(BaseModel):
    """A joint that was found, in the pixels of the image."""

    x: float
    y: float
    score: float = Field(ge=0, le=1)


class AnswerShown(BaseModel):
    """What the model says about a sentence."""

    sentence: str
    command: str = Field(description="what was done: chosen by the sentence, where no task was given")
    line: str = Field(description="the answer in one line")
    prompts: list[str] = Field(description="what the model was told")
    score: float | None = Field(
        description="in [0, 1]; null for edits and restoration, where nothing says how good they are"
    )
    notice: str | None = Field(description="why the answer should not be trusted; null where nothing speaks against it")
    pixels: int | None = Field(description="of the mask; null where the answer is none")
    keypoints: dict[str, Joint] | None = None
    seconds: float
    files: dict[str, str] = Field(description="name -> address of a file, as long as the answer is kept")


class JobShown(BaseModel):
    """A question and what became of it."""

    id: str
    state: State
    before: int | None = Field(description="questions that come before it; null where it does not wait")
    share: float = Field(ge=0, le=1, description="of the work that is done")
    error: str | None
    answers: list[AnswerShown]


class Health(BaseModel):
    """Whether the server works, and how busy it is."""

    status: str
    waiting: int
    running: int


class Model(BaseModel):
    """What can be asked."""

    name: str
    commands: list[str]
    examples: list[str]
    limits: dict[str, float]


def job_shown(engine: Engine[Question, list[Shown]], job: Job[Question, list[Shown]]) -> JobShown:
    """A job as the API shows it."""
    done = job.state == "done"
    return JobShown(
        id=job.key,
        state=job.state,
        before=engine.place(job),
        share=job.share,
        error=job.error,
        answers=[_answer(job.key, place, each) for place, each in enumerate(job.result or [])] if done else [],
    )


def _answer(key: str, place: int, shown: Shown) -> AnswerShown:
    found: dict[str, Any] = {name: getattr(shown, name) for name in AnswerShown.model_fields if hasattr(shown, name)}
    found["keypoints"] = (
        None
        if shown.keypoints is None
        else {name: Joint(x=x, y=y, score=min(max(score, 0.0), 1.0)) for name, (x, y, score) in shown.keypoints.items()}
    )
    found["files"] = {name: f"/api/jobs/{key}/{place}/{name}" for name in shown.files}
    return AnswerShown(**found)
