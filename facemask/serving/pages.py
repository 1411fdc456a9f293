"""The pages of the server: what is needed stands in them, and they may load nothing else."""

from __future__ import annotations

import html
import json
import secrets
from typing import Any

from fastapi.responses import HTMLResponse


def page(content: str) -> HTMLResponse:
    """Send a page: scripts and styles marked with NONCE run, nothing else does, and nothing is loaded."""
    nonce = secrets.token_urlsafe(16)
    policy = (
        "default-src 'none'; img-src 'self' data: blob:; media-src blob:; connect-src 'self'; "
        f"style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    )
    return HTMLResponse(content.replace("NONCE", nonce), headers={"Content-Security-Policy": policy})


def described(schema: dict[str, Any]) -> str:
    """Lay out an OpenAPI description as a page of its own: FastAPI's loads its scripts from the net."""
    parts = []
    for path, verbs in schema["paths"].items():
        for verb, one in verbs.items():
            rows = [
                f"<tr><td><code>{html.escape(given['name'])}</code><td>{html.escape(given.get('description', ''))}"
                f"<td>{html.escape(json.dumps(given['schema'].get('default')))}"
                for given in one.get("parameters", [])
            ]
            codes = [
                f"<tr><td>{code}<td colspan=2>{html.escape(said['description'])}"
                for code, said in sorted(one["responses"].items())
            ]
            parts.append(
                f"<h2><code>{verb.upper()} {html.escape(path)}</code></h2><p>{html.escape(one['summary'])}</p>"
                f"<table>{''.join((*rows, *codes))}</table>"
            )
    style = (
        "body{font:16px/1.5 system-ui,sans-serif;max-width:48rem;margin:2rem auto;padding:0 1rem;color:#1f2328}"
        "td{padding:.2rem 1rem .2rem 0;vertical-align:top}pre{overflow-x:auto;background:#f3f4f6;padding:1rem}"
    )
    curl = "curl -F photos=@a.jpg -F photos=@b.jpg http://127.0.0.1:8000/predict?faces=all"
    return (
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>"
        f"<title>facemask API</title><style nonce=NONCE>{style}</style><h1>facemask API</h1>"
        f"<p>As JSON: <a href=/openapi.json>openapi.json</a>. <a href=/>Try it</a>.</p><pre>{html.escape(curl)}</pre>"
        f"{''.join(parts)}"
    )
