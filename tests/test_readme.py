"""README and pages: what they tell people to type works, what they name is there, in English and in Korean."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import yaml
from dvc.utils.hydra import apply_overrides

from facemask.commands import assignments, scores
from facemask.scoring import metrics
from facemask.settings import loading, presets, schema

REPOSITORY = Path(__file__).resolve().parents[1]
PAGES = [
    "README.md",
    "CONTRIBUTING.md",
    *(f"{folder}/README.md" for folder in ("models", "data/extra", "data/faces")),
    *(f"docs/{path.name}" for path in sorted((REPOSITORY / "docs").glob("*.md"))),
]
# Below these lie files of the user's own, which git leaves out.
OWN = ("models/pretrained",)
COMMAND = re.compile(r"(?:[A-Z_]+=\S+ )*((?:make|dvc|python -m facemask) .+)")


def text(repository: Path, name: str) -> str:
    return (repository / name).read_text(encoding="utf-8")


def blocks(page: str) -> list[list[str]]:
    """The lines of each fenced block, without comments and alignment."""
    found = re.findall(r"^```\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    return [[re.sub(r"\s+#.*", "", line).rstrip() for line in block.splitlines()] for block in found]


def quoted(page: str) -> list[str]:
    """What stands between single backticks."""
    return re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", page, flags=re.MULTILINE | re.DOTALL))


def commands(page: str) -> list[str]:
    """Everything that a page tells to type: lines of blocks and quoted words that begin with a command."""
    typed = [line for block in blocks(page) for line in block] + quoted(page)
    return [found[1] for line in typed if (found := COMMAND.fullmatch(line))]


def headed(page: str, heading: str) -> str:
    """The part of a page under a heading of the second level."""
    return page.split(f"\n## {heading}\n")[1].split("\n## ")[0]


def test_readme_is_short_and_shows_what_the_table_of_scores_shows(repository: Path) -> None:
    page = text(repository, "README.md")
    assert len(page.splitlines()) <= 200
    shown = next(block for block in blocks(page) if any("out-of-fold" in line for line in block))
    for label in (*metrics.LABELS.values(), "bootstrap over people", scores.NEXT):
        assert any(label in line for line in shown), label


@pytest.mark.parametrize(
    ("english", "korean"), [("Quick start", "빠른 시작"), ("Your own photos", "내 사진으로")]
)
def test_the_korean_page_tells_to_type_the_same(repository: Path, english: str, korean: str) -> None:
    (typed,) = blocks(headed(text(repository, "docs/README.ko.md"), korean))
    assert len(typed) > 2
    assert typed in blocks(headed(text(repository, "README.md"), english))


@pytest.mark.parametrize("name", PAGES)
def test_links_lead_somewhere(repository: Path, name: str) -> None:
    links = re.findall(r"\]\(([^)#]+)\)", text(repository, name))
    folder = (repository / name).parent
    assert [link for link in links if "://" not in link and not (folder / link).exists()] == []


def test_the_index_lists_every_page(repository: Path) -> None:
    listed = re.findall(r"\]\((\S+?)\)", text(repository, "docs/README.md"))
    assert sorted(listed) == sorted(
        path.name for path in (repository / "docs").glob("*.md") if path.name != "README.md"
    )


@pytest.mark.parametrize("name", PAGES)
def test_paths_are_there_or_are_written_by_a_stage(repository: Path, name: str) -> None:
    stages = yaml.safe_load(text(repository, "dvc.yaml"))["stages"].values()
    written = [re.sub(r"/[^/]*\$.*", "", out) for stage in stages for out in stage["outs"]]
    folders = [repository / folder for folder in (*written, *OWN)]
    for word in quoted(text(repository, name)):
        path, top = repository / word, repository / word.split("/")[0]
        if re.fullmatch(r"\w[\w.-]*(/[\w.-]+)*/?", word) and "/" in word and top.is_dir():
            assert path.exists() or any(
                path.is_relative_to(one) or one.is_relative_to(path) for one in folders
            ), word
        if re.fullmatch(r"[\w.-]+\.(md|py|toml|txt|yaml)", word):
            assert path.exists() or (repository / name).parent.joinpath(word).exists(), word


@pytest.mark.parametrize("name", PAGES)
def test_params_that_are_named_exist(repository: Path, name: str) -> None:
    known = {field.key.replace("[]", "") for field in schema.walk()}
    sections = {key for key in known if "." not in key}
    for word in quoted(text(repository, name)):
        found = re.fullmatch(r"([a-z_]+)(\.[a-z_\[\]]+)+", word)
        if found and found[1] in sections:
            assert word.replace("[]", "").removesuffix(".kind") in known, word


@pytest.mark.parametrize("name", PAGES)
def test_targets_and_commands_exist(repository: Path, name: str) -> None:
    targets = set(re.findall(r"^([a-z-]+):.*## ", text(repository, "Makefile"), re.MULTILINE))
    code = text(repository, "facemask/__main__.py")
    known = {name.rstrip("_") for name in re.findall(r"^def (\w+)\(", code, re.MULTILINE)} - {"main"}
    for line in commands(text(repository, name)):
        first, *words = line.split()
        if first == "make":
            assert words[0] in targets, line
        elif first == "python":
            assert words[2] in known, line


@pytest.mark.slow
def test_what_readme_sets_is_valid(repository: Path, tmp_path: Path) -> None:
    """Each line on its own, on the shipped params, of which it changes something."""
    tried = 0
    target = tmp_path / "params.yaml"
    shipped = loading.load(repository / "params.yaml")
    for line in commands(text(repository, "README.md")):
        words = shlex.split(line)
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
        assert loading.load(target) != shipped, line
        tried += 1
    assert tried > 12


def test_the_design_page_has_a_row_for_each_room(repository: Path) -> None:
    table = headed(text(repository, "docs/design.md"), "Rooms")
    rooms = [path.parent.name for path in (repository / "facemask").glob("*/__init__.py")]
    assert sorted(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)) == sorted(rooms)
