"""Licence, notices, citation, changelog, contributor's guide, hooks and workflow: whole, and true of this tree."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement

REST = "# What the above need\n"


def load(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def project(repository: Path) -> dict[str, Any]:
    content: dict[str, Any] = tomllib.loads((repository / "pyproject.toml").read_text())["project"]
    return content


@pytest.fixture(scope="module")
def citation(repository: Path) -> dict[str, Any]:
    content: dict[str, Any] = load(repository / "CITATION.cff")
    return content


@pytest.fixture(scope="module")
def guide(repository: Path) -> str:
    return (repository / "CONTRIBUTING.md").read_text(encoding="utf-8").replace("```", "")


@pytest.fixture(scope="module")
def notices(repository: Path) -> list[list[str]]:
    """First column of each of NOTICE's tables."""
    tables = re.findall(r"^\|---.*\n((?:\|.*\n)+)", (repository / "NOTICE").read_text(), re.MULTILINE)
    return [[row.split("|")[1].strip() for row in table.splitlines()] for table in tables]


def test_the_licence_is_mit_everywhere(
    repository: Path, project: dict[str, Any], citation: dict[str, Any]
) -> None:
    text = (repository / "LICENSE").read_text()
    assert text.startswith("MIT License\n")
    assert "Permission is hereby granted, free of charge" in text
    assert (project["license"], citation["license"]) == ("MIT", "MIT")
    assert all((repository / name).is_file() for name in project["license-files"])


def test_one_version(repository: Path, project: dict[str, Any], citation: dict[str, Any]) -> None:
    newest = re.search(r"^## \[(.+?)\]", (repository / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert newest
    assert {project["version"], citation["version"], newest[1]} == {project["version"]}


def test_the_same_authors(repository: Path, project: dict[str, Any], citation: dict[str, Any]) -> None:
    assert project["authors"] == citation["authors"]
    assert all(author["name"] in (repository / "LICENSE").read_text() for author in project["authors"])


def test_the_citation_has_what_its_format_asks_for(citation: dict[str, Any]) -> None:
    assert citation["cff-version"] == "1.2.0"
    assert {"authors", "message", "title"} <= set(citation)


def test_every_direct_requirement_has_its_licence_told(repository: Path, notices: list[list[str]]) -> None:
    direct, _, _ = (repository / "requirements.txt").read_text().partition(REST)
    names = [Requirement(line).name for line in direct.splitlines() if line and not line.startswith("#")]
    assert notices[0] == names


def test_every_presets_weights_have_their_licence_told(repository: Path, notices: list[list[str]]) -> None:
    for path in (repository / "presets").glob("*.yaml"):
        backbone = load(path)["params"]["train"]["backbone"]
        if backbone["kind"] == "onnx":
            name = Path(backbone["path"]).name.split("_")[0]
            assert any(row.lower().startswith(name) for row in notices[1]), path
        else:
            assert any(row.split(",")[0] == backbone["name"] for row in notices[1]), path


def test_the_workflow_runs_the_gate(repository: Path) -> None:
    steps = load(repository / ".github" / "workflows" / "ci.yml")["jobs"]["ci"]["steps"]
    assert "bash .ci/run" in [step.get("run") for step in steps]
    assert (repository / ".ci" / "run").is_file()
    (python,) = [step["with"] for step in steps if step.get("uses", "").startswith("actions/setup-python@")]
    assert (python["python-version"], python["cache-dependency-path"]) == ("3.11", "requirements.txt")


def test_issue_forms_are_whole(repository: Path) -> None:
    forms = sorted((repository / ".github" / "ISSUE_TEMPLATE").glob("*.yml"))
    assert [form.stem for form in forms] == ["bug_report", "feature_request"]
    for form in map(load, forms):
        assert {"body", "description", "name"} <= set(form)
        names = [field["id"] for field in form["body"]]
        assert len(names) == len(set(names))
        assert all(field["attributes"]["label"] for field in form["body"])


def quoted(text: str) -> tuple[list[str], list[str]]:
    """What stands between backticks: paths of the repository, and names."""
    every = re.findall(r"`([^`]+)`", text)
    paths = [one for one in every if re.fullmatch(r"[\w./-]*/[\w./-]*|[\w.-]+\.(md|py|toml|txt|yaml)", one)]
    return paths, [one for one in every if one.isidentifier()]


def test_paths_of_the_guide_exist(repository: Path, guide: str) -> None:
    paths, _ = quoted(guide)
    assert len(paths) > 30
    for path in paths:
        assert (repository / path).exists(), path


def test_names_of_the_guide_stand_in_the_files_beside_them(repository: Path, guide: str) -> None:
    found = 0
    for step in re.split(r"\n\n|\n(?=\d\. )", guide):
        paths, names = quoted(step)
        content = "".join(path.read_text() for path in map(repository.joinpath, paths) if path.is_file())
        for name in names if content and step[0].isdigit() else ():
            assert re.search(rf"\b{name}\b", content) or (repository / name).exists(), name
            found += 1
    assert found > 10


def test_targets_of_the_guide_and_the_hooks_are_those_of_make(repository: Path, guide: str) -> None:
    targets = re.findall(r"^([a-z-]+):", (repository / "Makefile").read_text(), re.MULTILINE)
    named = re.findall(r"\bmake ([a-z-]+)", guide)
    assert {"docs", "lint", "test", "types", "venv"} <= set(named) <= set(targets)
    (local,) = load(repository / ".pre-commit-config.yaml")["repos"]
    assert local["repo"] == "local"
    assert [hook["language"] for hook in local["hooks"]] == ["system", "system"]
    assert {hook["entry"] for hook in local["hooks"]} == {"make lint", "make types"}
