"""The model over HTTP: photos posted to /predict are answered, / is a page to try it, nothing is kept on disk."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

import jinja2
from fastapi import FastAPI, HTTPException, Query, Request
from fastapi.responses import HTMLResponse, JSONResponse

from facemask.runtime import hardware, threads
from facemask.runtime.errors import UserError
from facemask.serving import inputs, limits
from facemask.serving.batching import Batcher, QueueFullError
from facemask.serving.heat import HeatMaps
from facemask.serving.predictor import Predictor, Seen
from facemask.web import local

_PAGE: Final = Path(__file__).with_name("page.html")
# Photos that a worker answers at once: as many as the face finders take.
_BATCH: Final = 8
_BODY: Final = {
    "multipart/form-data": {
        "schema": {
            "type": "object",
            "properties": {"photos": {"type": "array", "items": {"type": "string", "format": "binary"}}},
        }
    },
    "image/*": {"schema": {"type": "string", "format": "binary"}},
}
_EXAMPLE: Final = {
    "photos": [
        {
            "file": "a.jpg",
            "height": 512,
            "width": 384,
            "faces": [
                {
                    "face": 0,
                    "faces": 1,
                    "found": "found",
                    "score": 0.99,
                    "box": [101.5, 120.0, 281.5, 330.0],
                    "mask": {"answer": "wear", "probability": 0.98},
                    "gender": {"answer": "female", "probability": 0.95},
                    "age": {"answer": "30-59", "probability": 0.8},
                    "class": 4,
                    "name": "wear female 30-59",
                    "probabilities": ["18 numbers that sum to 1"],
                }
            ],
        },
        {"file": "b.txt", "reason": "why it cannot be read", "faces": []},
    ]
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
    app = FastAPI(title="facemask", docs_url=None, redoc_url=None, description=__doc__)
    local.protect(app, lambda request: local.foreign(request, names))
    templates = jinja2.Environment(
        loader=jinja2.PackageLoader("facemask.serving", "."), autoescape=True, trim_blocks=True
    )

    @app.get("/", include_in_schema=False)
    def page() -> HTMLResponse:
        return local.page(_PAGE.read_text(encoding="utf-8"))

    # FastAPI's own loads its scripts from the net.
    @app.get("/docs", include_in_schema=False)
    def docs(request: Request) -> HTMLResponse:
        content = templates.get_template("api.jinja").render(schema=app.openapi(), address=request.base_url)
        return local.page(content)

    @app.get("/health", summary="Whether photos are answered", response_description="they are")
    def health() -> dict[str, Any]:
        return {"status": "ok", "folds": len(model.folds), "size": list(model.image.size)}

    @app.post(
        "/predict",
        summary="Answer photos: one as the body, or several as the form's field photos",
        openapi_extra={"requestBody": {"required": True, "content": _BODY}},
        responses={
            200: {"description": "the answers", "content": {"application/json": {"example": _EXAMPLE}}},
            403: {"description": "another site, or a name that is not this machine's"},
            413: {"description": f"above {allowed.bytes:,} bytes or {allowed.photos} photos"},
            422: {"description": "no photo, or none that can be read"},
            503: {"description": f"above {allowed.waiting} photos wait: ask again"},
        },
    )
    async def predict(
        request: Request,
        faces: Literal["one", "all"] = Query("one", description="a photo's person, or every face"),
        heatmap: bool = Query(False, description="a picture of where the networks look, as a data URL"),
    ) -> JSONResponse:
        photos = await limits.photos(request, allowed)
        try:
            done = await batcher.submit([Wanted(photo, faces == "all", heatmap) for photo in photos])
        except QueueFullError:
            told = f"more than {allowed.waiting} photos wait: ask again"
            raise HTTPException(503, told, {"Retry-After": "1"}) from None
        if any(one["faces"] for one in done):
            return JSONResponse({"photos": done})
        return JSONResponse({"error": f"{done[0]['file']}: {done[0]['reason']}", "photos": done}, 422)

    return app


def _answer(model: Predictor, heat: HeatMaps, batch: Sequence[Wanted]) -> list[dict[str, Any]]:
    """Answers to photos, of which some want every face or heat maps and others do not."""
    out: list[dict[str, Any]] = [{} for _ in batch]
    for every in (False, True):
        places = [place for place, one in enumerate(batch) if one.every is every]
        if not places:
            continue
        try:
            found = model.look([batch[place].photo for place in places], every=every)
        except UserError as error:
            for place in places:
                out[place] = {"file": batch[place].photo.name, "reason": str(error), "faces": []}
            continue
        for place, seen in zip(places, found, strict=True):
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


def serve(
    model: Predictor, *, host: str, port: int, names: Sequence[str], told: Callable[[str], None]
) -> None:
    """Answer until interrupted.

    Parameters
    ----------
    host
        Address that is listened on; others can reach a server on one that is not this machine's own.
    port
        0 for any that is free.
    names
        See :func:`build`.
    told
        Gets the page's address.

    Raises
    ------
    UserError
        If the address cannot be used.
    """
    with threads.one_thread():
        local.run(build(model, names=names), host=host, port=port, told=told)
