"""Honest scores from what the folds wrote and combine joined, and one clear line where they cannot be had."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import log_loss

from facemask.records import classes, tables
from facemask.runtime import files
from facemask.runtime.errors import UserError
from facemask.scoring import predictions
from facemask.settings import params, recipes
from stages import combine, evaluate

pytestmark = pytest.mark.slow

CFG = params.Evaluate(bootstrap=30, confidence=0.9, calibration_bins=10)
NONE = recipes.Nothing(kind="none")
ALONE = params.Grouping(consensus=NONE)
PLAIN = params.Combine(members=(), how=params.SoftVote(kind="soft"), adjust=NONE, calibrate=NONE)
CALIBRATED = PLAIN.model_copy(update={"calibrate": params.Temperature(kind="temperature")})
KINDS = {"mask1": 0, "mask2": 0, "incorrect_mask": 1, "normal": 2}
COLUMNS = list(classes.columns())


class Models:
    """A manifest and what three folds predicted for it, as frames that a test may change before writing."""

    def __init__(self, folder, *, people=36, held_out=6, seed=0):
        rng = np.random.default_rng(seed)
        rows = []
        for index in range(people):
            person, age, held = f"{index:06d}", [22, 45, 60, 58][index % 4], index < held_out
            for kind, mask in KINDS.items():
                official = int(classes.encode(mask, index // 4 % 2, classes.band(age)))
                rows.append(
                    {
                        **{
                            "photo": f"train/images/{person}/{kind}.jpg",
                            "person": person,
                            "set": "labelled",
                            "kind": kind,
                            "age": age,
                        },
                        **{
                            "class": official,
                            "target": official,
                            "status": "ok",
                            "face": "found",
                            "matte": "ok",
                        },
                        **{"split": "holdout" if held else "train", "fold": -1 if held else index % 3},
                        **{
                            "repeats": int(not held),
                            "cx0": 0.0,
                            "cy0": 0.0,
                            "cx1": 9.0,
                            "cy1": 9.0,
                            "turn": np.nan,
                        },
                    }
                )
        self.folder = folder
        self.manifest = pd.DataFrame(rows)
        self.oof = {
            fold: self._predict(self.manifest[self.manifest["fold"] == fold], rng) for fold in range(3)
        }
        held_out_rows = self.manifest[self.manifest["split"] == "holdout"]
        self.holdout = {fold: self._predict(held_out_rows, rng) for fold in range(3)}
        self.recipe = {"unlabelled": {"kind": "none"}, "pool": "eval"}

    @staticmethod
    def _predict(rows, rng):
        odds = np.exp(rng.normal(size=(len(rows), classes.COUNT)) + 3 * np.eye(classes.COUNT)[rows["class"]])
        frame = pd.DataFrame(odds / odds.sum(1, keepdims=True), columns=COLUMNS)
        return pd.concat([rows[["photo", "person", "class"]].reset_index(drop=True), frame], axis=1)

    def write(self):
        tables.write(self.folder / "manifest" / "manifest.csv", self.manifest, tables.MANIFEST)
        for fold in range(3):
            for name, frames in (("oof", self.oof), ("holdout", self.holdout)):
                path = self.folder / "models" / f"fold{fold}" / f"{name}.csv"
                path.parent.mkdir(parents=True, exist_ok=True)
                # Plain pandas: the project's own writer would refuse some of the faults that tests plant.
                frames[fold].to_csv(path, index=False)
            said = {"prior": [1 / 18] * 18, "recipe": self.recipe}
            files.write_sealed(path.parent / "model.json", said)

    def run(self, folds=(0, 1, 2), cfg=CFG, out="evaluated", join=PLAIN):
        """What details.json says."""
        self.write()
        combine.run(
            join,
            params.Folds(folds=folds),
            models=self.folder / "models",
            manifest=self.folder / "manifest",
            out=self.folder / "combine",
        )
        return self.evaluate(cfg, out)

    def evaluate(self, cfg=CFG, out="evaluated", grouping=ALONE):
        where = self.folder / out
        evaluate.run(
            cfg,
            grouping,
            seed=20,
            faces=self.folder / "faces",
            manifest=self.folder / "manifest",
            combined=self.folder / "combine",
            out=where / "out",
            scores=where / "scores.json",
            plots=where / "plots",
        )
        return json.loads((where / "out" / "details.json").read_text(), parse_constant=pytest.fail)

    @property
    def scores(self):
        return json.loads((self.folder / "evaluated" / "scores.json").read_text(), parse_constant=pytest.fail)


@pytest.fixture
def drawn(tmp_path):
    return Models(tmp_path)


@pytest.fixture
def models(drawn, monkeypatch):
    """Without the pictures, which take a second a run."""
    monkeypatch.setattr(evaluate.pictures, "draw", lambda found, folder: folder.mkdir())
    return drawn


def test_scores_are_those_of_all_out_of_fold_photos_together(models):
    found = models.run()
    whole = pd.concat(models.oof.values())
    called = whole[COLUMNS].to_numpy().argmax(1)
    assert found["oof"]["photos"] == len(whole) == 120
    assert found["oof"]["people"] == 30
    assert found["oof"]["accuracy"] == pytest.approx((called == whole["class"]).mean(), abs=1e-4)
    each = [(frame[COLUMNS].to_numpy().argmax(1) == frame["class"]).mean() for frame in models.oof.values()]
    assert len(set(each)) > 1
    for key in ("macro_f1", "accuracy", "mask_f1", "gender_f1", "age_f1"):
        assert found["oof"][f"{key}_low"] <= found["oof"][key] <= found["oof"][f"{key}_high"]
    assert 0 <= found["oof"]["ece"] <= 1
    loss = log_loss(whole["class"], whole[COLUMNS].to_numpy(), labels=range(18))
    assert found["oof"]["log_loss"] == pytest.approx(loss, abs=1e-4)
    assert list(found["oof"]["f1"]) == list(found["oof"]["people_of_class"]) == list(classes.NAMES)
    people = whole.groupby("class")["person"].nunique()
    assert list(found["oof"]["people_of_class"].values()) == people.reindex(range(18), fill_value=0).tolist()


def test_scores_are_the_few_that_a_reviewer_reads_and_those_of_the_details(models):
    found = models.run()
    names = {"f1": "macro_f1", "f1_lo": "macro_f1_low", "f1_hi": "macro_f1_high"}
    names |= {name: f"{name}_f1" for name in ("mask", "gender", "age")} | {
        "log_loss": "log_loss",
        "ece": "ece",
    }
    oof = {key: found["oof"][name] for key, name in names.items()}
    assert models.scores == oof | {"holdout": found["holdout"]["macro_f1"]}
    assert found["oof"]["macro_f1"] != found["holdout"]["macro_f1"]


def test_hold_out_photos_are_scored_by_the_mean_of_the_folds(models):
    for fold in range(3):
        # Each fold is sure of another class; only their mean knows the right one.
        true = models.holdout[fold]["class"].to_numpy()
        wrong = np.eye(18)[(true + 1 + fold) % 18]
        models.holdout[fold][COLUMNS] = 0.55 * wrong + 0.45 * np.eye(18)[true]
    assert models.run()["holdout"]["accuracy"] == 1
    assert models.run(folds=(1,))["holdout"]["accuracy"] == 0


def test_only_the_listed_folds_count_even_if_more_lie_there(models):
    alone = models.run(folds=(1,))
    assert alone["oof"]["photos"] == len(models.oof[1])
    models.oof[2].loc[0, "p0"] = 99.0
    assert models.run(folds=(1,)) == alone


def test_the_order_of_rows_and_folds_changes_nothing(models):
    first = models.run(folds=(0, 1, 2))
    models.oof = {fold: frame.sample(frac=1, random_state=1) for fold, frame in models.oof.items()}
    models.manifest = models.manifest.sample(frac=1, random_state=2)
    assert models.run(folds=(2, 0, 1))["oof"] == first["oof"]
    split = predictions.out_of_fold(models.folder / "models", (2, 0, 1), models.manifest)
    assert split.photos == sorted(split.photos)
    assert (np.diff(split.person) >= 0).all()


def test_the_yardstick_does_not_move_with_the_training_bands(models):
    first = models.run()
    shifted = classes.band(models.manifest["age"], 30, 58)
    mask, gender, _ = classes.decode(models.manifest["class"])
    models.manifest["target"] = classes.encode(mask, gender, shifted)
    assert (models.manifest["target"] != models.manifest["class"]).any()
    assert models.run() == first


def test_training_classes_passed_off_as_the_truth_are_refused(models):
    models.oof[0].loc[0, "class"] = (models.oof[0].loc[0, "class"] + 1) % 18
    with pytest.raises(UserError, match=r"oof\.csv: photo '.*': class \d+, but the manifest says \d+"):
        models.run()


def test_without_hold_out_there_is_no_such_key(drawn):
    drawn.manifest = drawn.manifest[drawn.manifest["split"] == "train"]
    drawn.holdout = {fold: frame.iloc[:0] for fold, frame in drawn.holdout.items()}
    found = drawn.run()
    assert set(found) == {"confidence", "eval_photos_used", "oof"}
    assert "holdout" not in drawn.scores
    assert (drawn.folder / "evaluated" / "out" / "attributes.png").stat().st_size > 1000
    for name in ("f1", "reliability"):
        table = pd.read_csv(drawn.folder / "evaluated" / "plots" / f"{name}.csv")
        assert set(table["split"]) == {"out-of-fold"}


def test_undefined_is_null(models):
    found = models.run(cfg=CFG.model_copy(update={"bootstrap": 0}))
    assert found["oof"]["macro_f1_low"] is None
    assert found["oof"]["macro_f1_high"] is None
    assert models.scores["f1_lo"] is models.scores["f1_hi"] is None
    # Nobody here is 60 or older, and nobody is taken for it.
    old = models.manifest["age"] >= 60
    models.manifest = models.manifest[~old]
    gone = [f"p{k}" for k in range(18) if k % 3 == 2]
    for frames in (models.oof, models.holdout):
        for fold, frame in frames.items():
            kept = frame[frame["photo"].isin(models.manifest["photo"])].copy()
            kept[gone] = 0.0
            kept[COLUMNS] = kept[COLUMNS].div(kept[COLUMNS].sum(axis=1), axis=0)
            frames[fold] = kept
    f1 = models.run()["oof"]["f1"]
    assert f1["normal female >=60"] is None
    assert f1["normal female <30"] is not None


def test_the_same_bytes_again_and_nothing_of_an_older_run(drawn):
    def contents(out):
        return {
            path.name: path.read_bytes() for path in sorted((drawn.folder / out).rglob("*")) if path.is_file()
        }

    drawn.run(out="one")
    for folder in ("out", "plots"):
        (drawn.folder / "two" / folder).mkdir(parents=True)
        (drawn.folder / "two" / folder / "stale.csv").touch()
    drawn.run(out="two")
    assert contents("one") == contents("two")
    pictures = {"confusion.png", "attributes.png"}
    assert set(contents("one")) == pictures | {"details.json", "scores.json", "f1.csv", "reliability.csv"}


def test_chart_data_say_what_the_details_say(models):
    found = models.run()
    charts = {
        name: pd.read_csv(models.folder / f"evaluated/plots/{name}.csv") for name in ("f1", "reliability")
    }
    for split, title in (("oof", "out-of-fold"), ("holdout", "hold-out")):
        f1 = charts["f1"][charts["f1"]["split"] == title]
        expected = {name: value for name, value in found[split]["f1"].items() if value is not None}
        assert f1["class"].str[3:].tolist() == list(expected)
        np.testing.assert_allclose(f1["f1"], list(expected.values()), atol=1e-4)
        bins = charts["reliability"][charts["reliability"]["split"] == title]
        assert bins["photos"].sum() == found[split]["photos"] == {"oof": 120, "holdout": 24}[split]
        accuracy = (bins["accuracy"] * bins["photos"]).sum() / bins["photos"].sum()
        assert accuracy == pytest.approx(found[split]["accuracy"], abs=1e-3)


def test_calibration_is_told_before_and_after(models):
    raw = models.run()["oof"]
    assert "uncalibrated" not in raw
    # Far too modest answers, as label smoothing gives: all right and none sure.
    for frame in (*models.oof.values(), *models.holdout.values()):
        frame[COLUMNS] = 0.7 / 18 + 0.3 * np.eye(18)[frame["class"]]
    found = models.run(join=CALIBRATED)
    for split in ("oof", "holdout"):
        before = found[split]["uncalibrated"]
        assert before["ece"] == pytest.approx(0.7 * 17 / 18, abs=1e-3)
        assert found[split]["ece"] < before["ece"] / 4
        assert found[split]["log_loss"] < before["log_loss"] / 4
    assert models.scores["ece"] == found["oof"]["ece"]
    bins = pd.read_csv(models.folder / "evaluated/plots/reliability.csv")
    photos = bins.groupby("split")["photos"].sum().to_dict()
    assert photos["out-of-fold, uncalibrated"] == photos["out-of-fold"] == 120


def test_an_unreadable_photo_need_not_be_predicted_but_a_readable_one_must(models):
    models.manifest.loc[models.manifest["photo"] == models.oof[0].loc[0, "photo"], "status"] = "unreadable"
    models.oof[0] = models.oof[0].iloc[1:]
    assert models.run()["oof"]["photos"] == 119
    lost = models.oof[0]["photo"].iloc[0]
    models.oof[0] = models.oof[0].iloc[1:]
    with pytest.raises(UserError, match=rf"1 photos are lacking, the first is '{lost}'.*dvc repro train@0"):
        models.run()


def spoil_sum(models):
    models.oof[1].loc[3, "p0"] += 0.01


def spoil_sign(models):
    models.oof[1].loc[3, ["p0", "p1"]] = [-0.5, 0.5 + models.oof[1].loc[3, ["p0", "p1"]].sum()]


def spoil_nan(models):
    models.oof[1].loc[3, "p5"] = np.nan


def spoil_infinite(models):
    models.oof[1].loc[3, "p5"] = np.inf


def spoil_twice(models):
    models.oof[1] = pd.concat([models.oof[1], models.oof[1].iloc[:1]])


def spoil_in_two_folds(models):
    models.oof[1] = pd.concat([models.oof[1], models.oof[2].iloc[:1]])


def spoil_held_out(models):
    models.oof[1] = pd.concat([models.oof[1], models.holdout[1].iloc[:1]])


def spoil_unknown(models):
    models.oof[1].loc[0, "photo"] = "train/images/stranger/normal.jpg"


def spoil_person(models):
    models.oof[1].loc[0, "person"] = "999999"


def spoil_column(models):
    models.oof[1] = models.oof[1].drop(columns="p17")


def spoil_apart(models):
    row = models.manifest.index[models.manifest["fold"] == 1][0]
    models.manifest.loc[row, "fold"] = 0
    models.oof[0] = pd.concat([models.oof[0], models.oof[1].iloc[:1]])
    models.oof[1] = models.oof[1].iloc[1:]


def spoil_leak(models):
    row = models.manifest.index[models.manifest["fold"] == 1][0]
    models.manifest.loc[row, ["split", "fold"]] = ["holdout", -1]


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (spoil_sum, r"fold1/oof\.csv: photo 'train/.*': p0\.\.p17 are no probabilities.*dvc repro train@1"),
        (spoil_sign, "no probabilities"),
        (spoil_nan, "no probabilities"),
        (spoil_infinite, "no probabilities"),
        (spoil_twice, "occurs twice"),
        (spoil_in_two_folds, "does not belong there, the manifest has it in fold 2"),
        (spoil_held_out, "does not belong there, the manifest has it in the hold-out"),
        (spoil_unknown, "the manifest has it nowhere"),
        (spoil_person, "person 999999, but the manifest says"),
        (spoil_column, "column 'p17' is missing"),
        (spoil_apart, r"person '\d+' in fold 0 and in fold 1.*dvc repro build_manifest"),
        (spoil_leak, r"person '\d+' in the hold-out and in fold 1"),
    ],
)
def test_faults_are_told_in_one_line(models, spoil, told):
    spoil(models)
    with pytest.raises(UserError, match=told) as caught:
        models.run()
    assert "\n" not in str(caught.value)
    assert not (models.folder / "evaluated").exists()


def test_rounded_probabilities_are_accepted(models):
    models.oof[0][COLUMNS] = models.oof[0][COLUMNS].round(5)
    assert models.run()["oof"]["photos"] == 120


def test_a_fold_that_was_not_trained_is_told_with_its_remedy(models):
    with pytest.raises(
        UserError,
        match=r"models.fold3: no such folder, but train\.folds lists fold 3; run `dvc repro train@3`",
    ):
        models.run(folds=(0, 3))


def test_missing_manifest(models, tmp_path: Path):
    with pytest.raises(UserError, match="dvc repro build_manifest"):
        evaluate.run(
            CFG,
            ALONE,
            seed=0,
            faces=tmp_path / "faces",
            manifest=tmp_path / "manifest",
            combined=tmp_path / "combine",
            out=tmp_path / "out",
            scores=tmp_path / "scores.json",
            plots=tmp_path / "plots",
        )


@pytest.mark.parametrize("name", ["oof.csv", "holdout.csv", "about.json"])
def test_what_combine_did_not_write_is_told(models, name):
    models.run()
    (models.folder / "combine" / name).unlink()
    with pytest.raises(UserError, match=rf"{name}: no such file.*dvc repro combine"):
        models.evaluate()


def test_combined_tables_out_of_step_with_the_manifest_are_told(models):
    models.run()
    row = models.manifest.index[models.manifest["split"] == "train"][0]
    models.manifest.loc[row, "class"] = (models.manifest.loc[row, "class"] + 1) % 18
    models.write()
    with pytest.raises(UserError, match=r"combine/oof\.csv: photo '.*': class \d+, but .*dvc repro combine"):
        models.evaluate()


@pytest.mark.parametrize(
    ("kind", "pool", "told"),
    [
        ("none", "eval", False),
        ("self_training", "unlabelled", False),
        ("self_training", "eval", True),
        ("uda", "eval", True),
    ],
)
def test_scores_say_whether_the_eval_photos_were_learnt_from(models, kind, pool, told):
    models.recipe = {"unlabelled": {"kind": kind}, "pool": pool}
    assert models.run()["eval_photos_used"] is told


def test_answers_shared_by_face_are_scored_beside_the_others_fold_by_fold(models, write_faces, by_colour):
    """Each person has a colour of their own among those of the fold; people of two folds may look alike."""
    rows = models.manifest
    numbers = rows.groupby("fold")["person"].transform(lambda part: pd.factorize(part)[0])
    angle = np.linspace(0, 2 * np.pi, numbers.max() + 1, endpoint=False)[numbers]
    colours = np.stack([128 + 100 * np.cos(angle), 128 + 100 * np.sin(angle), np.full(len(rows), 60)], 1)
    write_faces(
        models.folder / "faces" / "labelled",
        dict(zip(rows["photo"], colours.astype(int).tolist(), strict=True)),
    )
    plain = models.run()
    shared = models.evaluate(
        grouping=params.Grouping(consensus=by_colour.model_copy(update={"similarity": 0.995}))
    )
    assert (plain["eval_photos_used"], shared["eval_photos_used"]) == (False, True)
    assert {key: shared[key] for key in ("oof", "holdout")} == {key: plain[key] for key in ("oof", "holdout")}
    found = shared["consensus"]
    assert found["groups"]["oof"]["adjusted_rand"] > 0.9
    assert found["groups"]["oof"]["largest"] == len(KINDS)
    assert found["oof"]["gender_f1"] > plain["oof"]["gender_f1"]
    assert found["oof"]["mask_f1"] == plain["oof"]["mask_f1"]
    assert models.scores["f1_shared"] == found["oof"]["macro_f1"]
    assert (models.folder / "evaluated" / "out" / "groups.jpg").is_file()
