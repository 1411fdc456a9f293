"""The sample as files, in the contest's layout."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest
from scipy.stats import chi2_contingency

from facemask.sample import contest, mask, roster
from facemask.settings import params

pytestmark = pytest.mark.slow

TRAIN, EVAL = 8, 2


def _config(seed: int = 0, train: int = TRAIN, evaluation: int = EVAL) -> params.SampleData:
    return params.SampleData(train_people=train, eval_people=evaluation, seed=seed)


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _files(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample's folder."""
    folder = tmp_path_factory.mktemp("sample") / "data"
    contest.write(_config(), folder)
    return folder


def test_train_layout(sample: Path) -> None:
    rows = _rows(sample / "train" / "train.csv")
    assert list(rows[0]) == ["id", "gender", "race", "age", "path"]
    assert len(rows) == TRAIN
    images = sample / "train" / "images"
    assert {row["path"] for row in rows} == {folder.name for folder in images.iterdir()}
    for row in rows:
        assert row["path"] == f"{row['id']}_{row['gender']}_{row['race']}_{row['age']}"
        photos = [path for path in (images / row["path"]).iterdir() if not path.name.startswith("._")]
        assert sorted(path.stem for path in photos) == sorted(contest.KINDS)
        assert {path.suffix for path in photos} <= {".jpg", ".jpeg", ".png"}
        for path in photos:
            assert cv2.imread(str(path)).shape == (512, 384, 3)
    strays = list(images.rglob("._*"))
    assert [path.name for path in strays] == ["._mask1.jpg"]


