"""The page on this machine, and who may ask for it: whoever has the token, from no other site.

Each request must carry the token that the command prints, a change in a header of its own, which no other site can
set; names other than this machine's are refused, so that no other site's name can be made to lead here (DNS rebinding).
"""

from __future__ import annotations

import getpass
import secrets
import socket
import subprocess
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, JSONResponse, Response

from facemask.review import decisions
from facemask.review.desk import Desk
from facemask.runtime.errors import UserError
from facemask.settings import config

HOST: Final = "127.0.0.1"
TOKEN: Final = "x-token"
_NAMES: Final = ("127.0.0.1", "localhost", "[::1]")
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

    @app.middleware("http")
    async def guard(request: Request, answer: Callable[[Request], Awaitable[Response]]) -> Response:
        refused = refusal(request, token)
        response: Response = JSONResponse({"error": refused}, 403) if refused else await answer(request)
        response.headers.update(
            {
                "Cache-Control": "no-store",
                "Referrer-Policy": "no-referrer",
                "X-Content-Type-Options": "nosniff",
                "Cross-Origin-Resource-Policy": "same-origin",
                "X-Frame-Options": "DENY",
            }
        )
        return response

    @app.exception_handler(UserError)
    def tell(_: Request, error: UserError) -> JSONResponse:
        return JSONResponse({"error": str(error)}, 409)

    @app.get("/")
    def page() -> HTMLResponse:
        nonce = secrets.token_urlsafe(16)
        policy = (
            f"default-src 'none'; img-src 'self' data:; connect-src 'self'; style-src 'nonce-{nonce}'; "
            f"script-src 'nonce-{nonce}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        )
        content = _PAGE.read_text(encoding="utf-8").replace("NONCE", nonce)
        return HTMLResponse(content, headers={"Content-Security-Policy": policy})

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


def refusal(request: Request, token: str) -> str:
    """Why a request is not answered; empty if it is."""
    host = request.headers.get("host", "")
    if host not in _NAMES and host.rpartition(":")[0] not in _NAMES:
        return "this page has no such name: open the address that the command printed"
    if request.headers.get("origin", f"http://{host}") != f"http://{host}":
        return "the request came from another site"
    if request.headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
        return "the request came from another site"
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
    try:
        opened = socket.create_server((HOST, port))
    except (OSError, OverflowError) as error:
        raise UserError(
            f"port {port} cannot be used ({error}); choose another: --port 0 takes a free one"
        ) from None
    with opened:
        token = secrets.token_urlsafe(24)
        told(f"http://{HOST}:{opened.getsockname()[1]}/?token={token}")
        settings = uvicorn.Config(build(desk, token, reviewer), log_level="warning", server_header=False)
        uvicorn.Server(settings).run(sockets=[opened])
