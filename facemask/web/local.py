"""A server on a person's own machine: who may ask, what a page may load, how errors are told, and its start.

Requests for names other than this machine's are refused, so that no other site's name can be made to lead here (DNS
rebinding), and so are those that another site's page makes.
"""

from __future__ import annotations

import secrets
import socket
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import uvicorn
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, Response
from starlette.exceptions import HTTPException

from facemask.runtime.errors import UserError

HOST: Final = "127.0.0.1"
_NAMES: Final = ("localhost", "127.0.0.1", "[::1]")
# Each may hold a request in memory; more are told to come again (503).
_CONNECTIONS: Final = 64
_HEADERS: Final = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Resource-Policy": "same-origin",
}


def foreign(request: Request, names: Sequence[str] = ()) -> str:
    """Why a request that came by another name than this machine's or ``names``, or from another site, is refused."""
    host = request.headers.get("host", "")
    known = (*_NAMES, *names)
    if host not in known and host.rpartition(":")[0] not in known:
        return "this server has no such name: open the address that the command printed"
    here = f"{request.url.scheme}://{host}"
    if request.headers.get("origin", here) != here:
        return "the request came from another site"
    if request.headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
        return "the request came from another site"
    return ""


def protect(app: FastAPI, refusal: Callable[[Request], str]) -> None:
    """Refuse requests for the reason that ``refusal`` gives, if any, and tell every error as ``{"error": reason}``."""

    @app.middleware("http")
    async def guard(request: Request, answer: Callable[[Request], Awaitable[Response]]) -> Response:
        refused = refusal(request)
        response: Response = error(403, refused) if refused else await answer(request)
        response.headers.update(_HEADERS)
        return response

    @app.exception_handler(HTTPException)
    async def told(_: Request, given: HTTPException) -> JSONResponse:
        return JSONResponse({"error": given.detail}, given.status_code, given.headers)

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, given: RequestValidationError) -> JSONResponse:
        first = given.errors()[0]
        return error(422, f"{first['loc'][-1]}: {first['msg']}")

    @app.exception_handler(Exception)
    async def broken(_: Request, given: Exception) -> JSONResponse:
        return error(500, f"an error of the server ({type(given).__name__}); it printed more")


def error(status: int, reason: str) -> JSONResponse:
    """Tell an error as JSON."""
    return JSONResponse({"error": reason}, status)


def page(content: str) -> HTMLResponse:
    """Send a page: scripts and styles marked with NONCE run, nothing else does, and nothing comes from elsewhere."""
    nonce = secrets.token_urlsafe(16)
    policy = (
        "default-src 'none'; img-src 'self' data: blob:; media-src blob:; connect-src 'self'; "
        f"style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    )
    return HTMLResponse(content.replace("NONCE", nonce), headers={"Content-Security-Policy": policy})


def run(app: FastAPI, *, port: int, told: Callable[[str], None], host: str = HOST) -> None:
    """Answer until interrupted.

    Parameters
    ----------
    port
        0 for any that is free.
    told
        Gets the address.
    host
        Address that is listened on; others can reach a server on one that is not this machine's own.

    Raises
    ------
    UserError
        If the address cannot be used.
    """
    try:
        opened = socket.create_server((host, port))
    except (OSError, OverflowError) as error:
        raise UserError(f"{host}:{port} cannot be used ({error}); --port 0 takes a free one") from None
    with opened:
        told(f"http://{host}:{opened.getsockname()[1]}/")
        settings = uvicorn.Config(
            app, log_level="warning", server_header=False, limit_concurrency=_CONNECTIONS
        )
        uvicorn.Server(settings).run(sockets=[opened])
