"""The stages run one after the other on a tiny contest folder, in a repository of their own."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from dvc.repo import Repo

from facemask.pixels import archive
from facemask.records import tables
from facemask.runtime import launch
from facemask.settings import params, recipes
from stages import background_removal, build_manifest, combine, evaluate, face_crop, fix_labels, infer, train

PATHS = {
    "manifest": Path("build_manifest"),
    "faces": Path("face_crop"),
    "mattes": Path("background_removal"),
}


class Pipeline:
    """The stages, each with its usual paths below the current folder."""

    engine: params.Engine = "local"

    def prepare(self, cfg: params.Params, root: Path, *, extra: Path = Path("extra"), seed: int = 1) -> None:
        """Run everything before training."""
        Path("fixes.csv").write_text("dataset,id,field,old,new,status,source,note\n")
        Path("truth").mkdir()
        archive.write(Path("truth/mattes.zip"), {})
        pd.DataFrame({"ImageID": ["other.jpg"], "ans": [0]}).to_csv("truth/answers.csv", index=False)
        extra.mkdir(exist_ok=True)
        Path("synthesise/train").mkdir(parents=True, exist_ok=True)
        if not Path("synthesise/train/train.csv").exists():
            Path("synthesise/train/train.csv").write_text("id,gender,race,age,path\n")
        photos = {"root": root, "extra": extra, "synthetic": Path("synthesise")}
        fix_labels.run(
            cfg.fix_labels,
            **photos,
            fixes=Path("fixes.csv"),
            out=Path("fix_labels"),
            metrics=Path("m/fix_labels.json"),
        )
        self.photograph(cfg, root, extra=extra)
        self.manifest(cfg, seed=seed)

    def photograph(self, cfg: params.Params, root: Path, *, extra: Path = Path("extra")) -> None:
        """Run face_crop and background_removal."""
        labels = {"labels": Path("fix_labels"), "root": root, "extra": extra, "synthetic": Path("synthesise")}
        face_crop.run(
            cfg.face_crop,
            engine=self.engine,
            **labels,
            out=Path("face_crop"),
            metrics=Path("m/face_crop.json"),
            plot=Path("p/c.jpg"),
        )
        background_removal.run(
            cfg.background_removal,
            engine=self.engine,
            **labels,
            truth=Path("truth"),
            out=Path("background_removal"),
            metrics=Path("m/background_removal.json"),
            plot=Path("p/b.jpg"),
        )

    def manifest(self, cfg: params.Params, *, seed: int = 1) -> pd.DataFrame:
        """Run build_manifest and return train.csv by photo."""
        build_manifest.run(
            cfg.build_manifest,
            launch.view(cfg, params.Bands),
            seed=seed,
            labels=Path("fix_labels"),
            faces=Path("face_crop"),
            mattes=Path("background_removal"),
            out=Path("build_manifest"),
            metrics=Path("m/build_manifest.json"),
            plot=Path("p/d.png"),
        )
        return tables.read(Path("build_manifest/train.csv"), tables.TRAIN).set_index("photo")

    def fit(self, cfg: params.Params, fold: int = 0, *, seed: int = 1) -> Path:
        """Train one fold and return its folder."""
        recipe = launch.view(cfg, recipes.Recipe)
        assert isinstance(recipe, recipes.Recipe)
        out = Path(f"models/fold{fold}")
        train.run(recipe, fold=fold, seed=seed, **PATHS, out=out, live=Path(f"live/fold{fold}"))
        return out

    def combine(self, cfg: params.Params, folds: tuple[int, ...] = (0,)) -> Path:
        """Join the folds' answers and return the folder with them."""
        combine.run(
            cfg.combine,
            params.Folds(folds=folds),
            models=Path("models"),
            manifest=PATHS["manifest"],
            out=Path("combine"),
            metrics=Path("m/combine.json"),
        )
        return Path("combine")

    def evaluate(self, cfg: params.Params) -> None:
        """Score what combine wrote."""
        evaluate.run(
            cfg.evaluate,
            seed=1,
            manifest=PATHS["manifest"],
            combined=Path("combine"),
            metrics=Path("m/evaluate.json"),
            plots=Path("p/evaluate"),
        )

    def answer(self, cfg: params.Params, folds: tuple[int, ...] = (0,)) -> pd.DataFrame:
        """Combine, answer the eval photos and return the submission."""
        self.combine(cfg, folds)
        infer.run(
            cfg.infer,
            params.Folds(folds=folds),
            engine=self.engine,
            **PATHS,
            models=Path("models"),
            combined=Path("combine"),
            truth=Path("truth"),
            out=Path("infer"),
            metrics=Path("m/infer.json"),
        )
        return tables.read(Path("infer/submission.csv"), tables.SUBMISSION)


@pytest.fixture(scope="session")
def empty_repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A git and DVC repository with a commit, as DVCLive asks for."""
    folder = tmp_path_factory.mktemp("repository")
    who = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    for command in (["init", "-q"], [*who, "commit", "-q", "--allow-empty", "-m", "start"]):
        subprocess.run(["git", *command], check=True, cwd=folder)
    Repo.init(str(folder)).close()
    return folder


@pytest.fixture
def pipeline(empty_repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pipeline:
    """An empty repository as the current folder, and the stages to run in it."""
    folder = tmp_path / "repository"
    monkeypatch.setenv("DVC_ROOT", str(folder))
    shutil.copytree(empty_repository, folder)
    monkeypatch.chdir(folder)
    return Pipeline()


@pytest.fixture(scope="session")
def _prepared_once() -> dict[str, Path]:
    """Where the first test left the prepared folder for the others."""
    return {}


@pytest.fixture
def prepared(
    pipeline: Pipeline,
    _prepared_once: dict[str, Path],
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
    contest_folder: Callable[..., Path],
    toy_yaml: dict[str, Any],
) -> Pipeline:
    """All stages before training, run on twelve people, a quarter of them held out."""
    from facemask.settings import loading

    folder = tmp_path / "repository"
    root = contest_folder(people=12, eval_people=3)
    if "folder" in _prepared_once:
        shutil.copytree(_prepared_once["folder"], folder, dirs_exist_ok=True)
        return pipeline
    toy_yaml = toy_yaml | {"build_manifest": toy_yaml["build_manifest"] | {"holdout": 0.25}}
    pipeline.prepare(loading.parse(toy_yaml, "toy"), root)
    _prepared_once["folder"] = tmp_path_factory.mktemp("prepared") / "repository"
    shutil.copytree(folder, _prepared_once["folder"])
    return pipeline
