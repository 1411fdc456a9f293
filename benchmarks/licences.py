"""List the licence of every pinned package, as its own metadata states it, and refuse what is not on the list here.

Run from the project's folder::

    python -m benchmarks.licences

Packages whose marker leaves them out of this machine are not installed and not listed.
"""

from __future__ import annotations

import importlib.metadata
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from packaging.requirements import Requirement

HERE: Final = Path(__file__).resolve().parents[1]
# Permissive ones, and those that bind only their own files.
ALLOWED: Final = frozenset({
    "0BSD", "Apache-2.0", "Apache-2.0 WITH LLVM-exception", "BSD", "BSD-2-Clause", "BSD-3-Clause", "BSL-1.0", "CC0-1.0",
    "EPL-2.0", "MIT", "MIT-0", "MIT-CMU", "MPL-2.0", "PSF-2.0", "ZPL-2.1", "Zlib",
})  # fmt: skip
# Others, by package, and why that is no hindrance to people who install them from their origin.
NAMED: Final = {
    "grandalf": "GPL-2.0 or EPL-1.0; DVC draws `dvc dag` with it",
    "pygit2": "GPL-2.0 with an exception for who links to it; DVC reads git with it",
    "cuda-toolkit": "NVIDIA's own; only names the packages of torch's CUDA build",
    "nvidia-*": "NVIDIA's own, free to use; libraries of torch's CUDA build, and unused without a GPU",
}
_KNOWN: Final = {
    "apache software license": "Apache-2.0", "apache license": "Apache-2.0", "apache license 2.0": "Apache-2.0",
    "apache 2.0": "Apache-2.0", "mit license": "MIT", "bsd license": "BSD", "2-clause bsd license": "BSD-2-Clause",
    "3-clause bsd license": "BSD-3-Clause", "mozilla public license 2.0 (mpl 2.0)": "MPL-2.0",
    "python software foundation license": "PSF-2.0", "zope public license": "ZPL-2.1",
}  # fmt: skip


class Package(NamedTuple):
    """A package, its licence as stated, and whether it may be used; ``why`` for one that is let in by name."""

    name: str
    version: str
    licence: str
    good: bool
    why: str


def listed(requirements: Path) -> Iterator[Package]:
    """Look up all pinned packages that are meant for this machine."""
    for line in requirements.read_text().splitlines():
        if not line or line.startswith("#"):
            continue
        pin = Requirement(line)
        if pin.marker is None or pin.marker.evaluate():
            found, version = stated(pin.name), importlib.metadata.version(pin.name)
            good = allowed(found)
            named = NAMED.get(pin.name) or NAMED.get(f"{pin.name.split('-')[0]}-*", "")
            yield Package(pin.name, version, found, good or bool(named), "" if good else named)


def stated(name: str) -> str:
    """Licence that an installed package states: its expression, its classifiers, or the line that it gives."""
    told = importlib.metadata.metadata(name)
    for expression in told.get_all("License-Expression") or []:
        return str(expression)
    classifiers = [
        one.split(" :: ")[-1] for one in told.get_all("Classifier") or [] if one.startswith("License ::")
    ]
    named = [one for one in classifiers if one != "OSI Approved"]
    if named:
        return " OR ".join(named)
    return next((line for text in told.get_all("License") or [] for line in text.strip().splitlines()), "")


def allowed(licence: str) -> bool:
    """Whether every part of an expression (AND), or one of its alternatives (OR), is on the list."""
    parts = re.split(r"\s+AND\s+", re.sub(r"[()]", "", _spdx(licence)))
    return all(any(_spdx(one) in ALLOWED for one in re.split(r"\s+OR\s+", part)) for part in parts)


def _spdx(text: str) -> str:
    return _KNOWN.get(text.strip().lower(), text.strip())


def main() -> None:
    """Print the list; end with code 1 if a licence on it is not allowed."""
    found = list(listed(HERE / "requirements.txt"))
    for one in found:
        refused = "" if one.good else "NOT ALLOWED  "
        print(f"{refused}{one.name} {one.version}  {one.licence or '(none)'}  {one.why}".rstrip())
    bad = [one.name for one in found if not one.good]
    print(
        f"{len(found)} packages, {sum(bool(one.why) for one in found)} let in by name, {len(bad)} not allowed"
    )
    if bad:
        sys.exit(
            f"error: {', '.join(bad)}: add the licence to ALLOWED or the package to NAMED, with the reason"
        )


if __name__ == "__main__":
    main()
