"""Fifteen mistakes that teams have made with these data, one test each: none can be made here unnoticed."""

from __future__ import annotations

import ast
import dataclasses
import json
import math
import os
import shutil
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from dvc.utils.hydra import apply_overrides
from sklearn.metrics import f1_score
from torch import Tensor

from facemask.network import reader
from facemask.network.classifier import Classifier
from facemask.records import classes, raw, tables
from facemask.runtime import launch
from facemask.runtime.errors import UserError
from facemask.settings import config, loading, params, presets, recipes
from facemask.training import fit, ranks, sides
from facemask.training.task import Task
from stages import fix_labels

pytestmark = pytest.mark.slow

COLUMNS = list(classes.columns())
IDENTITY, FLIP = {"kind": "identity"}, {"kind": "hflip"}
STEADY = {"kind": "constant", "warmup_steps": 0}


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Starting processes and drawing charts take longer than these few photos."""
    monkeypatch.setattr("facemask.runtime.hardware.cores", lambda: 1)
    monkeypatch.setattr("facemask.manifest.class_counts.draw", lambda *_: None)
    monkeypatch.setattr("stages.evaluate.pictures.draw", lambda *_: None)


class Watch:
    """The photos that training, validation and the network in evaluation mode were shown, in order."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.trained: list[bytes] = []
        self.validated: list[bytes] = []
        self.answered: list[bytes] = []
        features = Classifier.features

        def spied(model: Classifier, photos: Tensor) -> dict[str, Tensor]:
            if not model.training:
                self.answered.extend(photo.tobytes() for photo in photos.numpy())
            return features(model, photos)

        monkeypatch.setattr(Classifier, "features", spied)
        for name, photos in (("training_step", self.trained), ("validation_step", self.validated)):
            monkeypatch.setattr(Task, name, self._spy(getattr(Task, name), photos))

    @staticmethod
    def _spy(step: Callable[..., Any], photos: list[bytes]) -> Callable[..., Any]:
        def spied(task: Task, batch: Any, index: int) -> Any:
            photos.extend(photo.tobytes() for photo in batch.photos.numpy())
            return step(task, batch, index)

        return spied


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> Watch:
    """What the network is shown from here on."""
    return Watch(monkeypatch)


def chosen(toy: dict[str, Any], **train: Any) -> params.Params:
    """The toy params with other keys in ``train``."""
    return loading.parse(toy | {"train": toy["train"] | train}, "toy")


def recipe(cfg: params.Params) -> recipes.Recipe:
    view = launch.view(cfg, recipes.Recipe)
    assert isinstance(view, recipes.Recipe)
    return view


def composed(cfg: params.Params, photos: pd.DataFrame) -> list[bytes]:
    """Each photo of a manifest as the network is meant to see it."""
    whole = reader.PhotoReader(Path("face_crop"), Path("background_removal"), cfg.train.image)
    return [whole.read(row).tobytes() for row in reader.rows(photos.reset_index())]


def answers(path: Path) -> pd.DataFrame:
    return tables.read(path, tables.PROBABILITIES).set_index("photo")


def macro_f1(found: pd.DataFrame) -> float:
    """Of a table of answers, by scikit-learn."""
    called = found[COLUMNS].to_numpy().argmax(1)
    return float(f1_score(found["class"], called, average="macro"))


