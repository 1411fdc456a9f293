"""The model over HTTP: photos posted to /predict are answered, / is a page to try it, nothing is kept on disk.

Requests for names other than this machine's are refused, so that no other site's name can be made to lead here (DNS
rebinding), and so are those that another site's page makes.
"""

from __future__ import annotations

import asyncio
import base64
import socket
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import uvicorn
from fastapi import FastAPI, Query, Request
from fastapi.responses import HTMLResponse, JSONResponse, Response

from facemask.runtime import hardware, threads
from facemask.runtime.errors import UserError
from facemask.serving import inputs, limits, pages
from facemask.serving.batching import Batcher, QueueFullError
from facemask.serving.heat import HeatMaps
from facemask.serving.predictor import Predictor, Seen

_PAGE: Final = Path(__file__).with_name("page.html")
# Photos that a worker answers at once: as many as the face finders take.
_BATCH: Final = 8
_RETRY: Final = {"Retry-After": "1"}
_BODY: Final = {
    "multipart/form-data": {
        "schema": {
            "type": "object",
            "properties": {"photos": {"type": "array", "items": {"type": "string", "format": "binary"}}},
        }
    },
    "image/*": {"schema": {"type": "string", "format": "binary"}},
}


class Wanted(NamedTuple):
    """A photo, and what is asked of it."""

    photo: inputs.Named
    every: bool
    heat: bool


def build(model: Predictor, allowed: limits.Limits = limits.DEFAULT, names: Sequence[str] = ()) -> FastAPI:
    """Make the application.

    Parameters
    ----------
    allowed
        How much a request may be, and how many photos may wait.
    names
        Of hosts that may be asked for besides this machine's own.
    """
    heat = HeatMaps(model)

    def answer(batch: Sequence[Wanted]) -> list[dict[str, Any]]:
        return _answer(model, heat, batch)

    batcher = Batcher(answer, most=_BATCH, waiting=allowed.waiting, workers=hardware.cores())
    app = FastAPI(title="facemask", docs_url=None, redoc_url=None, description=__doc__.splitlines()[0])
    app.state.batcher = batcher

    @app.middleware("http")
    async def guard(request: Request, follow: Callable[[Request], Awaitable[Response]]) -> Response:
        refused = limits.refusal(request, (*limits.NAMES, *names))
        response: Response = _error(403, refused) if refused else await follow(request)
        response.headers.update(
            {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY"}
        )
        return response

    @app.exception_handler(limits.Refused)
    async def tell(_: Request, error: limits.Refused) -> JSONResponse:
        return _error(error.status, str(error))

    @app.get("/", include_in_schema=False)
    def page() -> HTMLResponse:
        return pages.page(_PAGE.read_text(encoding="utf-8"))

    @app.get("/docs", include_in_schema=False)
    def docs() -> HTMLResponse:
        return pages.page(pages.described(app.openapi()))

    @app.get("/health", summary="Whether photos are answered")
    def health() -> dict[str, Any]:
        return {"status": "ok", "folds": len(model.folds), "size": list(model.image.size)}

    @app.post(
        "/predict",
        summary="Answer photos: one as the body, or several as the form's field `photos`",
        openapi_extra={"requestBody": {"required": True, "content": _BODY}},
        responses={
            403: {"description": "another site, or a name that is not this machine's"},
            413: {"description": f"above {allowed.bytes:,} bytes or {allowed.photos} photos"},
            422: {"description": "no photo"},
            503: {"description": "too many photos wait: ask again"},
        },
    )
    async def predict(
        request: Request,
        faces: str = Query("one", pattern="^(one|all)$", description="a photo's person, or every face"),
        heatmap: bool = Query(False, description="a picture of where the networks look, as a data URL"),
    ) -> JSONResponse:
        photos = await limits.photos(request, allowed)
        try:
            waiting = batcher.submit([Wanted(photo, faces == "all", heatmap) for photo in photos])
        except QueueFullError:
            return _error(503, f"more than {allowed.waiting} photos wait: ask again", _RETRY)
        done = await asyncio.gather(*map(asyncio.wrap_future, waiting))
        return JSONResponse({"photos": done})

    return app


def _answer(model: Predictor, heat: HeatMaps, batch: Sequence[Wanted]) -> list[dict[str, Any]]:
    """Answers to photos, of which some want every face or heat maps and others do not."""
    out: list[dict[str, Any]] = [{} for _ in batch]
    for every in (False, True):
        places = [place for place, one in enumerate(batch) if one.every is every]
        if not places:
            continue
        for place, seen in zip(
            places, model.look([batch[i].photo for i in places], every=every), strict=True
        ):
            out[place] = _told(seen, heat if batch[place].heat else None)
    return out


def _told(seen: Seen, heat: HeatMaps | None) -> dict[str, Any]:
    """What the answer to one photo says."""
    name = seen.answers[0].file
    if seen.size is None:
        return {"file": name, "reason": seen.answers[0].reason, "faces": []}
    faces = [{key: value for key, value in one.plain().items() if key != "file"} for one in seen.answers]
    if heat is not None:
        labels = [one.label or 0 for one in seen.answers]
        for said, picture in zip(faces, heat.draw(seen.crops, labels), strict=True):
            said["heatmap"] = picture and f"data:image/jpeg;base64,{base64.b64encode(picture).decode()}"
    return {"file": name, "height": seen.size[0], "width": seen.size[1], "faces": faces}


def _error(status: int, reason: str, headers: dict[str, str] | None = None) -> JSONResponse:
    return JSONResponse({"error": reason}, status, headers)


def serve(
    model: Predictor,
    *,
    host: str,
    port: int,
    names: Sequence[str],
    told: Callable[[str], None],
    allowed: limits.Limits = limits.DEFAULT,
) -> None:
    """Answer until interrupted.

    Parameters
    ----------
    host
        Address that is listened on; others can reach a server on one that is not this machine's own.
    port
        0 for any that is free.
    allowed, names
        See :func:`build`.
    told
        Gets the page's address.

    Raises
    ------
    UserError
        If the address cannot be used.
    """
    try:
        opened = socket.create_server((host, port))
    except (OSError, OverflowError) as error:
        raise UserError(f"{host}:{port} cannot be used ({error}); --port 0 takes a free one") from None
    with opened, threads.one_thread():
        told(f"http://{host}:{opened.getsockname()[1]}/")
        app = build(model, allowed, names)
        settings = uvicorn.Config(app, log_level="warning", server_header=False)
        try:
            uvicorn.Server(settings).run(sockets=[opened])
        finally:
            app.state.batcher.close()
