"""Links in a data set: those that DVC sees through and that stay inside are taken."""

from __future__ import annotations

from pathlib import Path

import pytest

from facemask.records import links
from facemask.runtime.errors import UserError


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "set"
    (folder / "a" / "b").mkdir(parents=True)
    (folder / "a" / "b" / "photo.jpg").write_bytes(b"photo")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret").write_bytes(b"secret")
    return folder


def test_links_to_files_inside_and_the_folder_itself_are_taken(root: Path, tmp_path: Path) -> None:
    (root / "a" / "again.jpg").symlink_to("b/photo.jpg")
    (root / ".hidden").symlink_to(tmp_path / "outside")
    links.refuse(root, "data.root")
    (tmp_path / "name").symlink_to(root)
    links.refuse(tmp_path / "name", "data.root")
    links.refuse(tmp_path / "nowhere", "data.root")


@pytest.mark.parametrize(
    ("name", "target", "told"),
    [
        ("a/b/more", "../../../outside", "a symbolic link to a folder"),
        ("more", "a", "a symbolic link to a folder"),
        ("a/up", "..", "a symbolic link to a folder"),
        ("a/b/photo2.jpg", "../../../outside/secret", "a symbolic link out of the data set"),
        ("a/gone.jpg", "nowhere", "a symbolic link that leads nowhere"),
        ("a/self", "self", "a symbolic link that leads nowhere"),
    ],
)
def test_every_other_link_is_told_with_what_to_do(root: Path, name: str, target: str, told: str) -> None:
    (root / name).symlink_to(target)
    with pytest.raises(UserError, match=told) as caught:
        links.refuse(root, "data.extra")
    assert str(caught.value).startswith(str(root / name))
    assert "data.extra" in str(caught.value) or "remove it" in str(caught.value)
