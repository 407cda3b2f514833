"""The page: drop a picture, write sentences, see source, painted and answer."""

from __future__ import annotations

import asyncio
import base64
import binascii
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import gradio as gr
from fastapi import FastAPI
from starlette.concurrency import run_in_threadpool

from idiff.apps.serve.asking import Asker, Question, Shown
from idiff.apps.serve.engine import Engine, Job
from idiff.apps.serve.page_parts import CSS, PRESETS, downloads, examples_of, notice, progress, said, seen
from idiff.errors import IdiffError
from idiff.pipeline.settings import AskSettings

ANY = "by the sentence"
"""The task where none is chosen."""

_POLL = 0.15
_HISTORY = 24


class Upload(gr.Image):
    """An image as its bytes, whatever they are: the same check as the API's says what is wrong with them."""

    is_template = True

    def preprocess(self, payload: Any) -> bytes | None:
        """The file's bytes."""
        if payload is None:
            return None
        if payload.url and payload.url.startswith("data:"):
            try:
                return base64.b64decode(payload.url.partition(",")[2])
            except binascii.Error:
                return b""
        return Path(payload.path).read_bytes()


def create_page(engine: Engine[Question, list[Shown]], asker: Asker) -> FastAPI:
    """Build the page; it is at `/`.

    Args:
        engine: works.
        asker: checks what is asked.
    """
    limits = asker.limits
    font = ["system-ui", "sans-serif"]
    theme = gr.themes.Default(font=font, font_mono=["ui-monospace", "monospace"])  # none from the network
    with gr.Blocks(title="idiff", analytics_enabled=False, delete_cache=(600, 3600)) as blocks:
        history = gr.State([])
        gr.HTML("<h1>idiff</h1><p>Drop a picture, write what you want to see, one sentence a line.</p>")
        with gr.Row():
            with gr.Column(scale=2, min_width=300):
                picture = Upload(
                    label="Picture", sources=["upload", "clipboard"], type="filepath", image_mode=None, format="png",
                    height=300, elem_id="picture", buttons=["fullscreen"],
                )  # fmt: skip
                text = gr.Textbox(
                    label="Sentences", lines=2, max_lines=8, elem_id="text",
                    placeholder="the red star\nMake the red star blue.\nleft hand, right hand\ndenoise",
                )  # fmt: skip
                task = gr.Dropdown([ANY, *asker.commands], value=ANY, label="Task", elem_id="task")
                with gr.Row():
                    go = gr.Button("Answer", variant="primary", elem_id="go")
                    stop = gr.Button("Cancel", variant="stop", elem_id="stop")
                with gr.Accordion("Settings", open=False, elem_id="settings"):
                    preset = gr.Radio(list(PRESETS), value=next(iter(PRESETS)), label="Preset", elem_id="preset")
                    steps = gr.Slider(0, limits.steps, 0, step=1, label="Steps (0: the model's own)", elem_id="steps")
                    guidance = gr.Number(
                        None, label="Guidance of the text (empty: the model's own)", elem_id="guidance"
                    )
                    image = gr.Number(None, label="Guidance of the image (empty: the model's own)")
                    seed = gr.Number(0, label="Seed", precision=0, minimum=0, elem_id="seed")
                    size = gr.Number(
                        None, label="Size of the model's square in pixels (empty: the model's own)", precision=0
                    )
                gr.Examples(
                    examples_of(asker.commands),
                    [picture, text],
                    label="Examples",
                    elem_id="examples",
                    cache_examples=False,
                )
            with gr.Column(scale=3, min_width=300):
                status = gr.HTML("", elem_id="status")
                line = gr.HTML("", elem_id="line")
                slider = gr.ImageSlider(
                    label="Source and answer", type="filepath", interactive=False, format="png", elem_id="slider"
                )
                side = gr.Gallery(
                    label="Source, painted, answer", columns=3, height="auto", object_fit="contain", format="png",
                    interactive=False, elem_id="side", buttons=["fullscreen"],
                )  # fmt: skip
                files = gr.HTML("", elem_id="files")
                past = gr.Gallery(
                    label="History (newest first)", columns=4, height="auto", object_fit="contain", allow_preview=False,
                    format="png", interactive=False, elem_id="history",
                )  # fmt: skip
        shown = [line, slider, side, files]

        async def ask(
            data: bytes | None, sentences: str, chosen: str, settings: tuple[Any, ...], before: list[Any], client: str
        ) -> AsyncIterator[list[Any]]:
            keep: list[Any] = [gr.skip()] * 6
            if data is None:
                yield [said("Drop a picture first."), *keep]
                return
            job: Job[Question, list[Shown]] | None = None
            try:
                how = AskSettings(**_settings(*settings))
                question = await run_in_threadpool(
                    asker.question,
                    data,
                    sentences.splitlines(),
                    command=None if chosen == ANY else chosen,
                    settings=how,
                )
                job = engine.submit(question, client=client)
                while not job.ended:
                    yield [progress(engine.place(job), job.share), *keep]
                    await asyncio.sleep(_POLL)
            except IdiffError as error:
                yield [said(str(error)), *keep]
                return
            finally:
                if job is not None and not job.ended:
                    engine.cancel(job)
            if job.state != "done" or job.result is None:
                yield [said(job.error or "cancelled."), *keep]
                return
            entries = [(job.key, place) for place in range(len(job.result))]
            after = [*entries, *before][:_HISTORY]
            yield ["", *_views(engine, after[0]), after, _thumbnails(engine, after)]

        async def run(
            data: bytes | None, sentences: str, chosen: str, steps: Any, guidance: Any, image: Any, seed: Any, size: Any,
            before: list[Any], request: gr.Request,
        ) -> AsyncIterator[list[Any]]:  # fmt: skip
            async for update in ask(
                data,
                sentences or "",
                chosen,
                (steps, guidance, image, seed, size),
                before,
                request.session_hash or "page",
            ):
                yield update

        def again(before: list[Any], chosen: gr.SelectData) -> list[Any]:
            return _views(engine, before[chosen.index])

        def cancel(request: gr.Request) -> None:
            engine.cancel_all(request.session_hash or "page")

        inputs = [picture, text, task, steps, guidance, image, seed, size, history]
        many = {"concurrency_limit": None, "show_progress": "hidden", "api_visibility": "private"}
        for start in (go.click, text.submit):
            start(run, inputs, [status, *shown, history, past], trigger_mode="once", **many)
        stop.click(cancel, None, None, queue=False, show_progress="hidden", api_visibility="private")
        past.select(again, [history], shown, **many)
        preset.change(lambda name: list(PRESETS[name]), [preset], [steps, guidance], **many)
        blocks.unload(cancel)
    blocks.queue(default_concurrency_limit=None, max_size=4 * limits.waiting)
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    return gr.mount_gradio_app(
        app, blocks, path="/", server_name="127.0.0.1", footer_links=[], run_history=False, ssr_mode=False, mcp_server=False,
        pwa=False, enable_monitoring=False, max_file_size=limits.bytes, theme=theme, css=CSS, show_error=False,
    )  # fmt: skip


