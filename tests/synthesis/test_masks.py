"""Drawn masks: what they cover, what they leave, that they follow the head, and what decides on them."""

from __future__ import annotations

import io
import itertools
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from facemask.detectors import mtcnn
from facemask.masks import looks
from facemask.pixels import codec
from facemask.sample import contest, photo, roster
from facemask.settings import params
from facemask.synthesis import head_pose, masks, studio

STYLES: tuple[looks.Style, ...] = ("surgical", "cloth", "respirator")
CFG = params.Synthesise(styles=STYLES, wrong=("below_nose",), seed=3)
EYES, NOSE, MOUTH = (0, 1), (2,), (3, 4)


@pytest.fixture(scope="module")
def faces() -> list[tuple[np.ndarray, np.ndarray]]:
    """Bare faces drawn by the sample, (512, 384, 3), and their landmarks as MTCNN finds them, (5, 2)."""
    bare = []
    for index, person in enumerate(roster.train(8, 5)[:3]):
        job = contest.Job(5, 0, index, person)
        scene, rng = contest.circumstances(job, contest.KINDS.index("normal"))
        sitter = photo.Sitter(
            contest.identity.draw(job.generator(0), person.gender, person.age), job.generator(0)
        )
        bare.append(photo.take(sitter, scene, rng)[0])
    found = mtcnn.Networks(56.12, (0.6, 0.7, 0.7)).landmarks(bare)
    assert [len(rows) for rows in found] == [1] * len(bare)
    return [(one, rows[0, 5:].reshape(5, 2)) for one, rows in zip(bare, found, strict=True)]


def drawn(
    pixels: np.ndarray,
    points: np.ndarray,
    wearing: looks.Wearing,
    style: looks.Style,
    seed: int = 0,
) -> np.ndarray:
    pose = head_pose.fit(points)
    assert pose is not None
    look = looks.Look(style, "blue", "red", "plain")
    return masks.wear(pixels, pose, look, wearing, np.random.default_rng(seed))


