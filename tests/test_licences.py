"""Licences of all that is installed: on the list, or let in by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import licences


@pytest.mark.parametrize(
    ("licence", "good"),
    [
        ("MIT", True),
        ("Mozilla Public License 2.0 (MPL 2.0)", True),
        ("MPL-2.0 AND (Apache-2.0 OR MIT)", True),
        ("EPL-2.0 OR GPL-2.0-or-later", True),
        ("MIT AND GPL-3.0-only", False),
        ("GPL-2.0-only OR LGPL-3.0-only", False),
        ("BSD License OR GNU General Public License v2 (GPLv2)", True),
        ("Other/Proprietary License", False),
        ("", False),
    ],
)
def test_every_part_or_one_alternative_has_to_be_allowed(licence: str, good: bool) -> None:
    assert licences.allowed(licence) is good


@pytest.mark.slow
def test_all_that_is_pinned_is_allowed_and_no_exception_is_idle(repository: Path) -> None:
    found = list(licences.listed(repository / "requirements.txt"))
    assert len(found) > 200
    assert [one.name for one in found if not one.good] == []
    used = {one.why for one in found if one.why}
    assert used == set(licences.NAMED.values()) or not any(one.name.startswith("nvidia") for one in found)
