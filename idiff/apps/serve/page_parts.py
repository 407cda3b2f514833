"""Pieces of the page: words as HTML, with what people wrote escaped, and images as Gradio takes them."""

from __future__ import annotations

import html
import io
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from idiff.apps.serve.asking import Shown
from idiff.pipeline.image_input import examples

PRESETS: dict[str, tuple[int, float | None]] = {"the model's own": (0, None), "fast": (1, None), "careful": (20, None)}
"""Name -> steps (0: the model's own) and guidance of the text."""

HEAD = "<h1>idiff</h1><p>Drop or paste a picture and write what you want, one sentence a line.</p>"
HINT = "the red star\nMake the red star blue.\nleft hand, right hand\ndenoise"

CSS = """
.gradio-container { max-width: 1200px !important; }
#line p, #status p { overflow-wrap: anywhere; margin: 0.2em 0; }
#status progress { width: 100%; height: 1.2em; }
.idiff-notice { border-left: 4px solid #b02010; padding: 0.3em 0.7em; background: #b0201018; }
#files a { display: inline-block; margin: 0.2em 0.6em 0.2em 0; padding: 0.45em 0.8em; }
#files a { border: 1px solid currentColor; border-radius: 6px; }
#picture img { width: 100%; height: 100%; object-fit: contain; }
#picture img, #slider img, #side img, #examples img { image-rendering: pixelated; }
#side .grid-wrap, #history .grid-wrap, #examples .grid-wrap { min-height: 0; height: auto; max-height: none; }
#history .caption-label, #examples .caption-label { white-space: normal; overflow-wrap: anywhere; text-align: left; }
#examples .grid-container { max-width: 560px; }
@media (max-width: 640px) { .gradio-container { padding: 6px !important; } }
"""

_SENTENCES = {
    "segment": ("objects", "the red star"),
    "edit": ("objects", "Make the red star blue."),
    "keypoints": ("figure", "left hand, right hand"),
    "restore": ("noisy", "denoise"),
}


def examples_of(commands: Sequence[str], folder: Path) -> list[tuple[str, str]]:
    """Bundled scenes, each with a sentence for it: (file, sentence). They are copied to where uploads lie."""
    files, found = examples(), list[tuple[str, str]]()
    for command, (name, text) in _SENTENCES.items():
        if command in commands:
            copied = folder / "examples" / files[name].name
            copied.parent.mkdir(exist_ok=True)
            copied.write_bytes(files[name].read_bytes())
            found.append((str(copied), text))
    return found


def said(text: str) -> str:
    """A sentence about what went wrong."""
    return f'<p class="idiff-notice" role="alert">{html.escape(text[:1].upper() + text[1:])}</p>'


def progress(before: int | None, share: float) -> str:
    """How far a question is."""
    words = f"{share:.0%} done" if before is None else f"{before} before you"
    return f'<p>{words}</p><progress max="1" value="{share:.3f}" aria-label="{words}"></progress>'


def notice(answer: Shown) -> str:
    """An answer in one line, its joints, and why it should not be trusted."""
    parts = [f"<p><strong>{html.escape(answer.line)}</strong></p>"]
    if answer.keypoints:
        rows = [f"{name}: x {x:.1f}, y {y:.1f}, score {score:.2f}" for name, (x, y, score) in answer.keypoints.items()]
        parts.append(f"<p>{'<br>'.join(html.escape(row) for row in rows)}</p>")
    if answer.notice:
        parts.append(f'<p class="idiff-notice">{html.escape(answer.notice)}</p>')
    return "".join(parts)


def downloads(answer: Shown, key: str, place: int) -> str:
    """Links to the files of an answer."""
    stem = html.escape(answer.command, quote=True)
    return "".join(
        f'<a href="/api/jobs/{key}/{place}/{name}" download="{stem}_{name}">{name}</a>' for name in answer.files
    )


def seen(content: bytes | None, *, side: int | None = None) -> Image.Image:
    """A PNG as Gradio takes it, at most `side` pixels a side; None: gray."""
    image = Image.new("RGB", (side or 1, side or 1), "gray") if content is None else Image.open(io.BytesIO(content))
    if side is not None:
        image.thumbnail((side, side))
    return image
