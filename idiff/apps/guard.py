"""What keeps a page on loopback from being used by other web sites that are open in the same browser.

- Requests whose Host is another name are refused: a site that makes its own name point to 127.0.0.1 gets nothing.
- What changes something must be JSON with a header of ours, which a browser sends for no other site without asking first.
- A page runs only script and style that are files of this server, none that is written in it, and loads nothing from elsewhere.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import FastAPI, HTTPException, Request
from fastapi.responses import Response
from starlette.middleware.trustedhost import TrustedHostMiddleware

from idiff.utils.foreign import parse_json

HOSTS = ("127.0.0.1", "localhost")
HEADER = "X-Idiff"
"""Must come with each request that changes something, with any value."""

_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
}


def guard(app: FastAPI) -> None:
    """Make an application refuse requests for other hosts, and send headers that bind the browser.

    Args:
        app: a response of it that sets one of these headers itself keeps its own value.
    """
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=list(HOSTS), www_redirect=False)

    @app.middleware("http")
    async def with_headers(request: Request, respond: Callable[[Request], Awaitable[Response]]) -> Response:
        response = await respond(request)
        for name, value in _HEADERS.items():
            response.headers.setdefault(name, value)
        return response


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
        return parse_json(bytes(body))
    except ValueError:
        raise HTTPException(400, "refused: the body is no JSON") from None
