"""What a request may be: how long, how many photos; and the photos in it, read in memory alone."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Final

from fastapi import HTTPException, Request
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from facemask.serving import inputs


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


class _Parser(MultiPartParser):
    """Keeps photos in memory, where Starlette would put those above a megabyte on disk."""

    spool_max_size = 2**40


async def photos(request: Request, limits: Limits) -> list[inputs.Named]:
    """Photos of a request, which is read no further than it may be long.

    Raises
    ------
    HTTPException
        413 if it is more than it may be, 422 if there is no photo in it.
    """
    too_long = HTTPException(413, f"more than {limits.bytes:,} bytes: send fewer or smaller photos")
    told = request.headers.get("content-length", "")
    if told.isdecimal() and int(told) > limits.bytes:
        raise too_long

    async def body() -> AsyncGenerator[bytes, None]:
        length = 0
        async for part in request.stream():
            length += len(part)
            if length > limits.bytes:
                raise too_long
            yield part

    if request.headers.get("content-type", "").startswith("multipart/form-data"):
        try:
            form = await _Parser(request.headers, body(), max_files=limits.photos, max_fields=8).parse()
        except MultiPartException as error:
            status = 413 if "Too many files" in error.message else 422
            raise HTTPException(status, f"{error.message} (at most {limits.photos} photos)") from None
        files = [one for one in form.getlist("photos") if isinstance(one, UploadFile)]
        found = [inputs.Named(one.filename or "photo", await one.read()) for one in files]
        await form.close()
    else:
        data = b"".join([part async for part in body()])
        found = [inputs.Named("photo", data)] if data else []
    if not found:
        raise HTTPException(422, "no photo: send one as the body, or several as the form's field photos")
    return found
