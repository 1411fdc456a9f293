"""The code dependencies in ``dvc.yaml``: each stage's import closure, file by file."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import grimp
from ruamel.yaml import YAML

from facemask import loading
from facemask.errors import UserError
from facemask.files import replacing

PACKAGES = ("facemask", "stages")


def closures(stages: list[str]) -> dict[str, list[str]]:
    """Source files that each stage imports, itself and the packages' ``__init__`` files among them; sorted.

    Imports inside functions count, those under ``TYPE_CHECKING`` do not: they are never run.
    """
    graph = grimp.build_graph(*PACKAGES, exclude_type_checking_imports=True, cache_dir=None)
    found: dict[str, list[str]] = {}
    for stage in stages:
        top = f"stages.{stage}"
        modules = {top, *graph.find_upstream_modules(top)}
        parents = {
            module.rsplit(".", depth)[0] for module in modules for depth in range(1, module.count(".") + 1)
        }
        # Importing a module runs its packages' __init__ files, and what they import.
        modules.update(parents, *(graph.find_upstream_modules(parent) for parent in parents))
        found[stage] = sorted(map(_file, modules))
    return found


def _file(module: str) -> str:
    path = Path(*module.split("."))
    return (path / "__init__.py" if path.is_dir() else path.with_suffix(".py")).as_posix()


def is_code(dep: str) -> bool:
    """Whether a dependency in ``dvc.yaml`` is one of the project's sources."""
    return dep.endswith(".py") and dep.split("/", 1)[0] in PACKAGES


def rewrite(path: Path) -> list[str]:
    """Put each stage's import closure into ``path`` (``dvc.yaml``), before its data; return the stages that changed.

    Raises
    ------
    UserError
        If the file is not YAML, or a stage of ours in it has no list ``deps``.
    """
    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 10_000
    yaml.indent(mapping=2, sequence=4, offset=2)
    text, plain = loading.read(path)
    listed = plain.get("stages") if isinstance(plain, dict) else None
    if not isinstance(listed, dict):
        raise UserError(f"{path}: no section `stages`")
    # A stage whose file is not there yet keeps what it has.
    ours = [name for name in listed if Path("stages", f"{name}.py").exists()]
    for name in ours:
        if not isinstance(listed[name], dict) or not isinstance(listed[name].get("deps"), list):
            raise UserError(f"{path}: stages.{name}: a list `deps` is wanted")
    content: dict[str, Any] = yaml.load(text)
    stages = content["stages"]
    changed = []
    for name, code in closures(ours).items():
        deps = stages[name]["deps"]
        wanted = [*code, *(dep for dep in deps if not is_code(dep))]
        if list(deps) != wanted:
            changed.append(name)
            # ruamel keeps comments and blank lines by the item they follow.
            notes = {dep: deps.ca.items[at] for at, dep in enumerate(deps) if at in deps.ca.items}
            notes.setdefault(wanted[-1], notes.get(deps[-1]))
            deps[:] = wanted
            deps.ca.items.clear()
            deps.ca.items.update({at: notes[dep] for at, dep in enumerate(wanted) if notes.get(dep)})
    if changed:
        stream = io.StringIO()
        yaml.dump(content, stream)
        with replacing(path) as temporary:
            temporary.write_text(stream.getvalue())
    return changed
