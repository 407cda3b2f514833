"""The server by HTTP: ask and wait, or ask and look later; health and metrics. Its description is at /openapi.json."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import Depends, FastAPI, File, Form, Header, Path, Request, UploadFile
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware.base import RequestResponseEndpoint
from starlette.routing import Route

from idiff._version import __version__
from idiff.apps.serve.asking import Asker, Question, Shown
from idiff.apps.serve.engine import Engine, RefusedError
from idiff.apps.serve.metrics import CONTENT_TYPE
from idiff.apps.serve.schemas import Health, JobShown, Model, Problem, job_shown
from idiff.errors import IdiffError, unknown
from idiff.pipeline.image_input import EXAMPLE, examples
from idiff.tasks.asking import Asking

_POLL = 0.03
"""Seconds between two looks at a job that is waited for."""

_TYPES = {"png": "image/png", "json": "application/json"}
_MOST_SEED = 2**31 - 1

Working = Engine[Question, list[Shown]]

Key = Annotated[str, Path(max_length=64, description="of a job: whoever knows it may read the answer")]
Client = Annotated[str, Header(alias="X-Client", max_length=64, description="clients take turns; any name")]
FileName = Annotated[str, Path(max_length=64, pattern=r"^[a-z0-9_]+\.(png|json)$", description="of an answer")]


def _problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    says = {
        400: "not for this host, or no form", 403: "from a page of another site", 404: "there is none", 408: "it took too long",
        409: "cancelled", 413: "too large", 422: "cannot be used", 429: "too many wait", 503: "the server ends or does not work",
    }  # fmt: skip
    return {status: {"model": Problem, "description": says[status]} for status in statuses}


def create_api(engine: Working, asker: Asker) -> FastAPI:
    """Build the API. What fails is answered with `{"error": sentence}`: 4xx where the request is at fault.

    Args:
        engine: works.
        asker: checks what is asked; its pipeline is the engine's.
    """
    about = "Every vision task is an instruction-guided image edit: send an image and sentences."
    app = FastAPI(title="idiff serve", version=__version__, description=about, docs_url=None, redoc_url=None)
    _errors(app)
    _ask_routes(app, engine, asker)
    _server_routes(app, engine, asker)

    @app.middleware("http")
    async def counted(request: Request, respond: RequestResponseEndpoint) -> Response:
        response = await respond(request)
        engine.metrics.responded(response.status_code)
        return response

    return app


def _question_of(asker: Asker) -> Callable[..., Awaitable[Question]]:
    """What reads a question out of a form."""
    limits = asker.limits

    async def question(
        text: Annotated[list[str], Form(min_length=1, description="sentences; each is answered")],
        picture: Annotated[UploadFile | None, File(description="JPEG, PNG or WebP")] = None,
        example: Annotated[
            str | None, Form(description="instead of a picture: one that comes with the package")
        ] = None,
        task: Annotated[str | None, Form(description="a command; left out: chosen by each sentence")] = None,
        steps: Annotated[int | None, Form(ge=1, le=limits.steps)] = None,
        guidance_text: Annotated[float | None, Form(ge=-limits.guidance, le=limits.guidance)] = None,
        guidance_image: Annotated[float | None, Form(ge=-limits.guidance, le=limits.guidance)] = None,
        seed: Annotated[int, Form(ge=0, le=_MOST_SEED)] = 0,
        size: Annotated[int | None, Form(ge=1, le=limits.size, description="side of the model's square")] = None,
    ) -> Question:
        if (picture is None) == (not example):
            raise RefusedError("send a picture or name an example: one of the two.", 422)
        asking = Asking(steps=steps, guidance_text=guidance_text, guidance_image=guidance_image, size=size)
        data = await picture.read() if picture is not None else _example(str(example))
        return await run_in_threadpool(asker.question, data, text, command=task or None, asking=asking, seed=seed)

    return question


def _ask_routes(app: FastAPI, engine: Working, asker: Asker) -> None:
    """Ask, look, cancel, fetch files."""
    question = Depends(_question_of(asker))

    @app.post("/api/answers", responses=_problems(400, 403, 408, 409, 413, 422, 429, 503), tags=["ask"])
    async def answers(request: Request, asked: Annotated[Question, question], x_client: Client = "http") -> JobShown:
        """Ask, and wait for the answer. Who hangs up cancels."""
        job = engine.submit(asked, client=x_client)
        try:
            while not job.ended:
                if await request.is_disconnected():
                    break
                await asyncio.sleep(_POLL)
        finally:
            if not job.ended:
                engine.cancel(job)
        if job.state != "done":
            raise RefusedError(job.error or "the question was cancelled.", job.status if job.ended else 409)
        return job_shown(engine, job)

    @app.post("/api/jobs", status_code=202, responses=_problems(400, 403, 413, 422, 429, 503), tags=["ask"])
    async def ask(asked: Annotated[Question, question], x_client: Client = "http") -> JobShown:
        """Ask, and look at the job later."""
        return job_shown(engine, engine.submit(asked, client=x_client))

    @app.get("/api/jobs/{key}", responses=_problems(400, 404, 422), tags=["ask"])
    async def job(key: Key) -> JobShown:
        """What became of a question."""
        return job_shown(engine, engine.job(key))

    @app.delete("/api/jobs/{key}", responses=_problems(400, 403, 404, 422), tags=["ask"])
    async def cancel(key: Key) -> JobShown:
        """Cancel a question: at once where it waits, before its next step where it is worked on."""
        found = engine.job(key)
        engine.cancel(found)
        return job_shown(engine, found)

    contents: dict[str, Any] = {kind: {} for kind in _TYPES.values()}
    found = {200: {"content": contents, "description": "the file"}} | _problems(400, 404, 422)

    @app.get("/api/jobs/{key}/{place}/{name}", responses=found, response_class=Response, tags=["ask"])
    async def file(key: Key, place: Annotated[int, Path(ge=0, le=asker.limits.sentences)], name: FileName) -> Response:
        """A file of an answer."""
        results = engine.job(key).result or []
        if place >= len(results) or name not in results[place].files:
            raise RefusedError(f"the job has no {name} of sentence {place}.", 404)
        return Response(results[place].files[name], media_type=_TYPES[name.rpartition(".")[2]])


def _server_routes(app: FastAPI, engine: Working, asker: Asker) -> None:
    """What the server is and how it is."""

    @app.get("/api/model", responses=_problems(400), tags=["server"])
    async def model() -> Model:
        """What can be asked, and what a question may cost."""
        return Model(
            name=asker.pipe.loaded.name, commands=asker.commands, examples=list(examples()), limits=asdict(asker.limits)
        )

    @app.get("/health", responses=_problems(400, 503), tags=["server"])
    async def health() -> Health:
        """Whether the server works."""
        if not engine.alive:
            raise RefusedError("the worker has ended: start the server again.", 503)
        waiting, running = engine.load
        return Health(status="ok", waiting=waiting, running=running)

    plain = {200: {"content": {"text/plain": {}}, "description": "Prometheus' text format"}} | _problems(400)

    @app.get("/metrics", responses=plain, response_class=Response, tags=["server"])
    async def metrics() -> Response:
        """What the server counts."""
        return Response(engine.metrics.text(), media_type=CONTENT_TYPE)


def _errors(app: FastAPI) -> None:
    """Let every failure be a sentence."""

    @app.exception_handler(RefusedError)
    def refused(_: Request, error: RefusedError) -> JSONResponse:
        return JSONResponse({"error": str(error)}, status_code=error.status)

    @app.exception_handler(IdiffError)
    def failed(_: Request, error: IdiffError) -> JSONResponse:
        return JSONResponse({"error": str(error)}, status_code=422)

    @app.exception_handler(RequestValidationError)
    def invalid(_: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"][1:]) or "the request"
        return JSONResponse({"error": f"{where}: {first['msg']}."}, status_code=422)

    @app.exception_handler(HTTPException)
    def other(request: Request, error: HTTPException) -> JSONResponse:
        headers = dict(error.headers or {})
        if error.status_code == 405:  # one address may have a route for each method
            routes = [route for route in app.routes if isinstance(route, Route)]
            known = {m for route in routes if route.path_regex.match(request.url.path) for m in route.methods or ()}
            headers["allow"] = ", ".join(sorted(known))
        return JSONResponse({"error": f"{error.detail}."}, status_code=error.status_code, headers=headers)


def _example(name: str) -> bytes:
    known = examples()
    if name.removeprefix(EXAMPLE) not in known:
        raise unknown("example", name, known)
    return known[name.removeprefix(EXAMPLE)].read_bytes()