def facts(out: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((out / "model.json").read_text())
    return content


def person_of(photo: str) -> str:
    """Whoever made the folders knows best: the number that they begin with."""
    return Path(photo).parent.name[:6]


def test_01_copies_and_pseudo_labels_of_validating_people_never_train(
    pipeline: Any, contest_folder: Callable[..., Path], toy_yaml: dict[str, Any], watch: Watch
) -> None:
    """Nor do synthetic faces made from them, nor those of people held out."""
    toy_yaml["build_manifest"] |= {"holdout": 0.25, "balance": {"kind": "oversample", "ratio": 1.0, "cap": 3}}
    toy_yaml["train"] |= {"augment": [], "batch_size": 32}
    unlabelled = {"kind": "self_training", "rounds": 1, "threshold": 0.0, "per_class": None}
    cfg = chosen(toy_yaml, unlabelled=unlabelled, pool="unlabelled")
    root = contest_folder(people=8, eval_people=1)
    # Person by person other photos of the same eight, known to be theirs by one equal photo, or by the maker's word.
    more = contest_folder("repository/extra/more", people=8, eval_people=0, seed=1)
    drawn = contest_folder("repository/synthesise", people=8, eval_people=0, seed=2)
    (more / "unlabelled").mkdir()
    strangers = contest_folder("strangers", people=1, eval_people=0, seed=3)
    shutil.copytree(next((strangers / "train/images").iterdir()), more / "unlabelled" / "strangers")
    lent = ["folder,source"]
    for folder in sorted(path.name for path in (root / "train/images").iterdir()):
        shutil.copy(
            root / "train/images" / folder / "mask1.jpg", more / "train/images" / folder / "normal.jpg"
        )
        shutil.copy(root / "train/images" / folder / "mask2.jpg", more / "unlabelled" / f"{folder}.jpg")
        lent.append(f"{folder},{folder[:6]}")
    (drawn / "train/people.csv").write_text("\n".join(lent) + "\n")
    pipeline.prepare(cfg, root)
    rows = pipeline.manifest(cfg)
    own = rows[rows["split"] != "extra"]
    assert sorted(own.index) == sorted(
        p.relative_to(root).as_posix() for p in (root / "train").rglob("*.jpg")
    )
    known = {pixels: person_of(photo) for photo, pixels in zip(rows.index, composed(cfg, rows), strict=True)}
    fold = own.groupby(own.index.map(person_of))["fold"].first()
    pipeline.fit(cfg)
    assert {known.get(pixels, "stranger") for pixels in watch.trained} == {*fold.index[fold == 1], "stranger"}
    assert {known.get(pixels, "stranger") for pixels in watch.validated} == set(fold.index[fold == 0])
    # Their photos and those of their faces elsewhere do train, each decoded once and of strangers all seven.
    lent_to = (rows["fold"] == 1) & (rows["repeats"] > 0)
    assert len(set(watch.trained)) == lent_to.sum() + 7


def test_02_folds_are_by_person_whatever_the_seed_and_number_of_folders(
    pipeline: Any, contest_folder: Callable[..., Path], toy_yaml: dict[str, Any]
) -> None:
    root = contest_folder(people=9, eval_people=0)
    shutil.copytree(root / "train/images/000001_male_Asian_19", root / "train/images/000001_male_Asian_20")
    with (root / "train/train.csv").open("a") as listed:
        listed.write("000001,male,Asian,20,000001_male_Asian_20\n")
    toy_yaml["build_manifest"] |= {"folds": 3, "holdout": 0.25}
    cfg = chosen(toy_yaml)
    pipeline.prepare(cfg, root)
    for seed in (1, 2):
        pipeline.manifest(cfg, seed=seed)
        for fold in range(3):
            found = sides.rows(recipe(cfg), fold, Path("build_manifest"))
            train, val, held = (
                set(map(person_of, part["photo"])) for part in (found.train, found.val, found.held)
            )
            assert train
            assert val
            assert held
            assert not train & val | train & held | val & held


def test_03_a_fold_starts_anew_whatever_was_trained_before(prepared: Any, toy_yaml: dict[str, Any]) -> None:
    """Its rounds of self-training too."""
    unlabelled = {"kind": "self_training", "rounds": 1, "threshold": 0.0, "per_class": None}
    cfg = chosen(toy_yaml, unlabelled=unlabelled, pool="eval")
    alone = (prepared.fit(cfg, 1) / "weights.safetensors").read_bytes()
    prepared.fit(cfg, 0)
    assert (prepared.fit(cfg, 1) / "weights.safetensors").read_bytes() == alone


def test_04_validation_is_scored_on_the_official_bands(prepared: Any, toy_yaml: dict[str, Any]) -> None:
    """Whatever bands the trainer sees."""
    cfg = chosen(toy_yaml, young_cut=24, age_cut=45, epochs=6, lr=0.01, schedule=STEADY)
    rows = prepared.manifest(cfg)
    out = prepared.fit(cfg)
    prepared.combine(cfg)
    prepared.evaluate(cfg)
    for found in (answers(out / "oof.csv"), answers(out / "holdout.csv"), answers(Path("combine/oof.csv"))):
        names = [Path(photo).parent.name.split("_") for photo in found.index]
        kinds = [raw.MASK_OF[Path(photo).stem] for photo in found.index]
        bands = [0 if int(age) < 30 else 1 if int(age) < 60 else 2 for *_, age in names]
        official = classes.encode(kinds, [gender == "female" for _, gender, *_ in names], bands)
        assert found["class"].tolist() == official.tolist()
    oof = answers(out / "oof.csv")
    shifted = macro_f1(oof.assign(**{"class": rows.loc[oof.index, "target"]}))
    assert macro_f1(oof) != pytest.approx(shifted, abs=1e-3)
    reported = json.loads(Path("evaluate/details.json").read_text())["oof"]["macro_f1"]
    assert facts(out)["val_macro_f1"] == pytest.approx(macro_f1(oof), abs=1e-5)
    assert reported == pytest.approx(macro_f1(oof), abs=1e-4)


def test_05_validation_and_inference_see_the_photos_alike(
    pipeline: Any, contest_folder: Callable[..., Path], toy_yaml: dict[str, Any], watch: Watch
) -> None:
    """Crop, size, statistics and background are the training's, its augmentation is nobody else's."""
    root = contest_folder(people=8, eval_people=2, extensions=("png",))
    people = sorted((root / "train/images").iterdir())
    copies = {}
    for place, image in enumerate(sorted((root / "eval/images").iterdir())):
        photo = people[place % 8] / ("mask1.png" if place < 8 else "normal.png")
        shutil.copy(photo, image)
        copies[image.name] = photo.relative_to(root).as_posix()
    toy_yaml["background_removal"]["matting"] = {"kind": "grabcut", "iterations": 1, "height": 32}
    toy_yaml["train"]["image"] |= {"background": "black", "mean": [0.2, 0.4, 0.6], "std": [0.5, 0.3, 0.1]}
    toy_yaml["infer"]["views"] = [IDENTITY]
    toy_yaml["combine"]["calibrate"] = {"kind": "none"}
    swap = {"kind": "swap", "p": 1.0, "fills": ["colour"]}
    mixing = {"kind": "mixup", "alpha": 1.0, "p": 1.0}
    cfg = chosen(toy_yaml, augment=[{"name": "InvertImg", "p": 1.0}], swap=swap, mixing=mixing)
    pipeline.prepare(cfg, root)
    rows = pipeline.manifest(cfg)
    out = pipeline.fit(cfg)
    assert watch.validated == composed(cfg, rows[rows["fold"] == 0])
    assert set(watch.answered) == set(watch.validated)
    assert not set(watch.trained) & set(composed(cfg, rows))
    oof = answers(out / "oof.csv")
    # What validation counted is what was written afterwards.
    assert facts(out)["val_macro_f1"] == pytest.approx(macro_f1(oof), abs=1e-5)
    watch.answered.clear()
    pipeline.answer(cfg)
    manifest = tables.read(Path("build_manifest/eval/manifest.csv"), tables.UNLABELLED_MANIFEST).set_index(
        "photo"
    )
    assert watch.answered == composed(cfg, manifest)
    given = tables.read(Path("infer/probabilities.csv"), tables.EVAL_PROBABILITIES).set_index("ImageID")
    both = {image: photo for image, photo in copies.items() if photo in oof.index}
    assert len(both) >= 4
    np.testing.assert_allclose(
        given.loc[list(both), COLUMNS], oof.loc[list(both.values()), COLUMNS], atol=2e-5
    )


def test_06_the_schedule_counts_optimiser_steps(
    prepared: Any, toy_yaml: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither epochs nor batches."""
    seen: list[float] = []
    monkeypatch.setattr(
        Task, "on_before_optimizer_step", lambda task, optimiser: seen.append(optimiser.param_groups[0]["lr"])
    )
    schedule = {"kind": "cosine", "warmup_steps": 0, "min_lr": 0.0}
    prepared.fit(chosen(toy_yaml, epochs=3, lr=0.1, accumulate=2, batch_size=7, schedule=schedule))
    photos = len(sides.rows(recipe(chosen(toy_yaml)), 0, Path("build_manifest")).train)
    steps = 3 * math.ceil(math.ceil(photos / 7) / 2)
    assert seen == pytest.approx(
        [0.05 * (1 + np.cos(np.pi * k / (steps - 1))) for k in range(steps)], abs=1e-9
    )


def test_06_every_knob_is_read(
    prepared: Any, toy_yaml: dict[str, Any], repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All that the schema knows somewhere in the code, all of these params in a run with them."""
    knobs = [
        (name, str(f.annotation))
        for kind in _sections(config.Config)
        for name, f in kind.model_fields.items()
    ]
    # Only of what is called as sections are: other objects may have attributes of a knob's name.
    holders = {"cfg", "recipe", "watched"} | {name for name, annotation in knobs if "facemask." in annotation}
    names: set[str] = set()
    for path in [*(repository / "facemask").rglob("*.py"), *(repository / "stages").glob("*.py")]:
        if path.name not in ("config.py", "params.py", "recipes.py"):
            found = [
                node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Attribute)
            ]
            names |= {node.attr for node in found if ast.unparse(node.value).rpartition(".")[2] in holders}
    # DVC hands these on by itself.
    paths = {
        name
        for name in params.Data.model_fields
        if f"${{data.{name}}}" in (repository / "dvc.yaml").read_text()
    }
    # One an attribute, asked for by its name.
    paths |= set(recipes.Strengths.model_fields)
    assert {name for name, _ in knobs} - names - paths - set(params.Params.model_fields) == set()

    read: set[tuple[type, str]] = set()

    def spy(section: config.Config, name: str) -> Any:
        read.add((type(section), name))
        return object.__getattribute__(section, name)

    cfg = chosen(toy_yaml, folds=[0, 1])
    mine = {
        "bands": launch.view(cfg, params.Bands),
        "grouping": launch.view(cfg, params.Grouping),
        "logging": launch.view(cfg, recipes.Logging),
        "folds": params.Folds(folds=(0,)),
        "recipe": recipe(cfg),
        **{name: getattr(cfg, name) for name in ("build_manifest", "combine", "evaluate", "infer")},
    }
    wanted = {(type(section), field) for whole in mine.values() for section, field in _fields(whole)}
    monkeypatch.setattr(launch, "view", lambda _, kind: next(s for s in mine.values() if type(s) is kind))
    monkeypatch.setattr(config.Config, "__getattribute__", spy, raising=False)
    prepared.manifest(cfg)
    prepared.fit(cfg)
    prepared.answer(cfg)
    prepared.evaluate(cfg)
    # A CPU computes in 32 bits whatever is asked for; no unlabelled photos teach here, and memory is enough.
    idle = {(recipes.Recipe, "pool"), (recipes.Recipe, "fit_memory")}
    idle |= set() if torch.cuda.is_available() else {(recipes.Recipe, "precision")}
    assert {f"{kind.__name__}.{field}" for kind, field in wanted - read - idle} == set()


def _sections(kind: type[config.Config]) -> Iterator[type[config.Config]]:
    for section in kind.__subclasses__():
        if not section.__module__.startswith("facemask.settings."):
            continue
        yield section
        yield from _sections(section)


def _fields(section: Any) -> Iterator[tuple[config.Config, str]]:
    """Knobs of a section and of those within it, but for the tag that picks the class."""
    if isinstance(section, config.Config):
        for name in type(section).model_fields:
            if name != "kind":
                yield section, name
                yield from _fields(getattr(section, name))
    elif isinstance(section, tuple):
        for part in section:
            yield from _fields(part)


@pytest.mark.parametrize(
    "change",
    [
        {"class_weights": {"kind": "inverse", "power": 1.0}},
        {"head": {"kind": "joint", "dropout": {"p": 0.5, "samples": 1}}},
        {"head": {"kind": "joint", "dropout": {"p": 0.1, "samples": 4}}},
    ],
    ids=["weights", "dropout", "samples"],
)
def test_07_weights_and_dropout_draws_reach_the_network(
    prepared: Any, toy_yaml: dict[str, Any], monkeypatch: pytest.MonkeyPatch, change: dict[str, Any]
) -> None:
    """Each draw of each photo has its part in the gradient."""
    toy_yaml["train"]["head"] = {"kind": "joint", "dropout": {"p": 0.1, "samples": 1}}
    plain = (prepared.fit(chosen(toy_yaml)) / "weights.safetensors").read_bytes()
    learnt: list[tuple[int, int]] = []
    loss = Task._loss

    def spy(task: Task, logits: dict[str, Tensor], targets: dict[str, Tensor]) -> Tensor:
        photos = len(targets["class"])
        if logits["class"].requires_grad:
            logits["class"].register_hook(  # type: ignore[no-untyped-call]
                lambda g: learnt.append((photos, int((g.abs().sum(1) > 0).sum())))
            )
        return loss(task, logits, targets)

    monkeypatch.setattr(Task, "_loss", spy)
    cfg = chosen(toy_yaml, **change)
    assert (prepared.fit(cfg) / "weights.safetensors").read_bytes() != plain
    assert isinstance(cfg.train.head, recipes.JointHead)
    assert learnt
    assert all(rows == photos * cfg.train.head.dropout.samples for photos, rows in learnt)


def test_07_every_view_counts_in_the_answers(prepared: Any, toy_yaml: dict[str, Any]) -> None:
    prepared.fit(chosen(toy_yaml))
    tabs = []
    for views in ([IDENTITY], [FLIP], [IDENTITY, FLIP]):
        toy_yaml["infer"]["views"] = views
        prepared.answer(chosen(toy_yaml))
        found = tables.read(Path("infer/probabilities.csv"), tables.EVAL_PROBABILITIES)
        tabs.append(found[COLUMNS].to_numpy())
    assert np.abs(tabs[0] - tabs[1]).max() > 1e-4
    np.testing.assert_allclose(tabs[2], (tabs[0] + tabs[1]) / 2, atol=2e-6)


def test_08_the_epoch_kept_is_chosen_by_the_reported_score_and_answers(
    prepared: Any, toy_yaml: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not by another number, and the last epoch's weights are nowhere used."""
    end = Task.log_dict

    def flatter(task: Task, scores: dict[str, float], **options: Any) -> None:
        # Every other number is best in the last epoch.
        late = task.current_epoch
        end(task, scores | {"val/accuracy": late / 9, "val/loss": -late, "train/loss": -late}, **options)

    def ruin(task: Task) -> None:
        if task.current_epoch == 3:
            torch.nn.init.constant_(next(task.model.parameters()), torch.nan)
        start(task)

    start = Task.on_train_epoch_start
    monkeypatch.setattr(Task, "log_dict", flatter)
    monkeypatch.setattr(Task, "on_train_epoch_start", ruin)
    cfg = chosen(toy_yaml, epochs=4, lr=0.01, schedule=STEADY)
    out = prepared.fit(cfg)
    lines = Path("live/fold0/plots/metrics/val/macro_f1.tsv").read_text().splitlines()[1:]
    logged = [float(line.split("\t")[1]) for line in lines]
    assert len(logged) == 4
    assert facts(out)["best_epoch"] == int(np.argmax(logged)) + 1 < 4
    assert facts(out)["val_macro_f1"] == pytest.approx(max(logged), abs=1e-6)
    assert macro_f1(answers(out / "oof.csv")) == pytest.approx(max(logged), abs=1e-5)
    prepared.answer(cfg)
    prepared.evaluate(cfg)
    reported = json.loads(Path("evaluate/details.json").read_text())["oof"]["macro_f1"]
    assert reported == pytest.approx(max(logged), abs=1e-4)


def test_09_scores_are_of_the_whole_set_whatever_the_batches(
    prepared: Any, toy_yaml: dict[str, Any], watch: Watch
) -> None:
    """Batches of odd sizes neither drop a photo nor average scores."""
    whole = []
    cfg = chosen(toy_yaml, batch_size=10, epochs=3, lr=0.01, schedule=STEADY)
    for fold in (0, 1):
        out = prepared.fit(cfg, fold)
        oof = answers(out / "oof.csv")
        whole.append(oof)
        # Neither do equal parts of it hold them all.
        assert len(oof) % math.ceil(len(oof) / 10)
        assert len(watch.validated) == 3 * len(oof)
        watch.validated.clear()
        assert facts(out)["val_macro_f1"] == pytest.approx(macro_f1(oof), abs=1e-5)
    manifest = tables.read(Path("build_manifest/labelled/manifest.csv"), tables.MANIFEST)
    prepared.combine(cfg, (0, 1))
    prepared.evaluate(cfg)
    both = pd.concat(whole)
    assert sorted(both.index) == sorted(manifest["photo"][manifest["split"] == "train"])
    reported = json.loads(Path("evaluate/details.json").read_text())["oof"]["macro_f1"]
    assert reported == pytest.approx(macro_f1(both), abs=1e-4)
    assert reported != pytest.approx(np.mean([macro_f1(one) for one in whole]), abs=1e-3)


def test_10_every_photo_validates_exactly_once(prepared: Any, toy_yaml: dict[str, Any], watch: Watch) -> None:
    """Whatever training draws, and how often."""
    toy_yaml["build_manifest"] |= {"holdout": 0.25, "balance": {"kind": "oversample", "ratio": 1.0, "cap": 5}}
    cfg = chosen(toy_yaml, sampler={"kind": "weighted", "power": 1.0})
    rows = prepared.manifest(cfg)
    whole = [sides.rows(recipe(cfg), fold, Path("build_manifest")).val["photo"] for fold in (0, 1)]
    assert sorted(pd.concat(whole)) == sorted(rows.index[rows["split"] == "train"])
    out = prepared.fit(cfg)
    assert sorted(watch.validated) == sorted(composed(cfg, rows[rows["fold"] == 0]))
    assert sorted(answers(out / "oof.csv").index) == sorted(rows.index[rows["fold"] == 0])


@pytest.mark.parametrize(
    "wrong",
    [
        "000009,gender,male,female",
        "1,age,19,29",
        "000001,age,>=30,31",
        "000001,photo,mask3,normal",
        "000001,swap,mask3,normal",
    ],
)
def test_11_a_fix_that_matches_nothing_is_told(
    contest_folder: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str], wrong: str
) -> None:
    root = contest_folder(people=2, eval_people=0, size=(8, 6))
    next(root.rglob("000001*/mask3.jpg")).unlink()
    right = "contest,000002,gender,female,male,confirmed,seen,\nother,1,gender,male,female,confirmed,seen,\n"
    paths = {name: tmp_path / name for name in ("extra", "synthetic", "out")}
    paths["extra"].mkdir()
    paths["synthetic"].mkdir()
    fixes = tmp_path / "fixes.csv"

    def run(rows: str) -> pd.DataFrame:
        fixes.write_text(f"dataset,id,field,old,new,status,source,note\n{rows}")
        cfg = params.FixLabels(dataset="contest", trust="confirmed", tolerate=0.02)
        fix_labels.run(cfg, root=root, label_fixes=fixes, **paths)
        return tables.read(paths["out"] / "photos.csv", tables.PHOTOS)

    with pytest.raises(UserError, match=r"fixes\.csv: line 4: "):
        run(f"{right}contest,{wrong},confirmed,seen,\n")
    assert not paths["out"].exists()
    labels = run(right)
    assert (labels["gender"] == 0).all()
    assert "other 1" in capsys.readouterr().out
    assert json.loads((paths["out"] / "about/counts.json").read_text())["fixes"]["unused"] == {"other": 1}


def _hydra(value: Any) -> str:
    """A value in the grammar of ``dvc exp run -S``."""
    match value:
        case dict():
            return "{" + ",".join(f"{key}:{_hydra(part)}" for key, part in value.items()) + "}"
        case list():
            return "[" + ",".join(map(_hydra, value)) + "]"
        case str():
            return f'"{value}"'
        case _:
            return "null" if value is None else str(value).lower()


def test_12_the_command_line_expresses_every_value(
    params_yaml: dict[str, Any], repository: Path, tmp_path: Path
) -> None:
    path = tmp_path / "params.yaml"
    shutil.copy(repository / "params.yaml", path)

    def leaves(section: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
        for key, value in section.items():
            if isinstance(value, dict) and value:
                yield from leaves(value, f"{prefix}{key}.")
            else:
                yield f"{prefix}{key}", value

    apply_overrides(path, [f"{key}={_hydra(value)}" for key, value in leaves(params_yaml)])
    assert loading.load(path) == loading.load(repository / "params.yaml")
    crop = {"kind": "crop", "keep": 0.9, "at": "centre", "flip": True}
    affine = {"name": "Affine", "scale": [0.9, 1.1], "rotate": [-5, 5], "p": 0.5}
    changes = {
        "train.channels_last": False,
        "train.folds": [0, 1, 3],
        "train.patience": 4,
        "train.lr": 3e-5,
        "train.image.size": [64, 48],
        "train.augment": [affine],
        "face_crop.fallback": [],
        "combine.members": ["best", "3f2a"],
        "infer.views": [IDENTITY, crop],
    }
    for key, value in changes.items():
        apply_overrides(path, [f"{key}={_hydra(value)}"])
    read: Any = loading.load(path).model_dump(mode="json")
    found = {}
    for key in changes:
        found[key] = read
        for part in key.split("."):
            found[key] = found[key][part]
    assert found == changes


def test_13_the_same_answers_twice_and_leftover_params_are_noticed(
    prepared: Any, toy_yaml: dict[str, Any], repository: Path
) -> None:
    prepared.fit(chosen(toy_yaml))
    adjusted = toy_yaml["combine"] | {"adjust": {"kind": "fixed", "tau": 10.0}}
    given, told = [], []
    for toy in (toy_yaml, toy_yaml, toy_yaml | {"combine": adjusted}):
        given.append(prepared.answer(chosen(toy))["ans"].tolist())
        told.append(json.loads(Path("infer/about.json").read_text())["answers"])
    assert given[0] == given[1] != given[2]
    assert told[0] == told[1] != told[2]
    # Whatever system's params stand there, a preset's experiment is the same.
    shipped, used, fresh = repository / "params.yaml", Path("used.yaml"), Path("fresh.yaml")
    shutil.copy(shipped, used)
    for name in list(presets.available(repository / "presets"))[::3]:
        shutil.copy(shipped, fresh)
        for path in (used, fresh):
            presets.apply(name, repository / "presets", path)
        assert loading.load(used) == loading.load(fresh), name


def test_14_photos_stay_bytes_in_a_file_until_they_are_on_the_device(
    prepared: Any, toy_yaml: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    cfg = chosen(toy_yaml)
    given: set[tuple[torch.dtype, bool]] = set()
    features = Classifier.features

    def spy(model: Classifier, photos: Tensor) -> dict[str, Tensor]:
        given.add((photos.dtype, len(photos) <= 16))
        return features(model, photos)

    monkeypatch.setattr(Classifier, "features", spy)
    prepared.fit(cfg)
    prepared.answer(cfg)
    assert given == {(torch.uint8, True)}
    # Many photos, a few at a time.
    monkeypatch.setattr("facemask.training.pixels.CHUNK", 8)
    toy_yaml["train"]["image"] |= {"size": [192, 144]}
    cfg = chosen(toy_yaml)
    found = sides.rows(recipe(cfg), 0, Path("build_manifest"))
    many = dataclasses.replace(found, train=pd.concat([found.train] * 10))
    photos = reader.PhotoReader(Path("face_crop"), Path("background_removal"), cfg.train.image)
    tracemalloc.start()
    try:
        with sides.opened(recipe(cfg), many, photos) as opened:
            whole = opened.train.pixels.nbytes
            for pixels in (opened.train.pixels, opened.val.pixels):
                assert isinstance(pixels, np.memmap)
                assert pixels.dtype == np.uint8
            batches, count = fit.loaders(recipe(cfg), opened.train, None, seed=0, process=ranks.Process(0, 1))
            assert [batch.photos.dtype for batch in batches] == [torch.uint8] * count
        assert tracemalloc.get_traced_memory()[1] < whole / 2
    finally:
        tracemalloc.stop()


class _Listing(list[Any]):
    """Entries of a folder in an order of its own, used as those of ``os.scandir``."""

    def __enter__(self) -> _Listing:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Hold nothing open."""


def test_15_rare_kinds_are_found_by_name_in_any_listing(
    pipeline: Any,
    contest_folder: Callable[..., Path],
    toy_yaml: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Other extensions, lacking photos and what file managers leave behind do not move a label."""
    root = contest_folder(people=6, eval_people=1, extensions=("jpg", "PNG", "jpeg"))
    people = sorted((root / "train/images").iterdir())
    next(people[0].glob("mask3.*")).unlink()
    next(people[1].glob("incorrect_mask.*")).unlink()
    for place, name in enumerate(("._normal.jpg", ".DS_Store", "Thumbs.db", "._mask1.PNG")):
        (people[place] / name).write_bytes(b"left behind")
    cfg = chosen(toy_yaml)
    generator = np.random.default_rng(0)
    scandir, listdir = os.scandir, os.listdir

    def mixed(*where: Any) -> _Listing:
        with scandir(*where) as found:
            entries = list(found)
        return _Listing(entries[place] for place in generator.permutation(len(entries)))

    monkeypatch.setattr(os, "scandir", mixed)
    monkeypatch.setattr(os, "listdir", lambda *where: sorted(listdir(*where), reverse=True))
    pipeline.prepare(cfg, root)
    rows = pipeline.manifest(cfg)
    counts = {"mask3": 5, "incorrect_mask": 5}
    assert rows["kind"].value_counts().to_dict() == {kind: counts.get(kind, 6) for kind in raw.KINDS}
    # The colours of these photos tell what they show.
    size = (*cfg.train.image.size, 3)
    seen = np.array(
        [np.frombuffer(photo, np.uint8).reshape(size).mean((0, 1)) for photo in composed(cfg, rows)]
    )
    mask, gender, band = np.rint((seen - [40, 60, 40]) / [85, 130, 85]).astype(int).T
    assert rows["class"].tolist() == classes.encode(mask, gender, band).tolist()
