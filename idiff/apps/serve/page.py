"""The page: drop a picture, write sentences, see source, painted and answer."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import gradio as gr
from fastapi import FastAPI

from idiff.apps.serve.asking import Asker, Question, Shown
from idiff.apps.serve.engine import Engine
from idiff.apps.serve.page_actions import ANY, Actions
from idiff.apps.serve.page_parts import CSS, HEAD, HINT, PRESETS, examples_of


def _file_bytes(payload: Any) -> bytes | None:
    """An uploaded file as its bytes, whatever they are: the same check as the API's says what is wrong with them."""
    if payload is None:
        return None
    if payload.url and payload.url.startswith("data:"):
        try:
            return base64.b64decode(payload.url.partition(",")[2])
        except binascii.Error:
            return b""
    return Path(payload.path).read_bytes()


def _local_only(picture: gr.Image) -> Callable[[str | Path | None], Awaitable[str | None]]:
    """What takes an upload in: never an address on the network, which Gradio would download."""
    take = picture.async_move_resource_to_block_cache

    async def taken(path: str | Path | None) -> str | None:
        if path is not None and re.match(r"[a-z]+:", str(path), re.IGNORECASE):
            raise gr.Error("send a file: addresses are not opened.")
        found: str | None = await take(path)
        return found

    return taken


def create_page(engine: Engine[Question, list[Shown]], asker: Asker, *, uploads: Path) -> FastAPI:
    """Build the page; it is at `/`.

    Args:
        engine: works.
        asker: checks what is asked.
        uploads: folder of Gradio's own files, as `GRADIO_TEMP_DIR` names it.
    """
    limits, actions = asker.limits, Actions(engine, asker)
    with gr.Blocks(title="idiff", analytics_enabled=False, delete_cache=(600, 3600)) as blocks:
        history = gr.State([])
        _words(HEAD)
        with gr.Row():
            with gr.Column(scale=2, min_width=300):
                asked, buttons, preset = _questions(asker)
            with gr.Column(scale=3, min_width=300):
                status, shown, past = _answers()
        scenes = examples_of(asker.commands, uploads)
        given = gr.Gallery(
            scenes, label="Examples", columns=4, height="auto", object_fit="contain", allow_preview=False, fit_columns=False,
            format="png", interactive=False, elem_id="examples", buttons=[],
        )  # fmt: skip
        outputs = [status, *shown, history, past]
        go, stop = buttons
        for start in (go.click, asked[1].submit):
            start(
                actions.run, [*asked, history], outputs, trigger_mode="once", concurrency_limit=None, show_progress="hidden",
                api_visibility="private",
            )  # fmt: skip
        stop.click(actions.cancel, None, None, queue=False, show_progress="hidden", api_visibility="private")
        given.select(actions.example(scenes), None, asked[:2], show_progress="hidden", api_visibility="private")
        past.select(actions.again, [history], shown, show_progress="hidden", api_visibility="private")
        preset.change(lambda name: list(PRESETS[name]), [preset], asked[3:5], api_visibility="private")
        blocks.unload(actions.cancel)
    blocks.queue(default_concurrency_limit=None, max_size=4 * limits.waiting)
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    theme = gr.themes.Default(font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"])  # no web fonts
    gr.mount_gradio_app(
        app, blocks, path="/", server_name="127.0.0.1", footer_links=[], run_history=False, ssr_mode=False, mcp_server=False,
        pwa=False, enable_monitoring=False, max_file_size=limits.bytes, theme=theme, css=CSS, show_error=False,
    )  # fmt: skip
    # Gradio takes paths anywhere on the disk for uploads until it was launched, and a mounted page never is
    blocks.has_launched = blocks.is_running = True
    return app


def _questions(asker: Asker) -> tuple[list[Any], tuple[gr.Button, gr.Button], gr.Radio]:
    """The left half: what is asked, in the order of `Actions.run`; the buttons; the presets."""
    picture = gr.Image(
        label="Picture", sources=["upload", "clipboard"], type="filepath", image_mode=None, format="png", height=300,
        elem_id="picture", buttons=["fullscreen"],
    )  # fmt: skip
    # set here, because Gradio writes a file beside the module of a class of one's own. It stays as long as events give the
    # picture new values and no new properties: that would make another component
    vars(picture).update(preprocess=_file_bytes, async_move_resource_to_block_cache=_local_only(picture))
    text = gr.Textbox(label="Sentences", lines=2, max_lines=8, elem_id="text", placeholder=HINT)
    task = gr.Dropdown([ANY, *asker.commands], value=ANY, label="Task", elem_id="task")
    with gr.Row():
        go = gr.Button("Answer", variant="primary", elem_id="go", min_width=120)
        stop = gr.Button("Cancel", variant="stop", elem_id="stop", min_width=120)
    own = "empty: the model's own"
    with gr.Accordion("Settings", open=False, elem_id="settings"):
        preset = gr.Radio(list(PRESETS), value=next(iter(PRESETS)), label="Preset", elem_id="preset")
        steps = gr.Slider(0, asker.limits.steps, 0, step=1, label="Steps (0: the model's own)", elem_id="steps")
        guidance = gr.Number(None, label=f"Guidance of the text ({own})", elem_id="guidance")
        image = gr.Number(None, label=f"Guidance of the image ({own})", elem_id="guidance-image")
        seed = gr.Number(0, label="Seed", precision=0, minimum=0, elem_id="seed")
        size = gr.Number(None, label=f"Size of the model's square in pixels ({own})", precision=0, elem_id="size")
    return [picture, text, task, steps, guidance, image, seed, size], (go, stop), preset


def _answers() -> tuple[gr.Markdown, list[Any], gr.Gallery]:
    """The right half: the status, what is shown of an answer, the history."""
    status, line = _words("", elem_id="status"), _words("", elem_id="line")
    slider = gr.ImageSlider(label="Source and answer", type="pil", interactive=False, format="png", elem_id="slider")
    side = gr.Gallery(
        label="Source, painted, answer", columns=3, height="auto", object_fit="contain", format="png", interactive=False,
        elem_id="side", buttons=["fullscreen"],
    )  # fmt: skip
    files = _words("", elem_id="files")
    past = gr.Gallery(
        label="History (newest first)", columns=4, height="auto", object_fit="contain", allow_preview=False, fit_columns=False,
        format="png", interactive=False, elem_id="history", buttons=[],
    )  # fmt: skip
    return status, [line, slider, side, files], past


def _words(text: str, **options: Any) -> gr.Markdown:
    """Words as HTML that the page cleans of script; `gr.HTML` runs what it is given, which the page's policy forbids."""
    return gr.Markdown(text, latex_delimiters=[], **options)
