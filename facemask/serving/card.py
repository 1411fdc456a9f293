"""The model card of an exported model, in the format of the Hugging Face hub, written from what the run measured.

References
----------
Mitchell, M., Wu, S., Zaldivar, A., et al. (2019). Model Cards for Model Reporting. FAT*.
https://arxiv.org/abs/1810.03993
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from facemask.records import classes
from facemask.runtime.errors import UserError
from facemask.scoring import metrics

DETAILS: Final = Path("data/evaluate/details.json")
ANSWERS: Final = Path("data/infer/about.json")
COUNTS: Final = Path("data/fix_labels/about/counts.json")
REPORTS: Final = (DETAILS, ANSWERS, COUNTS)
SAMPLE: Final = "sample"
_SPLITS: Final = {"oof": "out-of-fold", "holdout": "hold-out"}


def render(folder: Path, about: Mapping[str, Any]) -> str:
    """Write the card.

    Parameters
    ----------
    folder
        Holds the run's reports, laid out as in a project.
    about
        What the exported files say of themselves.

    Raises
    ------
    UserError
        If a report is missing or damaged.
    """
    details, answers, counts = (_read(folder / path) for path in REPORTS)
    if not isinstance(details.get("oof"), dict):
        raise UserError(f"{folder / DETAILS}: no scores under 'oof'; run `dvc repro evaluate`")
    try:
        parts = (
            _head(details, counts),
            _model(about),
            _data(counts, details),
            _table(details, answers),
            _slices(details),
            _limits(details, counts, about),
            _files(about),
        )
        return "\n".join(line for part in parts for line in (*part, ""))
    except KeyError as error:
        raise UserError(f"{folder}: the run's reports lack {error}; run `dvc repro`") from None


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(
            f"{path}: no such file, and a model card is written from it; run `dvc repro`"
        ) from None
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: not JSON ({error}); run `dvc repro`") from None
    if not isinstance(content, dict):
        raise UserError(f"{path}: a JSON object is wanted; run `dvc repro`")
    return content


def _head(details: Mapping[str, Any], counts: Mapping[str, Any]) -> Iterator[str]:
    scores = details["oof"]
    results = {
        "task": {"type": "image-classification"},
        "dataset": {"type": counts["dataset"], "name": counts["dataset"], "split": "out-of-fold"},
        "metrics": [
            {"type": "f1", "name": metrics.LABELS["macro_f1"], "value": scores["macro_f1"]},
            {"type": "accuracy", "name": metrics.LABELS["accuracy"], "value": scores["accuracy"]},
        ],
    }
    known = counts["dataset"] == SAMPLE
    content = {
        "license": "mit" if known else "other",
        **({} if known else {"license_name": "see-below"}),
        "library_name": "onnx",
        "pipeline_tag": "image-classification",
        "tags": ["face-mask", "gender", "age", "facemask"],
        "metrics": ["f1", "accuracy"],
        "model-index": [{"name": "facemask", "results": [results]}],
    }
    yield "---"
    yield yaml.safe_dump(content, sort_keys=False).rstrip()
    yield "---"


def _model(about: Mapping[str, Any]) -> Iterator[str]:
    height, width = about["input"]["size"]
    yield "# Mask, gender and age band from a photo of a face"
    yield ""
    yield (
        f"{about['folds']} network(s) `{about['backbone']}`, averaged over {len(about['views'])} view(s) of the photo, "
        f"answer one of {classes.COUNT} classes: mask ({', '.join(classes.MASKS)}), gender "
        f"({', '.join(classes.GENDERS)}) and age band ({', '.join(classes.AGES)}). Input: a face crop, "
        f"{height} x {width} pixels, RGB, uint8. Trained by facemask at revision {about['revision'] or 'unknown'}; the "
        f"bands that it was trained with begin at {about['cuts'][0]} and {about['cuts'][1]} years."
    )


def _data(counts: Mapping[str, Any], details: Mapping[str, Any]) -> Iterator[str]:
    yield "## Data"
    yield ""
    what = "drawn people, made by facemask itself" if counts["dataset"] == SAMPLE else "photos of people"
    yield (
        f"Data set `{counts['dataset']}` ({what}): {counts['people']:,} labelled people, "
        f"{counts['photos']['labelled']:,} photos; {counts['photos']['extra']:,} photos of further data sets, for "
        "training alone. People are split, not photos: nobody is in training and validation at once."
    )
    # What is exported answers each photo by itself: infer.consensus has no part in it.
    if details.get("consensus", {}).get("networks_used_eval_photos", details["eval_photos_used"]):
        yield "A network learnt from the eval photos, without their labels."


def _table(details: Mapping[str, Any], answers: Mapping[str, Any]) -> Iterator[str]:
    columns = {title: details[name] for name, title in _SPLITS.items() if name in details}
    answers = answers | answers.get("consensus", {}).get("without", {})
    if answers.get("macro_f1") is not None:
        columns["eval"] = answers
    yield "## Scores"
    yield ""
    level = f" {100 * details['confidence']:g} % intervals from a bootstrap over people in brackets."
    yield f"On the official age bands.{level if 'macro_f1_low' in details['oof'] else ''}"
    yield ""
    sizes = (
        f"{one['people']:,} people, {one['photos']:,} photos"
        if "people" in one
        else f"{one['scored']:,} photos"
        for one in columns.values()
    )
    heads = (f"{title}, {size}" for title, size in zip(columns, sizes, strict=True))
    yield f"| | {' | '.join(heads)} |"
    yield "|---" * (len(columns) + 1) + "|"
    for key, label in metrics.LABELS.items():
        yield f"| {label} | {' | '.join(_cell(one, key) for one in columns.values())} |"
    yield ""
    yield "out-of-fold: each person is answered by the network that has never seen them, so this says most; hold-out:"
    yield "people kept apart from all folds; calibration error: how far stated probabilities are from how often they"
    yield "are right."


def _cell(scores: Mapping[str, Any], key: str) -> str:
    value, low, high = (scores.get(f"{key}{end}") for end in ("", "_low", "_high"))
    if value is None:
        return "-"
    return f"{value:.3f}" if low is None or high is None else f"{value:.3f} ({low:.3f}-{high:.3f})"


def _slices(details: Mapping[str, Any]) -> Iterator[str]:
    scores = details["oof"]
    yield "## Slices"
    yield ""
    yield "| class | F1, out-of-fold | people |"
    yield "|---|---|---|"
    for name in classes.NAMES:
        value = scores["f1"].get(name)
        people = scores["people_of_class"].get(name, 0)
        yield f"| {name} | {'-' if value is None else f'{value:.3f}'} | {people:,} |"


def _limits(details: Mapping[str, Any], counts: Mapping[str, Any], about: Mapping[str, Any]) -> Iterator[str]:
    scores = details["oof"]
    few = [name for name, count in scores["people_of_class"].items() if count < metrics.FEW]
    known = {name: value for name, value in scores["f1"].items() if value is not None}
    worst = min(known, key=lambda name: known[name])
    yield "## Intended use and limits"
    yield ""
    yield (
        "For counting how masks are worn in photos of people who know of it, and for research on such models. Gender "
        "and age band are guesses from looks: they are neither identity nor proof of age, and no decision about a "
        "person should hang on them."
    )
    yield ""
    if counts["dataset"] == SAMPLE:
        yield "- Trained on drawn people: it says nothing about photos of real ones."
    yield f"- Weakest class out-of-fold: {worst} (F1 {known[worst]:.3f})."
    if few:
        yield f"- {len(few)} of {classes.COUNT} classes have fewer than {metrics.FEW} people: {', '.join(few)}."
    yield f"- A stated probability is {100 * scores['ece']:.0f} points off on average."
    yield (
        f"- Crops have to be made as in training: `face_crop` in model.json (finder "
        f"{about['face_crop']['finder']['kind']}, margin {about['face_crop']['margin']:g})."
    )
    yield "- Faces from the side, several faces in a crop, and cameras unlike those of the data set were not measured."
    yield ""
    yield "## Licence"
    yield ""
    if counts["dataset"] == SAMPLE:
        yield "MIT, as facemask: code and drawn photos are its own."
    else:
        yield (
            f"facemask's code is MIT. The weights were learnt from data set `{counts['dataset']}` (and start from "
            f"`{about['weights']}`): whether they may be given to others is for the terms of those to say."
        )


def _files(about: Mapping[str, Any]) -> Iterator[str]:
    yield "## Files"
    yield ""
    yield "| file | bytes | macro-F1 against model.onnx | answers alike | greatest difference of a probability |"
    yield "|---|---|---|---|---|"
    for name, facts in about["files"].items():
        against = facts.get("against")
        cells = "- | - | -"
        if against:
            cells = (
                f"{against['macro_f1'] - against['macro_f1_of_model']:+.4f} on {against['photos']:,} photos | "
                f"{against['alike']:.1%} | {against['greatest_difference']:.2g}"
            )
        yield f"| {name} | {facts['bytes']:,} | {cells} |"
    yield ""
    yield (
        f"model.onnx answers as torch does to {about['difference_to_torch']:.1g}. `python example.py PHOTO` runs it "
        "with onnxruntime, OpenCV and numpy alone. All else it says of itself stands in model.json and in the files' "
        "metadata."
    )
