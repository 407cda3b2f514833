"""The preference picker: people choose the best none to two of the candidates of each sample (InstructDiffusion, section 3.3)."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI, HTTPException, Request
from fastapi.responses import JSONResponse, Response
from fastapi.staticfiles import StaticFiles
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException as AnyHTTPException

from idiff.alignment.candidates import CandidateFolder
from idiff.alignment.decisions import parse_decision
from idiff.alignment.picks import PickJournal, annotators, check_annotator, decisions_by_annotator
from idiff.apps.guard import guard, read_json
from idiff.apps.picker_samples import PickerSamples
from idiff.errors import ConfigError, IdiffError

MAX_BODY = 4096
"""Bytes of a request."""

_KEEP = "private, max-age=604800, immutable"
"""The page adds the sample's version to the address of an image: another image has another address."""


def create_app(folder: CandidateFolder, *, annotator: str | None = None) -> FastAPI:
    """Build the picker of a folder of candidates.

    | address | answers |
    |---|---|
    | `GET /`, `GET /picker.css`, `GET /picker.js` | the page |
    | `GET /api/hello` | what is served, the names known, and who decides where the page does not know |
    | `GET /api/state?annotator=NAME` | all samples, in whose order to show the candidates, and what NAME decided |
    | `GET /api/progress?annotator=NAME` | how many samples there are, and how many everyone else has decided |
    | `GET /pictures/SAMPLE/source`, `GET /pictures/SAMPLE/INDEX` | a PNG |
    | `POST /api/decisions` | `{"saved": true}` once the decision is on the disk |

    What fails is answered with `{"error": sentence}`: 4xx where the request is at fault, 5xx where trying again may help.

    Args:
        folder: samples that are written to it later are served, too.
        annotator: who decides, where the page's address names nobody.

    Raises:
        ConfigError: a name that cannot be used.
    """
    samples = PickerSamples(folder)
    default = None if annotator is None else check_annotator(annotator)
    app = FastAPI(title="picker", docs_url=None, redoc_url=None, openapi_url=None)
    guard(app)

    @app.exception_handler(IdiffError)
    def failed(_: Request, error: IdiffError) -> JSONResponse:
        return JSONResponse({"error": str(error)}, status_code=400 if isinstance(error, ConfigError) else 500)

    @app.exception_handler(AnyHTTPException)
    def refused(_: Request, error: AnyHTTPException) -> JSONResponse:
        return JSONResponse({"error": str(error.detail)}, status_code=error.status_code)

    @app.get("/favicon.ico")
    def icon() -> Response:
        return Response(status_code=204)

    @app.get("/api/hello")
    def hello() -> dict[str, Any]:
        known = annotators(folder.path)
        return {"folder": samples.identity, "task": samples.task, "annotator": default, "annotators": known}

    @app.get("/api/state")
    def state(annotator: str = "") -> dict[str, Any]:
        name = check_annotator(annotator)
        decided = PickJournal(folder.path, name).decisions()
        return {
            "samples": [samples.shown(sample, annotator=name) for sample in samples.names()],
            "decisions": [
                {"sample": sample, "chosen": decision.chosen, "time": decision.time}
                for sample, decision in decided.items()
            ],
            **progress(name),
        }

    @app.get("/api/progress")
    def progress(annotator: str = "") -> dict[str, Any]:
        names = set(samples.names())
        others = {
            name: len(names & decisions.keys())
            for name, decisions in decisions_by_annotator(folder.path).items()
            if name != annotator
        }
        return {"folder": samples.identity, "total": len(names), "damaged": samples.damaged, "others": others}

    @app.get("/pictures/{sample}/{which}")
    def picture(sample: str, which: str, v: str = "") -> Response:
        data, version = samples.picture(sample, which)
        return Response(data, media_type="image/png", headers={"Cache-Control": _KEEP} if v == version else None)

    def decide(value: Any) -> dict[str, Any]:
        try:
            decision = parse_decision(value)
        except ValueError as error:
            raise HTTPException(400, f"the decision cannot be used: {error}") from None
        samples.check(decision.sample, decision.chosen, version=value.get("version"))
        new = PickJournal(folder.path, decision.annotator).append(
            decision.sample, decision.chosen, seconds=decision.seconds, action=decision.action, time=decision.time
        )
        return {"saved": True, "new": new}

    @app.post("/api/decisions")
    async def decisions(request: Request) -> dict[str, Any]:
        return await run_in_threadpool(decide, await read_json(request, limit=MAX_BODY))

    app.mount("/", StaticFiles(packages=[("idiff.apps", "picker_page")], html=True))
    return app
