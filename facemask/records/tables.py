r"""The CSV files between stages: their columns, and one way to read and write them.

Every table is UTF-8 with a header and ``\n`` line ends. Ids and names stay text (``000123``, ``001498-1`` and
a person called ``None`` survive), floats carry six significant digits, an unknown float is an empty field.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import pandas as pd
from pandas.api import types as dtypes

from facemask.records import classes, csvfile
from facemask.runtime import files
from facemask.runtime.errors import UserError

# In the column ``fold``: held out from all folds.
HOLDOUT: Final = -1

Kind = type[str] | type[int] | type[float]


@dataclass(frozen=True)
class Schema:
    """What one table holds.

    Attributes
    ----------
    name
        File name, such as ``labels.csv``.
    columns
        Column name -> type, in the order of the file.
    key
        Column whose values are unique, or None.
    remedy
        What a user can do about a missing or outdated file; the end of every error.
    """

    name: str
    columns: Mapping[str, Kind]
    key: str | None
    remedy: str


def _of(stage: str, name: str, columns: Mapping[str, Kind], key: str | None) -> Schema:
    remedy = f"stage {stage} writes it: run `dvc repro {stage}`"
    return Schema(name, MappingProxyType(dict(columns)), key, remedy)


_FACE: Final[Mapping[str, Kind]] = dict.fromkeys(("x0", "y0", "x1", "y1"), float)
# Five landmarks of the face, x and y in pixels of the photo: left and right are those of the photo.
POINTS: Final = tuple(
    f"{point}_{axis}"
    for point in ("eye_left", "eye_right", "nose", "mouth_left", "mouth_right")
    for axis in "xy"
)
# The crop's box, and the degrees by which it is turned clockwise around its centre: an empty field where it is not,
# since the photo was not aligned by landmarks.
_CROP: Final[Mapping[str, Kind]] = dict.fromkeys(("cx0", "cy0", "cx1", "cy1", "turn"), float)
_TABLE: Final[Mapping[str, Kind]] = dict.fromkeys(classes.columns(), float)

# Photos of different sets never share an output, so that one more photo to answer retrains no network.
SETS: Final = ("labelled", "eval", "extra", "unlabelled")

# What a photo's set does not have is an empty text, or -1 for ``mask``, ``gender`` and ``age``. ``source`` is the
# person of the main data set that one of an extra data set is known to be.
PHOTOS: Final = _of(
    "fix_labels",
    "photos.csv",
    {
        "photo": str,
        "set": str,
        "person": str,
        "folder": str,
        "kind": str,
        "mask": int,
        "gender": int,
        "age": int,
        "source": str,
        "image_id": str,
        "sha256": str,
        "status": str,
    },
    "photo",
)
ANSWERS: Final = _of("fix_labels", "answers.csv", {"ImageID": str, "ans": int}, "ImageID")
QUARANTINE: Final = _of("fix_labels", "quarantine.csv", {"photo": str, "reason": str}, None)
BOXES: Final = _of(
    "face_crop",
    "boxes.csv",
    {
        "photo": str,
        "status": str,
        "score": float,
        "faces": int,
        **_FACE,
        **dict.fromkeys(POINTS, float),
        **_CROP,
    },
    "photo",
)
MATTES: Final = _of(
    "background_removal", "mattes.csv", {"photo": str, "status": str, "coverage": float}, "photo"
)
# Of photos with labels: the sets labelled and extra.
MANIFEST: Final = _of(
    "build_manifest",
    "manifest.csv",
    {
        "photo": str,
        "set": str,
        "person": str,
        "kind": str,
        "age": int,
        "class": int,
        "target": int,
        "split": str,
        "fold": int,
        "repeats": int,
        "face": str,
        "matte": str,
        "status": str,
        **_CROP,
    },
    "photo",
)
# Of photos without: the sets eval and unlabelled.
UNLABELLED_MANIFEST: Final = _of(
    "build_manifest",
    "manifest.csv",
    {"photo": str, "set": str, "image_id": str, "face": str, "matte": str, "status": str, **_CROP},
    "photo",
)
PROBABILITIES: Final = _of("train", "oof.csv", {"photo": str, "person": str, "class": int, **_TABLE}, "photo")
EVAL_PROBABILITIES: Final = _of("infer", "probabilities.csv", {"ImageID": str, **_TABLE}, "ImageID")
SUBMISSION: Final = _of("infer", "submission.csv", {"ImageID": str, "ans": int}, "ImageID")


def read(path: Path, schema: Schema) -> pd.DataFrame:
    """Read a table: the schema's columns in its order as ``str``, int64 and float64.

    An empty float field is NaN. Columns that the schema does not know are left out.

    Raises
    ------
    UserError
        If the file or a column is missing, a number cannot be read, or the key repeats: names file, line and
        column, and the stage that writes the file.
    """
    frame = pd.concat(_typed(path, raw, schema) for raw in csvfile.blocks(path, schema.remedy))
    if schema.key is not None:
        repeated = frame[schema.key][frame[schema.key].duplicated()]
        for line, value in repeated.items():
            raise UserError(f"{path}: line {line}: {schema.key} {value!r} occurs twice; {schema.remedy}")
    return frame.reset_index(drop=True)


def _typed(path: Path, raw: pd.DataFrame, schema: Schema) -> pd.DataFrame:
    csvfile.require(path, raw, schema.columns, schema.remedy)
    numbers = {
        name: _numbers(path, raw[name], kind, schema.remedy)
        for name, kind in schema.columns.items()
        if kind is not str
    }
    return raw[list(schema.columns)].assign(**numbers)


def _numbers(path: Path, column: pd.Series[str], kind: Kind, remedy: str) -> pd.Series[Any]:
    parsed = pd.to_numeric(column, errors="coerce")
    if kind is int:
        wrong = column[~column.str.fullmatch(r"[+-]?[0-9]{1,18}")]
    else:
        wrong = column[parsed.isna() & ~column.str.lower().isin(["", "nan"])]
    wanted = "a whole number" if kind is int else "a number"
    for line, value in wrong.items():
        raise UserError(f"{path}: line {line}, column {column.name}: {value!r} is not {wanted}; {remedy}")
    return parsed.astype("int64" if kind is int else "float64")


def write(path: Path, frame: pd.DataFrame, schema: Schema) -> None:
    """Write a table whole or not at all, in the schema's column order.

    Raises
    ------
    ValueError
        If the columns are not the schema's, a column holds another type, or the key repeats.
    """
    if sorted(frame.columns) != sorted(schema.columns):
        raise ValueError(f"{path}: columns {list(frame.columns)} are not {list(schema.columns)}")
    for name, kind in schema.columns.items():
        if len(frame) and not _holds(frame[name], kind):
            raise ValueError(f"{path}: column {name} ({frame[name].dtype}) is not all {kind.__name__}")
    if schema.key is not None and frame[schema.key].duplicated().any():
        raise ValueError(f"{path}: {schema.key} is not unique")
    # The writer leaves a lone carriage return bare, and a reader takes that for the end of a line.
    bare = any("\r" in value for name, kind in schema.columns.items() if kind is str for value in frame[name])
    with files.replacing(path) as temporary:
        frame[list(schema.columns)].to_csv(
            temporary,
            index=False,
            float_format="%.6g",
            lineterminator="\n",
            encoding="utf-8",
            quoting=csv.QUOTE_NONNUMERIC if bare else csv.QUOTE_MINIMAL,
        )


def _holds(column: pd.Series[Any], kind: Kind) -> bool:
    if kind is str:
        # A NaN among the texts would come back as an empty name.
        return all(isinstance(value, str) for value in column)
    if kind is int:
        return dtypes.is_integer_dtype(column.dtype)
    return dtypes.is_numeric_dtype(column.dtype) and not dtypes.is_bool_dtype(column.dtype)
