"""README and pages: what they tell people to type exists and works, here and in Korean."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from dvc.utils.hydra import apply_overrides

from facemask.commands import assignments, scores
from facemask.settings import loading, presets

PAGES = ["README.md", "models/README.md", "docs/README.md", "docs/README.ko.md"]


def text(repository: Path, name: str) -> str:
    return (repository / name).read_text(encoding="utf-8")


def blocks(page: str) -> list[list[str]]:
    """The lines of each fenced block, without comments and alignment."""
    found = re.findall(r"^```\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    return [[re.sub(r"\s+#.*", "", line).rstrip() for line in block.splitlines()] for block in found]


def commands(repository: Path) -> list[str]:
    """Everything that README tells to type: blocks that begin with a command, and code in the table."""
    page = text(repository, "README.md")
    typed = [line for block in blocks(page) for line in block]
    typed += re.findall(r"`([^`]+)`", re.sub(r"^```.*?^```", "", page, flags=re.MULTILINE | re.DOTALL))
    return [line for line in typed if line.startswith(("make ", "dvc ", "python -m facemask "))]


def test_readme_is_short_and_shows_what_the_table_of_scores_shows(repository: Path) -> None:
    page = text(repository, "README.md")
    assert len(page.splitlines()) <= 200
    shown = next(block for block in blocks(page) if any("out-of-fold" in line for line in block))
    for label in (*scores.ROWS.values(), "bootstrap over people", scores.NEXT):
        assert any(label in line for line in shown), label


def test_the_korean_quick_start_is_the_english_one(repository: Path) -> None:
    english, korean = (blocks(text(repository, name)) for name in ("README.md", "docs/README.ko.md"))
    assert len(korean) == 2
    assert all(block in english for block in korean)


@pytest.mark.parametrize("name", PAGES)
def test_links_lead_somewhere(repository: Path, name: str) -> None:
    folder = (repository / name).parent
    links = re.findall(r"\]\(([^)#]+)\)", text(repository, name))
    assert links
    assert [link for link in links if "://" not in link and not (folder / link).exists()] == []


def test_the_index_lists_every_page(repository: Path) -> None:
    listed = set(re.findall(r"\]\((\S+?)\)", text(repository, "docs/README.md")))
    assert listed == {path.name for path in (repository / "docs").glob("*.md")} - {"README.md"}


def test_targets_and_commands_exist(repository: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):.*## ", text(repository, "Makefile"), re.MULTILINE))
    code = text(repository, "facemask/__main__.py")
    known = {name.rstrip("_") for name in re.findall(r"^def (\w+)\(", code, re.MULTILINE)} - {"main"}
    typed = commands(repository)
    made = {line.split()[1] for line in typed if line.startswith("make ")}
    called = {line.split()[3] for line in typed if line.startswith("python -m facemask ")} - {"--help"}
    assert made
    assert made <= targets
    assert called
    assert called <= known


def test_what_readme_sets_is_valid(repository: Path, tmp_path: Path) -> None:
    """Each line on its own, on the shipped params."""
    tried = 0
    for line in commands(repository):
        words = shlex.split(line)
        target = tmp_path / "params.yaml"
        target.write_text(text(repository, "params.yaml"))
        if line.startswith("python -m facemask set "):
            assignments.apply([word.replace("…", "ab" * 32) for word in words[4:]], target)
        elif line.startswith("python -m facemask preset ") and not words[4].startswith("--"):
            presets.apply(words[4], repository / "presets", target)
        elif "-S" in words:
            # A queue's list of values is several experiments.
            given = [words[place + 1].split(",")[0] if "--queue" in words else words[place + 1]
                     for place, word in enumerate(words) if word == "-S"]  # fmt: skip
            apply_overrides(str(target), given)
        else:
            continue
        loading.load(target)
        tried += 1
    assert tried > 8
