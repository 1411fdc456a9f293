"""Text files are opened with a stated encoding: what a locale thinks of them must not matter."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

# Whose ``open`` opens no text file.
NO_FILES = ("os", "Image", "archive", "desk", "found")


def unstated(source: str) -> list[int]:
    """Lines that open a text file in the encoding of the locale."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call):
            continue
        name = getattr(node.func, "attr", getattr(node.func, "id", ""))
        owner = getattr(getattr(node.func, "value", None), "id", "")
        words = [
            one.value
            for one in (*node.args, *(k.value for k in node.keywords))
            if isinstance(one, ast.Constant)
        ]
        modes = [word for word in words if isinstance(word, str) and word and set(word) <= set("rwxabt+")]
        text = name in ("read_text", "write_text") or (name == "open" and owner not in NO_FILES)
        binary = any("b" in mode for mode in modes)
        if text and not binary and not any(keyword.arg == "encoding" for keyword in node.keywords):
            found.append(node.lineno)
    return found


@pytest.mark.slow
def test_no_file_is_opened_in_the_encoding_of_the_locale(repository: Path) -> None:
    paths = [
        path for folder in ("facemask", "stages") for path in sorted((repository / folder).rglob("*.py"))
    ]
    told = [
        f"{path.relative_to(repository)}:{line}"
        for path in paths
        for line in unstated(path.read_text(encoding="utf-8"))
    ]
    assert told == []


def test_the_search_finds_what_it_looks_for() -> None:
    assert unstated(
        "p.read_text()\np.open()\nopen(p, 'w')\np.write_text('x')\np.open('rb')\nos.open(p, 0)"
    ) == [1, 2, 3, 4]
    assert (
        unstated(
            "p.read_text(encoding='utf-8')\nopen(p, 'wb')\nImage.open(p)\np.open(mode='r', encoding='x')"
        )
        == []
    )