def _settings(steps: Any, guidance: Any, image: Any, seed: Any, size: Any) -> dict[str, Any]:
    """What the fields hold, as arguments of `AskSettings`."""
    return {
        "steps": int(steps) if steps else None,
        "guidance_text": guidance,
        "guidance_image": image,
        "seed": int(seed or 0),
        "size": int(size) if size else None,
    }


def _views(engine: Engine[Question, list[Shown]], entry: tuple[str, int]) -> list[Any]:
    """What is shown of an answer: line, slider, side by side, downloads."""
    key, place = entry
    try:
        answer = (engine.job(key).result or [])[place]
    except IdiffError as error:
        return [said(str(error)), None, None, ""]
    source, painted, found = (seen(content) for content in answer.seen)
    side = [(source, "source"), (painted, "painted"), (found, "answer")]
    return [notice(answer), (source, found), side, downloads(answer, key, place)]


def _thumbnails(engine: Engine[Question, list[Shown]], entries: list[tuple[str, int]]) -> list[tuple[Any, str]]:
    """Small pictures of answers that are still kept."""
    found: list[tuple[Any, str]] = []
    for key, place in entries:
        try:
            answer = (engine.job(key).result or [])[place]
        except IdiffError:
            break
        found.append((seen(answer.seen[2], side=200), answer.sentence))
    return found