def test_eval_layout_and_answers(sample: Path) -> None:
    info = _rows(sample / "eval" / "info.csv")
    answers = _rows(sample / "eval" / "answers.csv")
    assert list(info[0]) == list(answers[0]) == ["ImageID", "ans"]
    assert {row["ans"] for row in info} == {"0"}
    assert [row["ImageID"] for row in info] == [row["ImageID"] for row in answers]
    names = [path.name for path in (sample / "eval" / "images").iterdir()]
    assert sorted(names) == sorted(row["ImageID"] for row in info)
    assert len(names) == 7 * EVAL
    assert all(len(name) == 44 and name.endswith(".jpg") for name in names)
    masks = Counter(int(row["ans"]) // 6 for row in answers)
    assert masks == {0: 5 * EVAL, 1: EVAL, 2: EVAL}


def test_answers_are_the_drawn_classes(sample: Path) -> None:
    answers = {row["ImageID"]: int(row["ans"]) for row in _rows(sample / "eval" / "answers.csv")}
    stored = {(sample / "eval" / "images" / name).read_bytes(): name for name in answers}
    person = roster.evaluation(EVAL, 0)[1]
    band = 0 if person.age < 30 else 1 if person.age < 60 else 2
    for shot in contest.shoot(contest.Job(0, 1, 1, person)):
        wanted = {"incorrect_mask": 1, "normal": 2}.get(shot.kind, 0)
        assert answers[stored[shot.photo]] == wanted * 6 + person.gender * 3 + band


def test_every_photo_has_its_matte(sample: Path) -> None:
    stored = {path.read_bytes() for path in sample.rglob("*") if path.suffix in {".jpg", ".jpeg", ".png"}}
    # The first training person and the last evaluation person.
    people = contest.jobs(_config())
    assert len(people) == TRAIN + EVAL
    for shot in (shot for job in (people[0], people[-1]) for shot in contest.shoot(job)):
        assert shot.photo in stored
        matte = cv2.imdecode(np.frombuffer(shot.matte, np.uint8), cv2.IMREAD_UNCHANGED)
        assert matte.shape == (512, 384)
        assert matte.dtype == np.uint8
        assert matte[200:260, 160:224].min() == 255  # the face
        assert max(matte[:20, :20].max(), matte[:20, -20:].max()) == 0  # above the shoulders
        assert ((matte > 0) & (matte < 255)).any()  # soft edges


def test_swapped_files_are_swapped(sample: Path) -> None:
    people = roster.train(TRAIN, 0)
    index, person = next((k, p) for k, p in enumerate(people) if p.swapped)
    shots = {shot.kind: shot.photo for shot in contest.shoot(contest.Job(0, 0, index, person))}
    folder = sample / "train" / "images" / person.folder
    stored = {path.stem: path.read_bytes() for path in folder.iterdir() if not path.name.startswith("._")}
    assert stored["normal"] == shots["incorrect_mask"]
    assert stored["incorrect_mask"] == shots["normal"]
    assert stored["mask1"] == shots["mask1"]


def test_a_second_write_replaces_the_first_by_the_same_bytes(sample: Path, tmp_path: Path) -> None:
    stale = tmp_path / "data" / "stale.txt"
    stale.parent.mkdir()
    stale.write_text("old")
    contest.write(_config(), tmp_path / "data")
    assert _files(tmp_path / "data") == _files(sample)
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_processes_and_company_change_nothing_but_the_seed_does() -> None:
    jobs = [contest.Job(0, 0, k, person) for k, person in enumerate(roster.train(TRAIN, 0)[:2])]
    alone = [contest.shoot(job) for job in jobs]
    assert list(contest.shoot_all(jobs, workers=2)) == alone
    other = contest.shoot(contest.Job(1, 0, 0, jobs[0].person))
    assert not {shot.photo for shot in alone[0]} & {shot.photo for shot in other}


def test_nobody_is_on_both_sides() -> None:
    """Sides draw from streams of their own: even the same gender and age give another face."""
    person = roster.Person("x", 0, 40, 0, 40)
    train, evaluation = (contest.Job(0, side, 0, person) for side in (0, 1))
    assert train.generator(0).random() != evaluation.generator(0).random()
    firsts = {contest.Job(0, side, k, person).generator(0).random() for side in (0, 1) for k in range(150)}
    assert len(firsts) == 300


def test_circumstances_are_independent_of_gender_and_band() -> None:
    tables: dict[str, dict[tuple[int, int], Counter[str]]] = {}
    for index, person in enumerate(roster.train(400, 4)):
        cell = person.gender, 0 if person.age < 30 else 1 if person.age < 60 else 2
        for number, kind in enumerate(contest.KINDS):
            scene, _ = contest.circumstances(contest.Job(4, 0, index, person), number)
            seen = {name: getattr(scene.look, name) for name in ("style", "colour", "pattern")}
            seen["background"] = scene.background
            if kind == "incorrect_mask":
                seen["wearing"] = str(scene.wearing)
            for name, value in seen.items():
                tables.setdefault(name, {}).setdefault(cell, Counter())[value] += 1
    for name, table in tables.items():
        values = sorted(set().union(*table.values()))
        assert len(table) == 6
        assert len(values) >= 2
        # One added everywhere: the test's approximation fails on empty cells.
        counts = [[count[value] + 1 for value in values] for count in table.values()]
        assert chi2_contingency(counts).pvalue > 0.005, name


def test_photo_kinds_show_their_mask_state() -> None:
    person = roster.Person("x", 1, 30, 1, 30)
    worn: dict[str, set[str | None]] = {}
    for index in range(30):
        for number, kind in enumerate(contest.KINDS):
            scene, _ = contest.circumstances(contest.Job(0, 0, index, person), number)
            worn.setdefault(kind, set()).add(scene.wearing)
    assert worn.pop("normal") == {None}
    assert worn.pop("incorrect_mask") == set(mask.WRONG)
    assert all(seen == {"right"} for seen in worn.values())


def test_without_evaluation_people_there_is_no_eval_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blank = np.zeros((4, 4), np.uint8)
    monkeypatch.setattr(
        contest,
        "shoot",
        lambda job: [
            contest.Shot(kind, "jpg", f"{job.person.id}{kind}".encode(), blank.tobytes())
            for kind in contest.KINDS
        ],
    )
    contest.write(_config(evaluation=0), tmp_path / "data")
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["train"]


def test_mtcnn_finds_the_faces(sample: Path) -> None:
    torch = pytest.importorskip("torch")
    from facenet_pytorch import MTCNN
    from PIL import Image

    torch.manual_seed(0)
    finder = MTCNN()
    found: dict[str, list[bool]] = {}
    for folder in (sample / "train" / "images").iterdir():
        for path in sorted(folder.iterdir()):
            if path.name.startswith("._"):
                continue
            boxes, _ = finder.detect(Image.open(path).convert("RGB"))
            centred = boxes is not None and any(
                x0 < 192 < x1 and y0 < 230 < y1 and x1 - x0 > 80 for x0, y0, x1, y1 in boxes
            )
            found.setdefault("normal" if path.stem == "normal" else "masked", []).append(centred)
    assert np.mean(found["normal"]) >= 0.85
    assert np.mean(found["masked"]) >= 0.8
