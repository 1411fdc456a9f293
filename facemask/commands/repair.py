"""Mend what a DVC that was killed leaves behind: a cut ``dvc.lock`` or ``.dvc`` file, and locks that nobody holds.

DVC writes these files in place, so that a kill in that moment leaves less than there was, and every later command ends
in an error about a schema. Nothing is done while another DVC is at work.

Why HEAD's entries are safe to take: an entry of ``dvc.lock`` says that with these hashes of code, params and data the
stage gave outputs with those hashes. That was true when it was committed and stays true. DVC compares both sides with
the files that are there, so that an entry older than the workspace makes a stage be looked up in the run cache, or run,
and never be taken for up to date. Therefore what cannot be read is replaced by HEAD's file; where single stages of
``dvc.yaml`` are missing or cut, these alone are taken from HEAD, and newer entries stay. Stages that ran after the last
commit come back out of the run cache. Without git the file goes, and all of them do. What was there is kept as
``.dvc/tmp/*.damaged``.
"""

from __future__ import annotations

import io
import re
import subprocess
from pathlib import Path
from typing import Any, Final

import yaml

from facemask.commands import locks
from facemask.runtime import files

_LOCK: Final = "dvc.lock"
_HASH: Final = re.compile(r"[0-9a-f]{32}(\.dir)?")


def everything(project: Path) -> list[str]:
    """Mend what is damaged in a project's folder and its ``.dvc/tmp``; a sound one stays as it is.

    Returns
    -------
    list of str
        A line for each thing mended.
    """
    above = (
        folder for folder in (project.absolute(), *project.absolute().parents) if (folder / ".dvc").is_dir()
    )
    home = next(above, None)
    if home is None:
        return []
    tmp = home / ".dvc" / "tmp"
    tmp.mkdir(exist_ok=True)
    told = [locks.claim(tmp / "lock", home)]
    with locks.held(tmp / "lock") as free:
        if not free:
            return []
        told.append(locks.processes(tmp))
        told.append(_stages(project, tmp))
        for folder in ("", "data", "data/*"):
            told += [
                _single(path, tmp)
                for path in sorted(project.glob(f"{folder}/*.dvc".lstrip("/")))
                if path.is_file()
            ]
    return [line for line in told if line]


def _stages(project: Path, tmp: Path) -> str:
    path = project / _LOCK
    before = path.read_bytes() if path.exists() else b""
    head = _committed(path)
    old, found = _parsed(head), _parsed(before)
    if found is None:
        if not (before or head or path.exists()):
            return ""
        _replace(path, before, head if old is not None else b"", tmp)
        where = "restored from git" if old is not None else "removed"
        how = "cut short" if before else "empty or missing"
        return f"{_LOCK} was {how}: {where}; what ran since is in DVC's run cache"
    entries, known = found["stages"], (old or {"stages": {}})["stages"]
    whole = {name: entry for name, entry in entries.items() if _whole(entry)}
    missing = _wanted(project, [name for name in known if name not in whole])
    if entries and (missing or not before.endswith(b"\n")):
        # A cut went through the last entry, or through what came after it: nothing tells which.
        last = next(reversed(entries))
        whole.pop(last, None)
        missing = _wanted(project, [name for name in known if name not in whole])
    if not missing and whole.keys() == entries.keys():
        return ""
    names = [name for name in known if name in whole or name in missing]
    names += [name for name in whole if name not in known]
    _replace(path, before, _merged(before, head, names, set(whole)), tmp)
    lost = ", ".join(sorted({*missing, *(entries.keys() - whole.keys())}))
    return f"{_LOCK} was cut short: {lost} restored from {'git and ' * bool(known)}DVC's run cache"


def _single(path: Path, tmp: Path) -> str:
    """Mend a ``.dvc`` file, of which HEAD has an older copy or none."""
    before = path.read_bytes()
    if _tracks(before):
        return ""
    head = _committed(path)
    _replace(path, before, head if _tracks(head) else b"", tmp)
    what = "restored from git" if _tracks(head) else "removed"
    return (
        f"{path} was cut short by a kill: {what}; if its data changed since: dvc add {path.with_suffix('')}"
    )


def _committed(path: Path) -> bytes:
    """Content in HEAD; nothing without git, a commit, or the file in it."""
    command = ["git", "show", f"HEAD:./{path.name}"]
    try:
        return subprocess.run(command, cwd=path.parent, capture_output=True, check=False).stdout
    except OSError:
        return b""


def _parsed(content: bytes) -> dict[str, Any] | None:
    """Content of a lock file that DVC would take, but for its single stages."""
    found = _yaml(content)
    sound = isinstance(found, dict) and found.get("schema") == "2.0" and isinstance(found.get("stages"), dict)
    return found if sound else None


def _yaml(content: bytes) -> Any:
    try:
        # DVC's own parser takes a hundred times as long over a long file.
        return yaml.load(content, yaml.CSafeLoader)
    except (yaml.YAMLError, ValueError):
        return None


def _whole(entry: Any) -> bool:
    """Whether a stage's entry is one that DVC writes: a command, and a hash for every file."""
    if not isinstance(entry, dict) or not entry.get("cmd"):
        return False
    files = entry.get("deps", []), entry.get("outs")
    return all(isinstance(some, list) and all(map(_hashed, some)) for some in files)


def _hashed(file: Any) -> bool:
    if not isinstance(file, dict) or not isinstance(file.get("path"), str):
        return False
    # What lies elsewhere than on this disk has hashes of other kinds.
    return bool(_HASH.fullmatch(str(file["md5"]))) if "md5" in file else len(file) > 1


def _tracks(content: bytes) -> bool:
    found = _yaml(content)
    return isinstance(found, dict) and bool(found.get("outs")) and all(map(_hashed, found["outs"]))


def _wanted(project: Path, names: list[str]) -> list[str]:
    """Those of some stages that dvc.yaml still has."""
    if not names or not (project / "dvc.yaml").is_file():
        return []
    stages = (_yaml((project / "dvc.yaml").read_bytes()) or {}).get("stages", {})
    return [name for name in names if name.split("@")[0] in stages]


def _merged(newer: bytes, older: bytes, names: list[str], whole: set[str]) -> bytes:
    """Stages from the newer file where they are whole there, the others from the older, as DVC writes them."""
    from ruamel.yaml import YAML

    # PyYAML takes 3e-05 for text, which would be another value of a param.
    content, old = (YAML(typ="safe").load(text) or {} for text in (newer, older))
    stages = {name: (content if name in whole else old)["stages"][name] for name in names}
    writer = YAML()
    writer.default_flow_style = False
    stream = io.BytesIO()
    writer.dump(content | {"stages": stages}, stream)
    return stream.getvalue()


def _replace(path: Path, before: bytes, after: bytes, tmp: Path) -> None:
    """Keep what was there; write what is to be there, or nothing."""
    if before:
        (tmp / f"{path.name}.damaged").write_bytes(before)
    if not after:
        path.unlink(missing_ok=True)
        return
    with files.replacing(path) as temporary:
        temporary.write_bytes(after)
