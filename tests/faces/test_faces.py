"""Which face is the photo's person, and whose box is borrowed where there is none."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from facemask.faces import faces, finders
from facemask.faces.finders import Detection
from facemask.pixels import boxes
from facemask.runtime.errors import UserError
from facemask.settings import params

MTCNN = params.Mtcnn(kind="mtcnn", min_face=56.12, thresholds=(0.6, 0.7, 0.7))
BOX = np.array([100, 120, 200, 240], dtype=float)


def config(**changes: object) -> params.FaceCrop:
    plain = {
        "finder": MTCNN,
        "choose": "largest",
        "fallback": ("person", "median"),
        "margin": 0.25,
        "align": {"kind": "none"},
        "size": (64, 48),
    }
    return params.FaceCrop.model_validate(plain | changes)


def listed(*rows: tuple[str, str]) -> pd.DataFrame:
    """Photos and their people; those of nobody are eval photos."""
    table = pd.DataFrame(rows, columns=["photo", "person"]).assign(kind="normal", status="ok", sha256="")
    return table.assign(set=np.where(table["person"] == "", "eval", "labelled"))


def detection(*rows: np.ndarray, size: tuple[int, int] = (512, 384), score: float = 0.9) -> Detection:
    return Detection(size, np.array([[*row, score] for row in rows], dtype=float).reshape(-1, 5))


def place(cfg: params.FaceCrop, table: pd.DataFrame, seen: dict[str, Detection | None]) -> pd.DataFrame:
    return faces.place(cfg, finders.in_order(cfg.finder), table, seen).set_index("photo")


def corners(row: pd.Series, prefix: str = "") -> np.ndarray:
    return row[[f"{prefix}{name}" for name in ("x0", "y0", "x1", "y1")]].to_numpy(float)


def test_choice_among_several() -> None:
    rows = np.array([[0, 0, 50, 50, 0.99], [100, 100, 300, 300, 0.8], [170, 230, 210, 280, 0.9]])
    seen = Detection((512, 384), rows)
    assert faces.choose(seen, "most_confident") == 0
    assert faces.choose(seen, "largest") == 1
    assert faces.choose(seen, "most_central") == 2


def test_found_faces_get_margin_and_aspect() -> None:
    row = place(config(), listed(("a", "1")), {"a": detection(BOX, BOX * 0.5)}).loc["a"]
    assert (row["status"], row["faces"], row["score"]) == ("found", 2, 0.9)
    assert np.array_equal(corners(row), BOX)
    grown = np.array([70, 90, 230, 270])
    x0, y0, x1, y1 = corners(row, "c")
    assert (x1 - x0) / (y1 - y0) == pytest.approx(48 / 64, rel=1e-5)
    assert x0 <= grown[0] and y0 <= grown[1] and x1 >= grown[2] and y1 >= grown[3]


def test_fallbacks_in_order() -> None:
    table = listed(("a1", "a"), ("a2", "a"), ("a3", "a"), ("b1", "b"), ("e1", ""), ("e2", ""))
    seen = {
        "a1": detection(BOX),
        "a2": detection(BOX + 20),
        "a3": detection(),
        "b1": detection(),
        "e1": detection(BOX + 60),
        "e2": detection(size=(256, 192)),
    }
    result = place(config(), table, seen)
    assert result["status"].tolist() == ["found", "found", "person", "median", "found", "median"]
    assert np.allclose(corners(result.loc["a3"]), BOX + 10)
    assert np.allclose(corners(result.loc["b1"]), BOX + 10)
    # A photo of half the size gets half the box.
    assert np.allclose(corners(result.loc["e2"]), (BOX + 60) / 2)
    assert result.loc["a3", "faces"] == 0
    assert np.isnan(result.loc["a3", "score"])
    median_only = place(config(fallback=("median",)), table, seen)
    assert median_only.loc["a3", "status"] == "median"
    none = place(config(fallback=()), table, seen)
    assert none.loc["a3", "status"] == "frame"
    assert np.array_equal(corners(none.loc["a3"]), [0, 0, 384, 512])
    assert corners(none.loc["a3"], "c") == pytest.approx(boxes.inscribed((512, 384), (64, 48)))


def test_no_box_is_borrowed_from_another_set() -> None:
    table = listed(("a1", "a"), ("b1", "b"), ("e1", ""), ("e2", ""), ("x1", "x"), ("x2", "x"), ("y1", "y"))
    table.loc[4:, "set"] = "extra"
    seen = {
        "a1": detection(BOX),
        "b1": detection(),
        "e1": detection(),
        "e2": detection(BOX + 8),
        "x1": detection(BOX + 40),
    }
    seen |= {"x2": detection(), "y1": detection()}
    whole = place(config(), table, seen)
    assert whole["status"].tolist() == ["found", "median", "median", "found", "found", "person", "median"]
    for name, rows in table.groupby("set"):
        assert place(config(), rows, seen).equals(whole.loc[rows["photo"]]), name
    # Without faces of its own a set borrows nothing.
    lost = place(config(), table, seen | {"e2": detection()})
    assert lost.loc[["e1", "e2"], "status"].tolist() == ["frame", "frame"]
    assert lost.drop(index=["e1", "e2"]).equals(whole.drop(index=["e1", "e2"]))


def test_eval_photos_are_nobodys_other_photos() -> None:
    table = listed(("e1", ""), ("e2", ""))
    assert (
        place(config(fallback=("person",)), table, {"e1": detection(BOX), "e2": detection()}).loc[
            "e2", "status"
        ]
        == "frame"
    )


def test_every_photo_keeps_its_row() -> None:
    table = listed(("a", "1"), ("b", "1"), ("c", "2"))
    result = place(config(), table, {"a": detection(BOX), "b": None})
    assert result.index.tolist() == ["a", "b", "c"]
    assert result["status"].tolist() == ["found", "unreadable", "unreadable"]
    assert np.isnan(corners(result.loc["b"], "c")).all()


def test_no_face_anywhere_is_the_users_to_decide() -> None:
    table = listed(("a", "1"), ("b", "2"))
    seen: dict[str, Detection | None] = {"a": detection(), "b": detection()}
    with pytest.raises(UserError, match=r"no face in any of 2 photos.*thresholds.*kind to none or fixed"):
        place(config(), table, seen)
    whole = place(config(finder=params.NoFinder(kind="none")), table, seen)
    assert set(whole["status"]) == {"frame"}


def test_a_fixed_box_is_taken_as_it_stands() -> None:
    cfg = config(finder=params.Fixed(kind="fixed", box=(0.25, 0.25, 0.75, 0.75)), margin=3.0)
    found = finders.in_order(cfg.finder)[0].find([np.zeros((512, 384, 3), dtype=np.uint8)])[0]
    row = place(cfg, listed(("a", "1")), {"a": Detection((512, 384), found)}).loc["a"]
    assert row["status"] == "fixed"
    assert np.array_equal(corners(row, "c"), [96, 128, 288, 384])


def test_report_counts_by_kind() -> None:
    table = listed(("a", "1"), ("b", "1"), ("c", "1"), ("d", "1")).assign(
        kind=["normal", "mask1", "mask1", "mask1"]
    )
    cfg = config()
    tried = finders.in_order(cfg.finder)
    seen = {"a": detection(BOX, BOX), "b": detection(BOX), "c": detection()}
    report = faces.report(faces.place(cfg, tried, table, seen), table, tried, seen)
    assert report["found"] == {"all": 0.666667, "mask1": 0.5, "normal": 1.0}
    assert report["status"] == {"found": 2, "person": 1, "median": 0, "fixed": 0, "frame": 0, "unreadable": 1}
    assert report["several_faces"] == 1
    assert "finders" not in report
    nothing = faces.report(faces.place(cfg, tried, table[:0], {}), table[:0], tried, seen)
    assert (nothing["photos"], nothing["found"]) == (0, {})


def test_report_of_photos_whose_kind_is_unknown_has_one_rate() -> None:
    table = listed(("e1", ""), ("e2", "")).assign(kind="")
    cfg = config()
    tried = finders.in_order(cfg.finder)
    seen = {"e1": detection(BOX), "e2": detection()}
    assert faces.report(faces.place(cfg, tried, table, seen), table, tried, seen)["found"] == {"all": 0.5}


def test_report_tells_each_finders_part() -> None:
    table = listed(*((name, "1") for name in "abcdef")).assign(kind=["normal"] * 2 + ["mask1"] * 4)
    fixed = params.Fixed(kind="fixed", box=(0.25, 0.25, 0.75, 0.75))
    cfg = config(finder=params.InOrder(kind="in_order", finders=(MTCNN, MTCNN, fixed)))
    tried = finders.in_order(cfg.finder)
    seen = {
        "a": detection(BOX),
        "b": detection(BOX)._replace(by=1),
        "c": detection(BOX)._replace(by=1),
        "d": detection(BOX)._replace(by=2),
        "e": None,
        "f": detection(BOX),
    }
    boxed = faces.place(cfg, tried, table, seen)
    report = faces.report(boxed, table, tried, seen)
    assert boxed["status"].tolist() == ["found", "found", "found", "fixed", "unreadable", "found"]
    # A fixed box is meant as it stands, a found one gets its margin.
    assert np.ptp(boxed.loc[3, ["cy0", "cy1"]]) < np.ptp(boxed.loc[2, ["cy0", "cy1"]])
    assert report["found"] == {"all": 0.8, "mask1": 0.666667, "normal": 1.0}
    assert report["finders"] == {
        "mtcnn": {"photos": 5, "boxes": 2, "found": {"all": 0.4, "mask1": 0.333333, "normal": 0.5}},
        "mtcnn_2": {"photos": 3, "boxes": 2, "found": {"all": 0.4, "mask1": 0.333333, "normal": 0.5}},
        "fixed": {"photos": 1, "boxes": 1, "found": {"all": 0.2, "mask1": 0.333333, "normal": 0.0}},
    }
