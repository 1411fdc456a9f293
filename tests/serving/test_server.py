"""The model over HTTP: answers as predict gives them, what is refused, and that nothing is kept."""

from __future__ import annotations

import socket
import struct
import tempfile
import threading
import zlib
from concurrent import futures

import numpy as np
import pytest
from starlette.testclient import TestClient

from facemask.runtime.errors import UserError
from facemask.serving import limits, server

HERE = "http://127.0.0.1:8000"


@pytest.fixture
def client(model):
    app = server.build(model, limits.Limits(bytes=300_000, photos=3, waiting=4), names=["faces.example"])
    with TestClient(app, base_url=HERE) as client:
        yield client


def test_answers_are_those_of_predict(client, model, photo, encoded):
    others = [photo, np.roll(photo, 9)]
    files = [("photos", (f"{k}.png", encoded(one))) for k, one in enumerate(others)]
    said = client.post("/predict", files=files).json()["photos"]
    table = model.predict(others)
    assert [one["file"] for one in said] == ["0.png", "1.png"]
    assert [(one["height"], one["width"]) for one in said] == [(80, 60)] * 2
    for one, (_, row) in zip(said, table.iterrows(), strict=True):
        (face,) = one["faces"]
        assert face["class"] == row["class"]
        assert face["box"] == row[["x0", "y0", "x1", "y1"]].tolist()
        np.testing.assert_allclose(
            face["probabilities"], row[[f"p{k}" for k in range(18)]].tolist(), atol=2e-6
        )
    alone = client.post("/predict", content=encoded(photo), headers={"content-type": "image/png"})
    assert alone.json()["photos"][0]["faces"] == said[0]["faces"]


def test_unreadable_photos_are_answered_with_the_reason(client, photo, encoded):
    files = [
        ("photos", ("a.png", encoded(photo))),
        ("photos", ("b.jpg", b"no photo")),
        ("photos", ("c", b"")),
    ]
    answer = client.post("/predict", files=files)
    first, *others = answer.json()["photos"]
    assert answer.status_code == 200
    assert len(first["faces"]) == 1
    assert [(one["faces"], bool(one["reason"])) for one in others] == [([], True)] * 2


def test_what_is_no_photo_is_one_clear_error(client):
    def part(name, body):
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    # Its size is told before a pixel is decoded.
    header = struct.pack(">IIBBBBB", 30_000, 30_000, 1, 0, 0, 0, 0)
    bomb = b"\x89PNG\r\n\x1a\n" + part(b"IHDR", header) + part(b"IDAT", b"") + part(b"IEND", b"")
    for data, told in ((bomb, "pixels"), (b"no photo", "it is text"), (b"\0" * 99, "zero bytes")):
        answer = client.post("/predict", content=data)
        assert answer.status_code == 422
        assert told in answer.json()["error"], answer.json()


def test_requests_that_are_too_much_or_nothing(client):
    form = {"headers": {"content-type": "multipart/form-data"}}
    edge = {"headers": {"content-type": "multipart/form-data; boundary=x"}}
    for given, status in (
        ({"content": bytes(300_001)}, 413),
        ({"content": (bytes(100_000) for _ in range(4))}, 413),
        ({"files": [("photos", ("a", bytes(300_001)))]}, 413),
        ({"files": [("photos", ("a", b"x"))] * 4}, 413),
        ({"content": b""}, 422),
        ({"files": [("others", ("a", b"x"))]}, 422),
        ({"data": {"photos": "text"}, "files": [("others", ("a", b"x"))]}, 422),
        ({"content": b"no form"} | form, 422),
        ({"content": b"no form"} | edge, 422),
        ({"content": b"x", "params": {"faces": "some"}}, 422),
    ):
        answer = client.post("/predict", **given)
        assert answer.status_code == status, given
        assert set(answer.json()) == {"error"}, given
        assert "\n" not in answer.json()["error"]
    for path, status in (("/nowhere", 404), ("/predict", 405)):
        answer = client.get(path)
        assert (answer.status_code, set(answer.json())) == (status, {"error"})


