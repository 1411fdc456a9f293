"""One face under two names, or both in training and in eval photos: near-duplicates by hash and by face network."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import numpy as np
import pandas as pd

from facemask.audit.measures import HASH_SIDE, Measure
from facemask.audit.suspects import Reason, Suspect
from facemask.records import classes
from facemask.runtime.arrays import Floats32
from facemask.settings import params

BITS: Final = HASH_SIDE**2
_BLOCK: Final = 512


def find(cfg: params.Audit, rows: pd.DataFrame, measured: Mapping[str, Measure]) -> list[Suspect]:
    """Name the closest pair of photos of every two people whose faces are alike.

    Pairs that do no harm are left out: those whose folds the manifest keeps together (see
    :mod:`facemask.manifest.kinship`), unless their labels differ.

    Parameters
    ----------
    rows
        Photos of the sets labelled, extra and eval: photo, set, person, folder, gender, age, fold. An eval photo is
        a person of its own.
    measured
        What was measured on each readable photo; blank ones are alike and show nobody.
    """
    shown = rows[[key in measured and measured[key].contrast >= cfg.blank for key in rows["photo"]]]
    shown = shown.reset_index(drop=True)
    bits = np.array([np.unpackbits(np.frombuffer(measured[key].hash, np.uint8)) for key in shown["photo"]])
    signs = bits.reshape(-1, BITS).astype(np.float32) * 2 - 1
    found = _pairs("same face, hash", shown, signs / np.float32(HASH_SIDE), 1 - 2 * cfg.hash_distance / BITS)
    if isinstance(cfg.network, params.OnnxNetwork) and len(shown):
        vectors = np.stack([np.frombuffer(measured[key].vector, np.float32) for key in shown["photo"]])
        found += _pairs("same face, network", shown, vectors, cfg.network.similarity)
    return found


def _pairs(reason: Reason, rows: pd.DataFrame, vectors: Floats32, least: float) -> list[Suspect]:
    """Suspects among all pairs with a labelled photo whose similarity (cosine) is at least ``least``."""
    best: dict[tuple[str, str], tuple[float, int, int]] = {}
    who = rows["person"].where(rows["set"] != "eval", rows["photo"]).to_numpy()
    for first, second, alike in _close(rows, vectors, least):
        if who[first] != who[second]:
            key = (min(who[first], who[second]), max(who[first], who[second]))
            if key not in best or alike > best[key][0]:
                best[key] = (alike, first, second)
    records = rows.to_dict("records")
    return [
        _suspect(reason, records[first], records[second], alike, least)
        for alike, first, second in best.values()
        if _harmful(records[first], records[second])
    ]


def _close(rows: pd.DataFrame, vectors: Floats32, least: float) -> Iterator[tuple[int, int, float]]:
    """Yield the places of a labelled photo and of one after it, or of another set, that are alike, and how much."""
    labelled = np.flatnonzero((rows["set"] == "labelled").to_numpy())
    is_labelled = (rows["set"] == "labelled").to_numpy()
    for start in range(0, len(labelled), _BLOCK):
        block = labelled[start : start + _BLOCK]
        alike = vectors[block] @ vectors.T
        # Rounding: two equal vectors may miss their product of 1.
        for near, second in np.argwhere(alike >= least - 1e-6):
            first = block[near]
            if not is_labelled[second] or first < second:
                yield int(first), int(second), min(1.0, float(alike[near, second]))


def _harmful(first: Mapping[Any, Any], second: Mapping[Any, Any]) -> bool:
    if second["set"] == "eval":
        return True
    # An extra data set's person whom the manifest has barred (fold -1) trains nothing.
    apart = first["fold"] != second["fold"] and not (second["set"] == "extra" and second["fold"] == -1)
    return apart or any(first[name] != second[name] for name in ("gender", "age"))


def _suspect(
    reason: Reason, first: Mapping[Any, Any], second: Mapping[Any, Any], alike: float, least: float
) -> Suspect:
    score = 0.5 + 0.5 * (alike - least) / (1 - least) if least < 1 else 1.0
    return Suspect(
        str(first["photo"]),
        str(first["folder"]),
        "identity",
        reason,
        min(1.0, max(0.5, score)),
        f"{_told(first)}; {_told(second)}",
        f"alike {alike:.3f}",
        str(second["photo"]),
    )


def _told(row: Mapping[Any, Any]) -> str:
    if row["set"] == "eval":
        return "an eval photo"
    gender, where = classes.GENDERS[int(str(row["gender"]))], int(str(row["fold"]))
    place = {-1: "hold-out", -2: "every fold"}.get(where, f"fold {where}")
    return f"{row['person']} {gender} {row['age']} in {place}"
