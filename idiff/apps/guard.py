"""What keeps a page on loopback from being used by other web sites that are open in the same browser.

- Requests whose Host is another name are refused: a site that makes its own name point to 127.0.0.1 gets nothing.
- What changes something must be JSON with a header of ours, which a browser sends for no other site without asking first.
- A page runs only script and style that are files of this server, none that is written in it, and loads nothing from elsewhere.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlsplit

from fastapi import FastAPI, HTTPException, Request
from fastapi.responses import JSONResponse, Response
from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

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


class Gate:
    """Guards any application as `guard` does, and lets bodies of other kinds than JSON in: whole, small and from here alone.

    A request that changes something and comes from a page of another site is refused with 403, one for another host with 400, a
    body that is too long with 413.

    Args:
        app: what is guarded.
        limit: most bytes of a body.
        policy: the content security policy, for pages that need another than that of `guard`.
    """

    def __init__(self, app: ASGIApp, *, limit: int, policy: str) -> None:
        self.app, self.limit = app, limit
        self.headers = _HEADERS | {"Content-Security-Policy": policy}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        got, begun = 0, False

        async def counted() -> Message:
            nonlocal got
            message = await receive()
            got += len(message.get("body", b""))
            if got > self.limit:
                raise _TooLongError
            return message

        async def with_headers(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = True
                headers = MutableHeaders(scope=message)
                for name, value in self.headers.items():
                    headers.setdefault(name, value)
            await send(message)

        refusal = self._refusal(scope["method"], Headers(scope=scope))
        if refusal is not None:
            await refusal(scope, receive, with_headers)
            return
        try:
            await self.app(scope, counted, with_headers)
        except _TooLongError:
            if begun:
                raise
            await self._too_long()(scope, receive, with_headers)

    def _refusal(self, method: str, headers: Headers) -> Response | None:
        host = headers.get("host", "")
        if urlsplit(f"//{host}").hostname not in HOSTS:
            return JSONResponse({"error": "refused: this server answers to 127.0.0.1 and localhost alone."}, 400)
        origin, site = headers.get("origin"), headers.get("sec-fetch-site", "none")
        foreign = (origin is not None and origin != f"http://{host}") or site not in {"none", "same-origin"}
        if method not in {"GET", "HEAD", "OPTIONS"} and foreign:
            return JSONResponse({"error": "refused: a page of another site may not ask this server."}, 403)
        length = headers.get("content-length", "")
        return self._too_long() if length.isdecimal() and int(length) > self.limit else None

    def _too_long(self) -> Response:
        return JSONResponse({"error": f"the request has more than {self.limit:,} bytes: send a smaller image."}, 413)


class _TooLongError(Exception):
    """A body that goes on beyond the limit."""


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
