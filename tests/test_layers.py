"""The rooms of the library and the direction of their imports."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

TABLE_MODULES = (
    "facemask.__main__",
    "facemask.runtime.launch",
    "facemask.settings.presets",
    "facemask.settings.reference",
    "facemask.records",
)
HEAVY = ("torch", "timm", "lightning", "rembg", "facenet_pytorch", "cv2")


def sources(repository: Path) -> list[Path]:
    return [path for room in ("facemask", "stages") for path in sorted((repository / room).rglob("*.py"))]


def test_imports_point_one_way(repository: Path) -> None:
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    found = subprocess.run(command, cwd=repository, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout


def test_every_package_has_a_table_of_contents(repository: Path) -> None:
    for folder in {path.parent for path in sources(repository)}:
        init = folder / "__init__.py"
        assert init.is_file(), f"{folder} has no __init__.py: its modules would escape the dependencies"
        body = ast.parse(init.read_text())
        listed = {
            name
            for line in (ast.get_docstring(body) or "").splitlines()
            for name in line.split(", ")
            if line[:1] != " "
        }
        # The package itself and the stages are told by what they do, not by their modules.
        if folder.parent == repository / "facemask":
            assert {path.stem for path in folder.glob("*.py")} - {"__init__"} <= listed, init
        assert listed, init
        more = {
            # One name, which is looked up when it is asked for.
            "facemask": ["ImportFrom", "ImportFrom", "If", "FunctionDef"],
            # A stage that DVC started ends with it, from its first moment on.
            "stages": ["Import", "ImportFrom", "If"],
        }
        found = [type(one).__name__ for one in body.body[1:]]
        assert found == more.get(folder.name, []), f"{init} holds more than its docstring"


@pytest.mark.slow
@pytest.mark.parametrize("module", TABLE_MODULES)
def test_light_modules_start_without_networks(module: str) -> None:
    code = f"import sys, {module}; print([name for name in {HEAVY} if name in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


@pytest.mark.slow
def test_importing_the_library_changes_nothing(repository: Path) -> None:
    """No variable beyond those that libraries set for themselves, and no waiting."""
    modules = [
        ".".join(path.relative_to(repository).with_suffix("").parts)
        for path in sources(repository)
        if path.name != "__main__.py"
    ]
    assert len(modules) > 50
    program = f"""
import importlib, os, time
from unittest import mock
for name in {(*HEAVY, "sklearn")}:
    importlib.import_module(name)
before = dict(os.environ)
with mock.patch("time.sleep", side_effect=AssertionError):
    for name in {modules}:
        importlib.import_module(name)
assert dict(os.environ) == before, set(os.environ.items()) ^ set(before.items())
"""
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "GOMP_"))}
    ended = subprocess.run(
        [sys.executable, "-c", program], env=plain, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
