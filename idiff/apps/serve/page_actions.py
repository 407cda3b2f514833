"""What the page does: ask and show how far it is, cancel, show an answer again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import gradio as gr
from starlette.concurrency import run_in_threadpool

from idiff.apps.serve.asking import Asker, Question, Shown
from idiff.apps.serve.engine import Engine, Job
from idiff.apps.serve.page_parts import downloads, notice, progress, said, seen
from idiff.checks import check_number
from idiff.errors import IdiffError
from idiff.tasks.asking import Asking

ANY = "by the sentence"
"""The task where none is chosen."""

HISTORY = 24
"""Answers that a page keeps."""

_POLL = 0.15
_THUMBNAIL = 200

Entry = tuple[str, int]
"""Job and place of an answer."""


class Actions:
    """The page's actions on an engine.

    Args:
        engine: works.
        asker: checks what is asked.
    """

    def __init__(self, engine: Engine[Question, list[Shown]], asker: Asker) -> None:
        self.engine, self.asker = engine, asker

    async def run(
        self, data: bytes | None, sentences: str | None, task: str, steps: float | None, guidance_text: float | None,
        guidance_image: float | None, seed: float | None, size: float | None, before: list[Entry], request: gr.Request,
    ) -> AsyncIterator[list[Any]]:  # fmt: skip
        """Ask. Yields status, the four views, the history and its pictures, again and again until the answer is there."""
        keep: list[Any] = [gr.skip()] * 6
        job: Job[Question, list[Shown]] | None = None
        try:
            if data is None:
                raise IdiffError("Drop a picture first.")
            asking = Asking(
                steps=int(steps) if steps else None, guidance_text=guidance_text, guidance_image=guidance_image,
                size=int(size) if size else None,
            )  # fmt: skip
            check_number("seed", seed or 0, least=0)
            lines, command = (sentences or "").splitlines(), None if task == ANY else task
            question = await run_in_threadpool(
                self.asker.question, data, lines, command=command, asking=asking, seed=int(seed or 0)
            )
            job = self.engine.submit(question, client=_client(request))
            while not job.ended:
                yield [progress(self.engine.place(job), job.share), *keep]
                await asyncio.sleep(_POLL)
            if job.state != "done" or job.result is None:
                raise IdiffError(job.error or "the question was cancelled.")
        except IdiffError as error:
            yield [said(str(error)), *keep]
            return
        finally:
            if job is not None and not job.ended:
                self.engine.cancel(job)
        after = [*((job.key, place) for place in range(len(job.result))), *before][:HISTORY]
        yield ["", *self._views(after[0]), after, self._thumbnails(after)]

    def again(self, before: list[Entry], chosen: gr.SelectData) -> list[Any]:
        """Show an answer of the history."""
        return self._views(before[chosen.index])

    def example(self, scenes: list[tuple[str, str]]) -> Callable[[gr.SelectData], list[str]]:
        """Put an example into the fields."""

        def put(chosen: gr.SelectData) -> list[str]:
            return list(scenes[chosen.index])

        return put

    def cancel(self, request: gr.Request) -> None:
        """End whatever this page waits for."""
        self.engine.cancel_all(_client(request))

    def _answer(self, entry: Entry) -> Shown:
        return (self.engine.job(entry[0]).result or [])[entry[1]]

    def _views(self, entry: Entry) -> list[Any]:
        """What is shown of an answer: line, slider, side by side, downloads."""
        try:
            answer = self._answer(entry)
        except IdiffError as error:
            return [said(str(error)), None, None, ""]
        source, painted, found = (seen(content) for content in answer.seen)
        side = [(source, "source"), (painted, "painted"), (found, "answer")]
        return [notice(answer), (source, found), side, downloads(answer, *entry)]

    def _thumbnails(self, entries: list[Entry]) -> list[tuple[Any, str]]:
        """Small pictures of answers; of one that was forgotten, a gray square."""
        found: list[tuple[Any, str]] = []
        for entry in entries:
            try:
                answer = self._answer(entry)
                found.append((seen(answer.seen[2], side=_THUMBNAIL), answer.sentence))
            except IdiffError:
                found.append((seen(None, side=_THUMBNAIL), "forgotten"))
        return found


def _client(request: gr.Request) -> str:
    return f"page {request.session_hash}"
