"""People are drawn where the sample is the data, and nowhere else."""

from __future__ import annotations

from pathlib import Path

import pytest

from facemask.sample import contest
from facemask.settings import params
from stages import sample_data

CFG = params.SampleData(train_people=8, eval_people=1, seed=7)


@pytest.fixture(autouse=True)
def drawn(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[Path]:
    """Where people were drawn: the drawing itself has tests of its own."""
    monkeypatch.chdir(tmp_path)
    folders: list[Path] = []

    def write(cfg: params.SampleData, root: Path) -> None:
        folders.append(root)

    monkeypatch.setattr(contest, "write", write)
    return folders


@pytest.mark.parametrize("root", ["data/sample", "./data/../data/sample", "{here}/data/sample"])
def test_drawn_where_it_is_the_data_however_the_folder_is_named(
    root: str, drawn: list[Path], tmp_path: Path
) -> None:
    sample_data.run(CFG, root=Path(root.format(here=tmp_path)), out=Path("data/sample"))
    assert drawn == [Path("data/sample")]


@pytest.mark.parametrize("root", ["../mine", "data/sample2", "data"])
def test_with_other_photos_an_older_sample_goes(
    root: str, drawn: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    Path("data/sample/train").mkdir(parents=True)
    sample_data.run(CFG, root=Path(root), out=Path("data/sample"))
    assert not drawn
    assert Path("data/sample").is_dir()
    assert not list(Path("data").glob("**/*/*"))
    assert capsys.readouterr().out == "sample_data: data.root is another folder, so no people are drawn\n"
