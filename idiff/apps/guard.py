"""What keeps a page on loopback from being used by other web sites that are open in the same browser.

- Requests whose Host is another name are refused: a site that makes its own name point to 127.0.0.1 gets nothing.
- What changes something must be JSON with a header of ours, which a browser sends for no other site without asking first.
- A page runs only the script and style that are written in it, and loads nothing from elsewhere.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from typing import Any

from fastapi import FastAPI, HTTPException, Request
from starlette.datastructures import MutableHeaders
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HOSTS = ("127.0.0.1", "localhost")
HEADER = "X-Idiff"
"""Must come with each request that changes something, with any value."""

_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
}
_PART = re.compile(r"<(script|style)>(.*?)</\1>", re.DOTALL)


def guard(app: FastAPI) -> None:
    """Make an application refuse requests for other hosts, and send headers that bind the browser.

    Args:
        app: a response of it that sets one of these headers itself keeps its own value.
    """
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=list(HOSTS), www_redirect=False)
    app.add_middleware(_Headers)


def page_policy(html: str) -> str:
    """The Content-Security-Policy of a page: its own script and style, by their hashes, and pictures and data of this server.

    Args:
        html: the page; its script and style stand in plain `<script>` and `<style>` elements.
    """
    hashes: dict[str, list[str]] = {"script": [], "style": []}
    for kind, text in _PART.findall(html):
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        hashes[kind].append(f"'sha256-{digest}'")
    own = "; ".join(f"{kind}-src {' '.join(found) or chr(39) + 'none' + chr(39)}" for kind, found in hashes.items())
    return (
        f"default-src 'none'; {own}; img-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


async def read_json(request: Request, *, limit: int) -> Any:
    """The body of a request that changes something.

    Args:
        request: must have `HEADER` and a JSON content type, and come from this server's own pages.
        limit: most bytes.

    Raises:
        HTTPException: 403 from elsewhere, 415 no JSON content type, 413 too long, 400 no JSON.
    """
    origin = request.headers.get("origin")
    if HEADER not in request.headers or (origin is not None and origin != f"http://{request.headers.get('host')}"):
        raise HTTPException(403, f"refused: only this server's own page, which sends {HEADER}, may change something")
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise HTTPException(415, "refused: expected a body of type application/json")
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > limit:
            raise HTTPException(413, f"refused: the body has more than {limit} bytes")
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise HTTPException(400, "refused: the body is no JSON") from None


class _Headers:
    """Adds `_HEADERS` to every response that lacks them."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        await self.app(scope, receive, with_headers)
