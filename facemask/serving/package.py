"""A folder with the model for others: ONNX files, what they say of themselves, a model card and an example."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from facemask.ensemble.combiner import Fitted
from facemask.network import reader
from facemask.network.classifier import Classifier
from facemask.records import classes, tables
from facemask.runtime import files
from facemask.runtime.arrays import Floats32, Ints, Pixels
from facemask.runtime.errors import UserError
from facemask.scoring import metrics
from facemask.serving import card, graph, onnx_export, runs
from facemask.serving.predictor import Predictor

MODEL: Final = "model.onnx"
ABOUT: Final = "model.json"
EXAMPLE: Final = "example.py"
_FORMAT: Final = 1
_MANIFEST: Final = Path("data/build_manifest/labelled") / tables.MANIFEST.name
_FACES: Final = Path("data/face_crop")
_MATTES: Final = Path("data/background_removal")


@dataclass(frozen=True)
class Extras:
    """What is wanted besides the ensemble's graph: one graph a fold, float16, int8."""

    folds: bool = False
    float16: bool = False
    int8: bool = False


def write(out: Path, project: Path, revision: str, extras: Extras) -> dict[str, Any]:
    """Write the folder ``out`` whole, or nothing; return what its model.json says.

    Parameters
    ----------
    project, revision
        See :func:`facemask.serving.runs.opened`.

    Raises
    ------
    UserError
        If the model cannot stand alone (mattes, past experiments), a graph cannot be written or answers otherwise than
        torch, smaller files are asked for where there are no photos to measure them on, or ``out`` is some other
        folder.
    """
    _require_ours(out)
    with runs.opened(project, revision, card.REPORTS) as run:
        model = Predictor(run)
        _require_alone(model)
        photos, official = _photos(run, model, measured=extras.float16 or extras.int8)
        about = _about(model)
        made, apart = _graphs(model, photos, about, extras)
        about |= {"difference_to_torch": apart, "files": _facts(made, photos, official)}
        text = card.render(run.folder, about)
    with files.replacing(out) as folder:
        folder.mkdir()
        for name, content in made.items():
            (folder / name).write_bytes(content)
        files.write_json(folder / ABOUT, about)
        (folder / "README.md").write_text(text, encoding="utf-8")
        (folder / EXAMPLE).write_bytes(Path(__file__).with_name(EXAMPLE).read_bytes())
    return about


def _require_ours(out: Path) -> None:
    if not out.exists():
        return
    try:
        json.loads((out / ABOUT).read_text(encoding="utf-8"))["files"][MODEL]
    except (OSError, ValueError, KeyError, TypeError):
        if not out.is_dir() or any(out.iterdir()):
            raise UserError(f"{out}: is there, and no exported model; name another folder") from None


def _require_alone(model: Predictor) -> None:
    if model.image.background != "keep":
        raise UserError(
            f"export: the networks see a background that is {model.image.background} (train.image.background), for "
            "which a matte of the person is needed; no graph makes one: export a model trained with keep"
        )
    if model.run.combiner.members:
        names = ", ".join(member.name for member in model.run.combiner.members)
        raise UserError(
            f"export: this model is combined with {names}, whose crops may be others; export each alone with --rev, "
            "or set combine.members to []"
        )


def _photos(run: runs.Run, model: Predictor, *, measured: bool) -> tuple[Pixels, Ints]:
    """Crops to compare answers on, with their classes: of people held out, or whom the first fold has not seen."""
    if run.revision or not (run.folder / _MANIFEST).exists():
        if measured:
            raise UserError(
                "export: float16 and int8 are measured on the project's own crops, which are not here "
                f"({run.folder / _MANIFEST}); run `dvc repro`, and leave --rev out"
            )
        noise = np.random.default_rng(0).integers(0, 256, (16, *model.image.size, 3), dtype=np.uint8)
        return noise, np.zeros(0, dtype=np.int64)
    manifest = tables.read(run.folder / _MANIFEST, tables.MANIFEST)
    manifest = manifest[manifest["status"] == "ok"]
    held = manifest["split"] == "holdout"
    first = int(run.folds[0].name.removeprefix("fold"))
    chosen = manifest[held if held.any() else manifest["fold"] == first]
    stored = reader.PhotoReader(run.folder / _FACES, run.folder / _MATTES, model.image)
    pixels = np.stack([stored.read(row) for row in reader.rows(chosen)])
    return pixels, chosen["class"].to_numpy(np.int64)


