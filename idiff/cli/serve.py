"""`idiff serve`: a web page and an HTTP API on this machine, where a model answers."""

from __future__ import annotations

import contextlib
import os
import sys
from dataclasses import fields

from idiff.cli.arguments import WEIGHTS_HELP, WordParser, at_least_one, number_from, say
from idiff.cli.own_code import add_trust
from idiff.cli.pages import need_packages, port

PORT = 7860


def run(words: list[str]) -> int:
    """Serve until Ctrl-C.

    Raises:
        IdiffError: packages are missing, the checkpoint cannot be used, or the port is taken.
    """
    options = _parser().parse_args(words)
    need_packages("idiff serve", "fastapi", "uvicorn", "gradio", "prometheus_client")
    os.environ |= {"GRADIO_ANALYTICS_ENABLED": "False", "HF_HUB_DISABLE_TELEMETRY": "1"}

    from idiff.apps.serve.limits import Limits
    from idiff.apps.serving import HOST, listen, serve

    listening = listen(options.port)  # before the model is loaded, which takes a while
    with listening:
        from idiff.apps.serve.app import serving
        from idiff.pipeline import Pipeline

        given = {each.name: getattr(options, each.name, None) for each in fields(Limits)}
        limits = Limits(**{name: value for name, value in given.items() if value is not None})
        pipe = Pipeline(options.checkpoint, device=options.device, dtype=options.dtype, trust=options.trust)
        with serving(pipe, limits=limits) as app:
            address = f"http://{HOST}:{listening.getsockname()[1]}/"
            say(f"{address}  ({options.checkpoint}; HTTP is described at {address}openapi.json; Ctrl-C ends)")
            sys.stdout.flush()  # into a pipe, too
            with contextlib.suppress(KeyboardInterrupt):
                serve(app, on=listening, lifespan=True)
    say("\nended")
    return 0


def _parser() -> WordParser:
    parser = WordParser(prog="idiff serve", description=__doc__, allow_abbrev=False)
    add = parser.add_argument
    add("--port", type=port, default=PORT, metavar="N", help=f"port on 127.0.0.1; default: {PORT}; 0: any free port")
    checkpoint = WEIGHTS_HELP
    add("--checkpoint", default="tiny", metavar="CKPT", help=checkpoint)
    add(
        "--device",
        default="auto",
        metavar="NAME",
        help="auto (the GPU if there is one), cpu, cuda, mps; default: auto",
    )
    add("--dtype", metavar="NAME", help="type of the weights: float32, bfloat16 or float16; default: float32")
    add("--pixels", type=at_least_one, metavar="N", help="maximum number of pixels of an image; default: 16 million")
    add("--bytes", type=at_least_one, metavar="N", help="maximum size of an image file in bytes; default: 20 MiB")
    add("--seconds", type=number_from(0.1), metavar="X", help="time limit of one answer in seconds; default: 120")
    add("--waiting", type=at_least_one, metavar="N", help="maximum number of waiting requests; default: 64")
    add_trust(parser)
    return parser
