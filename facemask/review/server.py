"""The page on this machine, and who may ask for it: whoever has the token, from no other site.

Each request must carry the token that the command prints, a change in a header of its own, which no other site can set.
"""

from __future__ import annotations

import getpass
import secrets
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Final

from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, JSONResponse, Response

from facemask.review import decisions
from facemask.review.desk import Desk
from facemask.runtime.errors import UserError
from facemask.settings import config
from facemask.web import local

TOKEN: Final = "x-token"
_PAGE: Final = Path(__file__).with_name("page.html")


class Decision(config.Config):
    """What the page sends."""

    key: str
    verdict: decisions.Verdict
    new: str


class Undo(config.Config):
    """Which decision is taken back."""

    key: str


def build(desk: Desk, token: str, reviewer: str) -> FastAPI:
    """Make the application; answers without ``token`` are refused."""
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)

    local.protect(app, lambda request: local.foreign(request) or unknown(request, token))

    @app.exception_handler(UserError)
    def tell(_: Request, error: UserError) -> JSONResponse:
        return JSONResponse({"error": str(error)}, 409)

    @app.get("/")
    def page() -> HTMLResponse:
        return local.page(_PAGE.read_text(encoding="utf-8"))

    @app.get("/suspects")
    def waiting() -> JSONResponse:
        return JSONResponse(desk.open())

    @app.get("/photos/{photo:path}")
    def photo(photo: str) -> Response:
        picture = desk.picture(photo)
        return (
            Response(picture, media_type="image/jpeg")
            if picture
            else JSONResponse({"error": "no such photo"}, 404)
        )

    @app.post("/decisions")
    def decide(body: Decision) -> JSONResponse:
        suspect = desk.suspects().get(body.key)
        if suspect is None:
            raise decisions.ConflictError("no suspect any more: the audit has run again")
        desk.ledger.decide(suspect, body.verdict, body.new, reviewer)
        return JSONResponse({})

    @app.post("/undo")
    def undo(body: Undo) -> JSONResponse:
        desk.ledger.undo(body.key)
        return JSONResponse({})

    return app


def unknown(request: Request, token: str) -> str:
    """Why a request without ``token`` is refused; empty if it has it."""
    given = request.headers.get(TOKEN, "")
    if request.method in ("GET", "HEAD"):
        given = given or request.query_params.get("token", "")
    if not secrets.compare_digest(given.encode(), token.encode()):
        return "the token is missing or old: open the address that the command printed"
    return ""


def whoami() -> str:
    """The reviewer's name: git's ``user.name``, or the account's."""
    try:
        found = subprocess.run(
            ["git", "config", "user.name"], capture_output=True, text=True, check=False
        ).stdout.strip()
    except OSError:
        found = ""
    return found or getpass.getuser()


def serve(desk: Desk, *, port: int, reviewer: str, told: Callable[[str], None]) -> None:
    """Answer on this machine until interrupted.

    Parameters
    ----------
    port
        0 for any that is free.
    told
        Gets the page's address.

    Raises
    ------
    UserError
        If the port is taken.
    """
    token = secrets.token_urlsafe(24)
    local.run(build(desk, token, reviewer), port=port, told=lambda address: told(f"{address}?token={token}"))
