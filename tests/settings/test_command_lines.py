"""The page of params says what to type for every kind: DVC takes each of these lines, and what it writes is valid."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from dvc.utils.cli_parse import to_path_overrides
from dvc.utils.hydra import apply_overrides

from facemask.settings import command_lines, loading, schema

FIELDS = [field for field in schema.walk() if field.sections and "" not in field.sections]
KINDS = [(field, kind) for field in FIELDS for kind in field.sections]


@pytest.fixture
def target(tmp_path: Path, repository: Path) -> Path:
    path = tmp_path / "params.yaml"
    path.write_bytes((repository / "params.yaml").read_bytes())
    return path


@pytest.fixture(scope="module")
def page(repository: Path) -> str:
    return (repository / "docs" / "params.md").read_text()


def type_in(line: str, target: Path) -> None:
    words = shlex.split(line, comments=True)
    assert words[:3] == ["dvc", "exp", "run"]
    assert set(words[3::2]) == {"-S"}
    overrides = to_path_overrides(words[4::2])
    assert list(overrides) == ["params.yaml"]
    apply_overrides(target, overrides["params.yaml"])


def typed(field: schema.Field, kind: str) -> str:
    return command_lines.by_dvc(command_lines.examples(field.key, kind))


def around(field: schema.Field) -> list[str]:
    """The lines that choose the kinds that a choice stands in, outermost first."""
    for outer in FIELDS:
        if field.kind in outer.sections and field.key.startswith(f"{outer.key}."):
            return [*around(outer), typed(outer, field.kind)]
    return []


# A probe on ages in years has bands to read off.
NEEDS = {("train.probe", "ridge"): ("train.head.age", "distribution")}


@pytest.mark.slow
@pytest.mark.parametrize(("field", "kind"), KINDS, ids=[f"{f.key}({f.kind})-{kind}" for f, kind in KINDS])
def test_every_kind_can_be_run(field: schema.Field, kind: str, target: Path, page: str) -> None:
    line = typed(field, kind)
    assert f"| `{line}` |" in page, "run `make docs`"
    for outer in around(field):
        type_in(outer, target)
    if (field.key, kind) in NEEDS:
        other, its_kind = NEEDS[field.key, kind]
        type_in(next(typed(one, its_kind) for one, k in KINDS if one.key == other and k == its_kind), target)
    type_in(line, target)
    found: Any = loading.load(target)
    for part in field.key.split("."):
        found = getattr(found, part.removesuffix("[]"))
        if isinstance(found, tuple):
            (found,) = found
    assert found.kind == kind


def test_the_page_shows_no_line_that_dvc_refuses(target: Path, page: str) -> None:
    head = page.split("\n## ")[0]
    lines = re.findall("^dvc exp run .*$", head, flags=re.MULTILINE)
    assert len(lines) == 2
    before = loading.load(target)
    for line in lines:
        type_in(line, target)
    assert loading.load(target) != before


def test_the_page_has_a_row_for_each_kind(page: str) -> None:
    assert len(re.findall(r"\| `dvc exp run .*` \|$", page, flags=re.MULTILINE)) == len(
        {(field.key, kind) for field, kind in KINDS}
    )
