"""Serve an application on loopback until it is interrupted."""

from __future__ import annotations

import errno
import socket

import uvicorn
from starlette.types import ASGIApp

from idiff.errors import ConfigError

HOST = "127.0.0.1"
_GRACE = 2
"""Seconds that open requests have to finish once the server is told to stop."""


def listen(port: int) -> socket.socket:
    """Take a port of this machine's loopback, which no other machine can reach.

    Args:
        port: 1 to 65535, or 0: any that is free.

    Raises:
        ConfigError: another program has it, or it may not be used.
    """
    taken = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind((HOST, port))
        taken.listen(128)
    except (OSError, OverflowError) as error:
        taken.close()
        if getattr(error, "errno", None) == errno.EADDRINUSE:
            raise ConfigError(
                f"port {port} is taken by another program. Give another one: --port {port + 1}."
            ) from None
        reason = getattr(error, "strerror", None) or error
        raise ConfigError(f"port {port} cannot be used: {reason}. Expected 1024 to 65535.") from None
    return taken


def serve(app: ASGIApp, *, on: socket.socket, lifespan: bool = False) -> None:
    """Serve until SIGINT or SIGTERM; open requests are answered first.

    Args:
        app: what to serve.
        on: from `listen`; closed afterwards.
        lifespan: the application has a start and an end of its own.

    Raises:
        KeyboardInterrupt: SIGINT came.
    """
    settings = uvicorn.Config(
        app, log_level="warning", access_log=False, server_header=False, timeout_graceful_shutdown=_GRACE, ws="none",
        lifespan="on" if lifespan else "off", proxy_headers=False,
    )  # fmt: skip
    with on:
        uvicorn.Server(settings).run(sockets=[on])
