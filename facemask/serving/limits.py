"""What a request may be: from whom, how long, how many photos; and the photos in it, read in memory alone."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import Final

from fastapi import Request
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from facemask.serving import inputs

NAMES: Final = ("localhost", "127.0.0.1", "[::1]")


@dataclass(frozen=True)
class Limits:
    """What is refused.

    Attributes
    ----------
    bytes
        A request above it (413).
    photos
        More photos in a request (413).
    waiting
        More photos that wait at the same time (503).
    """

    bytes: int = 32_000_000
    photos: int = 32
    waiting: int = 64


DEFAULT: Final = Limits()


class Refused(Exception):  # noqa: N818  # an answer, not an accident
    """A request that is answered with a status and the reason."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class _Parser(MultiPartParser):
    """Keeps photos in memory, where Starlette would put those above a megabyte on disk."""

    spool_max_size = 2**40


def refusal(request: Request, names: Sequence[str]) -> str:
    """Why a request is not answered; empty if it is."""
    host = request.headers.get("host", "")
    if host not in names and host.rpartition(":")[0] not in names:
        return "this server has no such name; add it with --allow-host"
    if request.headers.get("origin", f"{request.url.scheme}://{host}") != f"{request.url.scheme}://{host}":
        return "the request came from another site"
    if request.headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
        return "the request came from another site"
    return ""


async def photos(request: Request, limits: Limits) -> list[inputs.Named]:
    """Photos of a request, which is read no further than it may be long."""
    content = request.headers.get("content-type", "")
    told = request.headers.get("content-length", "")
    if told.isdecimal() and int(told) > limits.bytes:
        raise Refused(413, f"more than {limits.bytes:,} bytes: send fewer or smaller photos")

    async def body() -> AsyncGenerator[bytes, None]:
        length = 0
        async for part in request.stream():
            length += len(part)
            if length > limits.bytes:
                raise Refused(413, f"more than {limits.bytes:,} bytes: send fewer or smaller photos")
            yield part

    if not content.startswith("multipart/form-data"):
        data = b"".join([part async for part in body()])
        if not data:
            raise Refused(422, "no photo: send one as the body, or several as the form's field photos")
        return [inputs.Named("photo", data)]
    try:
        form = await _Parser(request.headers, body(), max_files=limits.photos, max_fields=8).parse()
    except MultiPartException as error:
        status = 413 if "Too many files" in error.message else 422
        raise Refused(status, f"{error.message} (at most {limits.photos} photos)") from None
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(form.close)
        files = [one for one in form.getlist("photos") if isinstance(one, UploadFile)]
        found = [inputs.Named(one.filename or "photo", await one.read()) for one in files]
    if not found:
        raise Refused(422, "no photo: send one as the body, or several as the form's field photos")
    return found