def test_other_hosts_and_origins_are_refused(client, photo, encoded):
    for headers in (
        {"host": "evil.example"},
        {"host": "127.0.0.1.evil.example:8000"},
        {"host": ""},
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": "https://127.0.0.1:8000"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
    ):
        for answer in (
            client.get("/health", headers=headers),
            client.post("/predict", content=encoded(photo), headers=headers),
        ):
            assert answer.status_code == 403, headers


def test_every_face_of_a_combination_that_cannot_tell_is_refused_alone(
    client, model, photo, monkeypatch, encoded
):
    def look(photos, *, every=False, real=model.look):
        if every:
            raise UserError("cannot be told")
        return real(photos)

    monkeypatch.setattr(model, "look", look)
    answer = client.post("/predict", content=encoded(photo), params={"faces": "all"})
    assert (answer.status_code, answer.json()["error"]) == (422, "photo: cannot be told")
    assert client.post("/predict", content=encoded(photo)).status_code == 200


def test_names_of_this_machine_and_allowed_ones_are_answered(client):
    for host in ("127.0.0.1:8000", "localhost:9", "localhost", "[::1]:8000", "faces.example"):
        assert client.get("/health", headers={"host": host, "origin": f"http://{host}"}).status_code == 200, (
            host
        )


def test_pages_need_no_other_site(client):
    for path in ("/", "/docs"):
        answer = client.get(path)
        assert answer.status_code == 200
        assert "src=" not in answer.text.replace("<script nonce", "").split("<script")[0]
        assert "https://" not in answer.text
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "NONCE" not in answer.text
    schema = client.get("/openapi.json").json()
    assert set(schema["paths"]) == {"/predict", "/health"}
    for word in ("POST /predict", "GET /health", "heatmap", "503"):
        assert word in client.get("/docs").text
    assert client.get("/health").json() == {"status": "ok", "folds": 2, "size": [32, 24]}


@pytest.mark.slow
def test_a_full_queue_says_so_and_takes_more_later(client, model, photo, monkeypatch, encoded):
    busy, begun = threading.Event(), threading.Event()
    look = model.look

    def slow(photos, **options):
        begun.set()
        assert busy.wait(60)
        return look(photos, **options)

    monkeypatch.setattr(model, "look", slow)
    data = encoded(photo)
    with futures.ThreadPoolExecutor(40) as pool:
        # Whatever the workers hold, four may wait besides.
        waiting = [pool.submit(client.post, "/predict", content=data) for _ in range(40)]
        assert begun.wait(60)
        # Those that are refused need not wait for the others.
        next(futures.as_completed(waiting, timeout=60))
        busy.set()
        codes = [one.result(60).status_code for one in waiting]
    assert set(codes) == {200, 503}
    full = next(one.result() for one in waiting if one.result().status_code == 503)
    assert full.headers["retry-after"] == "1"
    assert "ask again" in full.json()["error"]
    assert client.post("/predict", content=data).status_code == 200


def test_nothing_is_put_on_disk(model, monkeypatch, encoded):
    """Starlette would put photos of more than a megabyte there."""

    def refuse(*_, **__):
        raise AssertionError("a file was made")

    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)
    large = encoded(np.random.default_rng(0).integers(0, 256, (700, 700, 3), dtype=np.uint8))
    assert len(large) > 1_100_000
    app = server.build(model)
    with TestClient(app, base_url=HERE) as client:
        answer = client.post("/predict", files=[("photos", ("a.png", large))])
    assert len(answer.json()["photos"][0]["faces"]) == 1


@pytest.mark.slow
def test_heat_maps_come_with_the_faces(client, photo, encoded):
    said = client.post("/predict", content=encoded(photo), params={"heatmap": True}).json()["photos"][0]
    picture = said["faces"][0]["heatmap"]
    assert picture.startswith("data:image/jpeg;base64,")


def test_a_port_that_is_taken_is_told_in_a_line(model):
    with (
        socket.create_server(("127.0.0.1", 0)) as taken,
        pytest.raises(UserError, match="cannot be used.*--port 0") as error,
    ):
        port = taken.getsockname()[1]
        server.serve(model, host="127.0.0.1", port=port, names=[], told=lambda _: None)
    assert "\n" not in str(error.value)