def _about(model: Predictor) -> dict[str, Any]:
    recipe, run = model.recipe, model.run
    weights = getattr(recipe.backbone, "weights", None)
    return {
        "format": _FORMAT,
        "classes": list(classes.NAMES),
        "attributes": {name: list(values) for name, values in classes.ATTRIBUTES.items()},
        "cuts": list(model.folds[0].cuts),
        "input": {
            "name": onnx_export.INPUT,
            "size": list(model.image.size),
            "layout": "NHWC",
            "channels": "RGB",
        },
        "face_crop": run.face_crop.model_dump(mode="json"),
        "views": [view.model_dump(mode="json") for view in run.infer.views],
        "average": run.infer.average,
        "folds": len(run.folds),
        "backbone": getattr(recipe.backbone, "name", recipe.backbone.kind),
        "weights": getattr(weights, "kind", recipe.backbone.kind),
        "revision": _revision(run),
        "versions": {
            name: importlib.metadata.version(name) for name in ("torch", "timm", "onnx", "onnxruntime")
        },
    }


def _revision(run: runs.Run) -> str:
    """Return the commit; that of the folder says ``+`` where its lock file has changed since."""
    command = ["git", "-C", str(run.project)]
    named = subprocess.run(
        [*command, "rev-parse", "--verify", "--quiet", f"{run.revision or 'HEAD'}^{{commit}}"],
        capture_output=True,
        text=True,
        check=False,
    )
    if named.returncode or run.revision:
        return named.stdout.strip() or run.revision
    changed = subprocess.run([*command, "diff", "--quiet", "HEAD", "--", str(runs.LOCK)], check=False)
    return named.stdout.strip() + ("+" if changed.returncode else "")


def _graphs(
    model: Predictor, photos: Pixels, about: Mapping[str, Any], extras: Extras
) -> tuple[dict[str, bytes], float]:
    """Files by name, each full one checked against torch, and the greatest difference."""
    infer, fitted = model.run.infer, model.run.combiner.fitted
    parts: dict[str, tuple[list[Classifier], Fitted | None]] = {MODEL: (model.folds, fitted)}
    if extras.folds:
        names = (f"model-{path.name}.onnx" for path in model.run.folds)
        parts |= {name: ([fold], None) for name, fold in zip(names, model.folds, strict=True)}
    made, apart = {}, 0.0
    for name, (folds, joined) in parts.items():
        whole = graph.Whole(folds, infer.views, infer.average, joined)
        content = onnx_export.build(whole, model.image.size, {**about, "file": name})
        table = model.tables(folds, photos)
        wanted = table if joined is None else joined(table[None])
        apart = max(apart, onnx_export.check(content, photos, wanted))
        made[name] = content
    if extras.float16:
        made["model-float16.onnx"] = onnx_export.halved(made[MODEL])
    if extras.int8:
        made["model-int8.onnx"] = onnx_export.quantised(made[MODEL])
    return made, apart


def _facts(made: Mapping[str, bytes], photos: Pixels, official: Ints) -> dict[str, Any]:
    """Size and hash of each file; of the smaller ones what they cost."""
    wanted = onnx_export.answer(made[MODEL])(photos)
    facts: dict[str, Any] = {}
    for name, content in made.items():
        facts[name] = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        if name in ("model-float16.onnx", "model-int8.onnx"):
            facts[name]["against"] = _against(onnx_export.answer(content)(photos), wanted, official)
    return facts


def _against(table: Floats32, wanted: Floats32, official: Ints) -> dict[str, float]:
    scores = [metrics.score(one.astype(np.float64), official)["macro_f1"] for one in (table, wanted)]
    return {
        "photos": len(official),
        "macro_f1": round(float(scores[0]), 6),
        "macro_f1_of_model": round(float(scores[1]), 6),
        "alike": round(float((table.argmax(1) == wanted.argmax(1)).mean()), 6),
        "greatest_difference": float(f"{np.abs(table - wanted).max():.3g}"),
    }
