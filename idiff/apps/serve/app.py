"""Joins the API and the page, behind one gate."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from starlette.types import ASGIApp, Receive, Scope, Send

from idiff.apps.guard import Gate
from idiff.apps.serve.api import create_api
from idiff.apps.serve.asking import Asker, weigh
from idiff.apps.serve.engine import Engine
from idiff.apps.serve.limits import Limits
from idiff.apps.serve.metrics import Metrics
from idiff.pipeline import Pipeline

API = ("/api/", "/health", "/metrics", "/openapi.json")
"""What the addresses of the API begin with; the rest is the page."""

POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; "
    "font-src 'self' data:; connect-src 'self' data: blob:; worker-src 'self' blob:; manifest-src 'self'; base-uri 'self'; "
    "form-action 'self'; frame-ancestors 'none'"
)
"""Gradio's page has script and style in it; nothing may come from elsewhere or go there."""


class _Joined:
    """One application of two: the API, and the page with its start and end."""

    def __init__(self, api: ASGIApp, page: ASGIApp) -> None:
        self.api, self.page = api, page

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        to_api = scope["type"] == "http" and scope["path"].startswith(API)
        await (self.api if to_api else self.page)(scope, receive, send)


@contextmanager
def serving(pipe: Pipeline, *, limits: Limits | None = None) -> Iterator[ASGIApp]:
    """The application of a model; files that people upload are removed with it.

    Args:
        pipe: the model, which the application alone may use.
        limits: what a question may cost.

    Yields:
        the application; it needs its lifespan.
    """
    limits, metrics = limits or Limits(), Metrics()
    asker = Asker(pipe, limits=limits, metrics=metrics)
    engine = Engine(asker.answer, weigh=weigh, limits=limits, metrics=metrics)
    try:
        with tempfile.TemporaryDirectory(prefix="idiff-serve-") as folder:
            os.environ |= {
                "GRADIO_TEMP_DIR": folder,
                "GRADIO_ANALYTICS_ENABLED": "False",
                "HF_HUB_DISABLE_TELEMETRY": "1",
            }
            from idiff.apps.serve.page import create_page  # reads the environment

            joined = _Joined(create_api(engine, asker), create_page(engine, asker, uploads=Path(folder).resolve()))
            yield Gate(joined, limit=limits.bytes + (1 << 20), policy=POLICY)
    finally:
        engine.close()