def covered(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Where a photo changed clearly: (H, W)."""
    return np.abs(before.astype(int) - after).max(axis=2) > 12


def around(area: np.ndarray, point: np.ndarray) -> np.ndarray:
    """The 5 x 5 pixels around a point."""
    x, y = np.rint(point).astype(int)
    return area[y - 2 : y + 3, x - 2 : x + 3]


COVERS = {"right": NOSE + MOUTH, "below_nose": MOUTH, "below_mouth": (), "on_eyes": EYES}


@pytest.mark.slow
@pytest.mark.parametrize("angle", [0, 15, -15])
@pytest.mark.parametrize("wearing", COVERS)
def test_covers_what_it_should_and_leaves_the_rest(
    faces: list[tuple[np.ndarray, np.ndarray]], wearing: looks.Wearing, angle: int
) -> None:
    for (number, (upright, marks)), style in itertools.product(enumerate(faces), STYLES):
        matrix = cv2.getRotationMatrix2D((192, 256), angle, 1.0)
        pixels = cv2.warpAffine(upright, matrix, (384, 512), borderMode=cv2.BORDER_REPLICATE)
        points = marks @ matrix[:, :2].T + matrix[:, 2]
        result = drawn(pixels, points, wearing, style, seed=number)
        changed = covered(pixels, result)
        for place in range(5):
            if place in COVERS[wearing]:
                assert around(changed, points[place]).mean() > 0.7, (wearing, style, place)
            elif wearing != "on_eyes" or place in MOUTH:
                assert np.array_equal(around(result, points[place]), around(pixels, points[place]))


def test_the_mask_turns_with_the_head(faces: list[tuple[np.ndarray, np.ndarray]]) -> None:
    for pixels, points in faces:
        matrix = cv2.getRotationMatrix2D((192, 256), 15, 1.0)
        turned = cv2.warpAffine(pixels, matrix, (384, 512), borderMode=cv2.BORDER_REPLICATE)
        there = points @ matrix[:, :2].T + matrix[:, 2]
        upright = covered(pixels, drawn(pixels, points, "right", "surgical"))
        expected = cv2.warpAffine(upright.astype(np.uint8), matrix, (384, 512)) > 0
        got = covered(turned, drawn(turned, there, "right", "surgical"))
        assert (expected & got).sum() / (expected | got).sum() > 0.9
        assert (upright & got).sum() / (upright | got).sum() < (expected & got).sum() / (expected | got).sum()


@pytest.mark.slow
def test_the_chin_is_covered_and_the_forehead_is_not(faces: list[tuple[np.ndarray, np.ndarray]]) -> None:
    for (pixels, points), style in itertools.product(faces, STYLES):
        changed = covered(pixels, drawn(pixels, points, "right", style))
        eyes, mouth = points[:2].mean(axis=0), points[3:].mean(axis=0)
        assert around(changed, mouth + 0.5 * (mouth - eyes)).all()
        assert not changed[: int(eyes[1])].any()


@pytest.mark.parametrize("turn", [(0.0, 0.0), (0.5, 0.2), (-0.5, -0.2), (0.3, 0.1)])
def test_locate_undoes_project(turn: tuple[float, float]) -> None:
    across, down = np.array([30.0, 8.0]), np.array([-7.0, 33.0])
    pose = head_pose.Pose(np.array([100.0, 80.0]), across, down, turn, 1.2)
    x, y = (side.ravel() for side in np.mgrid[-1.9:1.9:9j, 0.5:3.6:9j])
    there = pose.project(np.column_stack([x, y]))
    back = pose.locate(there[:, 0].astype(np.float32), there[:, 1].astype(np.float32))
    assert np.allclose(back, (x, y), atol=0.02)


def test_a_nose_aside_turns_the_mask_and_a_profile_gets_none() -> None:
    front = np.array([[70, 100], [130, 100], [100, 136], [76, 160], [124, 160]], dtype=float)
    pose = head_pose.fit(front)
    assert pose is not None
    assert pose.turn == pytest.approx((0, 0), abs=0.01)
    assert pose.project(np.array([[0.0, 2.0]]))[0] == pytest.approx((100, 160), abs=2)
    aside = front + np.array([[0, 0], [0, 0], [10, 0], [0, 0], [0, 0]])
    turned = head_pose.fit(aside)
    assert turned is not None
    assert turned.turn[0] > 0.2
    assert turned.project(np.array([[1.9, 2.0]]))[0, 0] < pose.project(np.array([[1.9, 2.0]]))[0, 0]
    assert head_pose.fit(front + np.array([[0, 0], [0, 0], [40, 0], [0, 0], [0, 0]])) is None
    assert head_pose.fit(np.zeros((5, 2))) is None


def test_light_of_the_photo_falls_on_the_mask(faces: list[tuple[np.ndarray, np.ndarray]]) -> None:
    pixels, points = faces[0]
    dim = (pixels * 0.4).astype(np.uint8)
    middle = np.rint(points[2:].mean(axis=0)).astype(int)
    bright, dark = (
        drawn(one, points, "right", "surgical")[
            middle[1] - 10 : middle[1] + 10, middle[0] - 10 : middle[0] + 10
        ].mean()
        for one in (pixels, dim)
    )
    assert 0.3 * bright < dark < 0.6 * bright


def test_a_mask_on_a_grey_photo_is_grey(faces: list[tuple[np.ndarray, np.ndarray]]) -> None:
    pixels, points = faces[0]
    grey = np.repeat(pixels[..., 1:2], 3, axis=2)
    result = drawn(grey, points, "right", "cloth")
    assert not np.ptp(result.astype(int), axis=2).any()
    assert covered(grey, result).any()


@pytest.mark.parametrize("where", [(-300, 0), (5000, 5000), (-40, 120), (150, 300)])
def test_faces_at_the_edge_and_outside(where: tuple[int, int]) -> None:
    points = np.array([[70, 100], [130, 100], [100, 136], [76, 160], [124, 160]], dtype=float) + where
    pixels = np.full((240, 200, 3), 128, np.uint8)
    result = drawn(pixels, points, "right", "respirator")
    assert result.shape == pixels.shape
    if where[0] in (-300, 5000):
        assert np.array_equal(result, pixels)


@pytest.mark.slow
@pytest.mark.parametrize("side", [6.0, 200.0])
def test_small_and_large_faces(side: float) -> None:
    points = np.array([[-1, 0], [1, 0], [0, 1.2], [-0.8, 2], [0.8, 2]]) * side + (3 * side, 2 * side)
    pixels = np.full((int(7 * side), int(6 * side), 3), 150, np.uint8)
    changed = covered(pixels, drawn(pixels, points, "right", "surgical"))
    assert 0.15 < changed.mean() < 0.3


def test_looks_differ_and_depend_on_the_generator_alone() -> None:
    drawn = looks.draw(STYLES, np.random.default_rng(1), 6)
    assert drawn == looks.draw(STYLES, np.random.default_rng(1), 6)
    assert len({(look.style, look.colour) for look in drawn}) == 6
    many = [look for seed in range(100) for look in looks.draw(STYLES, np.random.default_rng(seed), 6)]
    assert {look.style for look in many} == set(STYLES)
    assert {look.colour for look in many} == set(looks.COLOURS)
    only = looks.draw(("cloth",), np.random.default_rng(1), 6)
    assert {look.style for look in only} == {"cloth"}


def encoded(pixels: np.ndarray, kind: str, **options: object) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, kind, **options)
    return stream.getvalue()


@pytest.fixture
def portraits(faces: list[tuple[np.ndarray, np.ndarray]]) -> Callable[..., dict[str, bytes]]:
    def make(data: bytes, person: str = "somebody", cfg: params.Synthesise = CFG) -> dict[str, bytes]:
        pose = head_pose.fit(faces[0][1])
        assert pose is not None
        return studio.draw(cfg, person, data, codec.decode(data), pose)

    return make


@pytest.mark.parametrize("options", [{"quality": 71}, {"quality": 90, "subsampling": 0}])
def test_files_are_stored_like_the_source(
    faces: list[tuple[np.ndarray, np.ndarray]],
    portraits: Callable[..., dict[str, bytes]],
    options: dict[str, int],
) -> None:
    data = encoded(faces[0][0], "JPEG", **options)
    made = portraits(data)
    assert set(made) == {f"{kind}.jpg" for kind in contest.KINDS}
    assert made["normal.jpg"] == data
    tables = [Image.open(io.BytesIO(one)).quantization for one in made.values()]
    assert all(table == tables[0] for table in tables)
    assert len(set(made.values())) == 7


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["PNG", "WEBP", "BMP"])
def test_other_formats(
    faces: list[tuple[np.ndarray, np.ndarray]], portraits: Callable[..., dict[str, bytes]], kind: str
) -> None:
    data = encoded(faces[0][0], kind)
    made = portraits(data)
    suffix = "png" if kind == "PNG" else "jpg"
    assert set(made) == {f"{name}.{suffix}" for name in contest.KINDS}
    assert (made[f"normal.{suffix}"] == data) == (kind == "PNG")
    assert {codec.decode(one).shape for one in made.values()} == {(512, 384, 3)}


@pytest.mark.slow
def test_seed_and_person_decide(
    faces: list[tuple[np.ndarray, np.ndarray]], portraits: Callable[..., dict[str, bytes]]
) -> None:
    data = encoded(faces[0][0], "JPEG")
    first = portraits(data)
    assert portraits(data) == first
    for other in (portraits(data, person="else"), portraits(data, cfg=CFG.model_copy(update={"seed": 4}))):
        same = [name for name in first if first[name] == other[name]]
        assert same == ["normal.jpg"]


def test_landmarks_are_those_of_facenet_pytorch(faces: list[tuple[np.ndarray, np.ndarray]]) -> None:
    from facenet_pytorch import MTCNN

    detector = MTCNN(min_face_size=56.12, device="cpu")
    for pixels, points in faces[:2]:
        _, _, theirs = detector.detect(Image.fromarray(pixels), landmarks=True)
        assert np.abs(theirs[0] - points).max() < 0.02


def test_landmarks_extend_what_find_finds(faces: list[tuple[np.ndarray, np.ndarray]]) -> None:
    networks = mtcnn.Networks(56.12, (0.6, 0.7, 0.7))
    photos = [faces[0][0], np.zeros((64, 64, 3), np.uint8), faces[1][0][:, ::-1]]
    for boxes, rows in zip(networks.find(photos), networks.landmarks(photos), strict=True):
        assert rows.shape == (len(boxes), 15)
        assert np.array_equal(rows[:, :5], boxes)


@pytest.mark.slow
def test_real_faces_are_still_found_behind_their_masks(shared: Path) -> None:
    root = shared / "data" / "realfaces" / "train" / "images"
    networks = mtcnn.Networks(56.12, (0.6, 0.7, 0.7))
    bare = [
        codec.decode(next(folder.glob("normal.*")).read_bytes()) for folder in sorted(root.iterdir())[:20]
    ]
    masked = []
    for index, (pixels, rows) in enumerate(zip(bare, networks.landmarks(bare), strict=True)):
        assert len(rows)
        rng = np.random.default_rng(index)
        look = looks.draw(STYLES, rng, 1)[0]
        pose = head_pose.fit(rows[0, 5:])
        assert pose is not None
        masked.append(masks.wear(pixels, pose, look, "right", rng))
    assert sum(len(rows) > 0 for rows in networks.find(masked)) >= 16
