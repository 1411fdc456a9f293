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

from facemask.records import tables
from facemask.runtime import launch
from facemask.settings import params, recipes
from stages import background_removal, build_manifest, combine, evaluate, face_crop, fix_labels, infer, train

PATHS = {
    "manifest": Path("build_manifest"),
    "faces": Path("face_crop"),
    "mattes": Path("background_removal"),
}
PHOTOS = Path("fix_labels/photos.csv")
MANIFESTS = {name: PATHS["manifest"] / name / tables.MANIFEST.name for name in tables.SETS}


class Pipeline:
    """The stages, each with its usual paths below the current folder."""

    engine: params.Engine = "local"

    def prepare(self, cfg: params.Params, root: Path, *, extra: Path = Path("extra"), seed: int = 1) -> None:
        """Run everything before training."""
        Path("fixes.csv").write_text("dataset,id,field,old,new,status,source,note\n")
        extra.mkdir(exist_ok=True)
        Path("synthesise/train").mkdir(parents=True, exist_ok=True)
        if not Path("synthesise/train/train.csv").exists():
            Path("synthesise/train/train.csv").write_text("id,gender,race,age,path\n")
        photos = {"root": root, "extra": extra, "synthetic": Path("synthesise")}
        fix_labels.run(cfg.fix_labels, **photos, label_fixes=Path("fixes.csv"), out=Path("fix_labels"))
        self.photograph(cfg, root, extra=extra)
        self.manifest(cfg, seed=seed)

    def photograph(self, cfg: params.Params, root: Path, *, extra: Path = Path("extra")) -> None:
        """Run face_crop and background_removal."""
        photos = {"root": root, "extra": extra, "synthetic": Path("synthesise")}
        for stage, section in ((face_crop, cfg.face_crop), (background_removal, cfg.background_removal)):
            out = Path(stage.__name__.rpartition(".")[2])
            stage.run(section, engine=self.engine, photo_table=PHOTOS, **photos, out=out)

    def manifest(self, cfg: params.Params, *, seed: int = 1) -> pd.DataFrame:
        """Run build_manifest and return the rows of labelled and extra photos, by photo."""
        build_manifest.run(
            cfg.build_manifest,
            launch.view(cfg, params.Bands),
            seed=seed,
            photo_table=PHOTOS,
            faces=PATHS["faces"],
            mattes=PATHS["mattes"],
            out=PATHS["manifest"],
        )
        written = [tables.read(MANIFESTS[name], tables.MANIFEST) for name in ("labelled", "extra")]
        return pd.concat(written).set_index("photo")

    def fit(self, cfg: params.Params, fold: int = 0, *, seed: int = 1) -> Path:
        """Train one fold and return its folder."""
        recipe = launch.view(cfg, recipes.Recipe)
        assert isinstance(recipe, recipes.Recipe)
        out = Path(f"models/fold{fold}")
        live = {"curves": Path(f"curves/fold{fold}"), "live": Path(f"live/fold{fold}")}
        train.run(recipe, launch.view(cfg, recipes.Logging), fold=fold, seed=seed, **PATHS, out=out, **live)
        return out

    def combine(self, cfg: params.Params, folds: tuple[int, ...] = (0,)) -> Path:
        """Join the folds' answers and return the folder with them."""
        combine.run(
            cfg.combine,
            params.Folds(folds=folds),
            models=Path("models"),
            manifest=PATHS["manifest"] / "labelled",
            out=Path("combine"),
        )
        return Path("combine")

    def evaluate(self, cfg: params.Params) -> None:
        """Score what combine wrote."""
        evaluate.run(
            cfg.evaluate,
            launch.view(cfg, params.Grouping),
            seed=1,
            faces=PATHS["faces"],
            manifest=PATHS["manifest"] / "labelled",
            combined=Path("combine"),
            out=Path("evaluate"),
            scores=Path("metrics/oof.json"),
            plots=Path("metrics/evaluate"),
        )

    def answer(self, cfg: params.Params, folds: tuple[int, ...] = (0,)) -> pd.DataFrame:
        """Combine, answer the eval photos and return the submission."""
        self.combine(cfg, folds)
        infer.run(
            cfg.infer,
            params.Folds(folds=folds),
            engine=self.engine,
            **PATHS | {"manifest": PATHS["manifest"] / "eval"},
            models=Path("models"),
            combined=Path("combine"),
            known=Path("fix_labels/answers.csv"),
            out=Path("infer"),
            scores=Path("metrics/eval.json"),
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
