"""Which finder finds the faces? Found rates by kind of photo, and how alike the boxes of two finders are.

Run from the project's folder; what was found is kept in the memo, so a repetition takes seconds::

    python -m benchmarks.finders --root ROOT --yunet models/pretrained/face_detection_yunet_2023mar.onnx

Prints the table of ``docs/faces.md``.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from facemask.faces import faces, finders
from facemask.photos import memo, photos
from facemask.records.roots import Roots
from facemask.runtime import cluster
from facemask.runtime.arrays import Floats
from facemask.runtime.errors import UserError
from facemask.settings import params

Seen = Mapping[str, finders.Detection | None]
STATES = {"normal": "normal", "incorrect_mask": "incorrect", "eval": "eval"}


def main() -> None:
    """Search all photos with each finder and with both, and print what was found."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.finders", description=__doc__)
    parser.add_argument("--root", type=Path, required=True, help="folder in the contest's layout")
    parser.add_argument("--yunet", type=Path, required=True, help="face_detection_yunet_2023mar.onnx")
    parser.add_argument("--height", type=int, default=256, help="photos are searched by YuNet at this height")
    parser.add_argument("--score", type=float, default=0.6, help="lowest score of YuNet that is a face")
    chosen = parser.parse_args()
    try:
        print(table(chosen.root, chosen.yunet, chosen.height, chosen.score))
    except UserError as error:
        sys.exit(f"error: {error}")


def table(root: Path, model: Path, height: int, score: float) -> str:
    """Markdown: a row a finder, with the share of photos of each kind in which it finds a face.

    Raises
    ------
    UserError
        If there are no photos or no model.
    """
    listed = _listed(root)
    sha256 = hashlib.sha256(model.read_bytes()).hexdigest() if model.is_file() else "0" * 64
    mtcnn = params.Mtcnn(kind="mtcnn", min_face=56.12, thresholds=(0.6, 0.7, 0.7))
    yunet = params.YuNet(kind="yunet", path=str(model), sha256=sha256, score=score, height=height)
    both = params.InOrder(kind="in_order", finders=(mtcnn, yunet))
    tried = {
        "`mtcnn`": finders.in_order(mtcnn),
        "`yunet`": finders.in_order(yunet),
        "`mtcnn`, then `yunet`": finders.in_order(both),
    }
    some = [photos.Photo(*pair) for pair in zip(listed["photo"], listed["sha256"], strict=True)]
    where = Roots(root, root, root)
    with memo.opened("face_crop") as kept, cluster.workers("local") as pool:
        seen = {name: finders.search(one, some, where, kept, pool) for name, one in tried.items()}
    kinds = ["mask", "incorrect", "normal", "eval"]
    counts = listed["kind"].value_counts()
    lines = [
        f"| finder | {' | '.join(f'{kind} ({counts.get(kind, 0):,})' for kind in kinds)} | all ({len(listed):,}) |",
        f"|---|{'---|' * (len(kinds) + 1)}",
    ]
    for name, detections in seen.items():
        found = pd.Series([_box(detections, key) is not None for key in listed["photo"]])
        parts = [found[listed["kind"] == kind] for kind in kinds] + [found]
        lines.append(f"| {name} | {' | '.join(_rate(part) for part in parts)} |")
    one, other, _ = seen.values()
    return "\n".join([*lines, "", *_likeness(listed, one, other)])


def _listed(root: Path) -> pd.DataFrame:
    """Every photo of ``root``: its key, its kind and its hash."""
    rows = []
    for path in sorted([*(root / "train" / "images").glob("*/*"), *(root / "eval" / "images").glob("*")]):
        if path.is_file() and not path.name.startswith("."):
            kind = STATES.get(path.stem, "mask") if path.parent.parent.name == "images" else "eval"
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            rows.append((path.relative_to(root).as_posix(), kind, digest))
    if not rows:
        raise UserError(f"{root}: no photos in train/images or eval/images; name another folder with --root")
    return pd.DataFrame(rows, columns=["photo", "kind", "sha256"])


def _box(seen: Seen, key: str) -> Floats | None:
    """The photo's largest face."""
    detection = seen[key]
    if detection is None or not len(detection.faces):
        return None
    largest: Floats = detection.faces[faces.choose(detection, "largest")]
    return largest


def _rate(found: pd.Series[bool]) -> str:
    return f"{found.mean():.2%} ({int((~found).sum())} missed)" if len(found) else "-"


def _likeness(listed: pd.DataFrame, one: Seen, other: Seen) -> list[str]:
    """Tell the overlap of two finders' boxes by kind, where both find a face.

    Of unmasked photos only every other person's: those of the rest made YuNet's rule, see its module.
    """
    people = sorted({Path(key).parent.name for key in listed["photo"][listed["kind"] == "normal"]})
    apart = set(people[1::2])
    lines = ["IoU of the two finders' boxes, where both find a face:", ""]
    for kind, some in listed.groupby("kind")["photo"]:
        keys = [key for key in some if kind != "normal" or Path(key).parent.name in apart]
        pairs = [(_box(one, key), _box(other, key)) for key in keys]
        shares = [_iou(a, b) for a, b in pairs if a is not None and b is not None]
        if shares:
            low = np.percentile(shares, 5)
            lines.append(
                f"- {kind}: median {np.median(shares):.3f}, 5 % below {low:.2f} ({len(shares):,} photos)"
            )
    return lines


def _iou(one: Floats, other: Floats) -> float:
    low, high = np.maximum(one[:2], other[:2]), np.minimum(one[2:4], other[2:4])
    both = float(np.clip(high - low, 0, None).prod())
    areas = [float((row[2:4] - row[:2]).prod()) for row in (one, other)]
    return both / (sum(areas) - both)


if __name__ == "__main__":
    main()
