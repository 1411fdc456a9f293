"""Who may ask the page's server for what."""

from __future__ import annotations

import io
import socket
from collections.abc import Iterator

import pytest
from PIL import Image
from starlette.testclient import TestClient

from facemask.review import server
from facemask.runtime.errors import UserError

from .conftest import HEADER, OLD, Case

HERE = "http://127.0.0.1:8421"
SECRET = {"x-token": "secret"}


@pytest.fixture
def client(case: Case) -> Iterator[TestClient]:
    with TestClient(server.build(case.desk(), "secret", "Kim"), base_url=HERE) as client:
        yield client


def test_the_page_needs_no_other_site(client: TestClient) -> None:
    answer = client.get("/", params={"token": "secret"})
    assert answer.status_code == 200
    assert "//" not in answer.text
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    nonces = [
        client.get("/", params={"token": "secret"}).headers["content-security-policy"] for _ in range(2)
    ]
    assert nonces[0] != nonces[1]
    assert "NONCE" not in answer.text


@pytest.mark.parametrize("path", ["/", "/suspects", "/photos/x.jpg", "/docs", "/openapi.json"])
@pytest.mark.parametrize("token", ["", "wrong", "sécret"])
def test_nothing_is_answered_without_the_token(client: TestClient, path: str, token: str) -> None:
    answer = client.get(path, params={"token": token} if token else None)
    assert answer.status_code == 403
    assert "token" in answer.json()["error"]


@pytest.mark.slow
@pytest.mark.parametrize(
    "headers",
    [
        {"host": "evil.example"},
        {"host": "evil.example:8421"},
        {"host": "127.0.0.1.evil.example:8421"},
        {"host": ""},
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": "http://localhost:8421"},
        {"origin": "https://127.0.0.1:8421"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
    ],
)
def test_other_hosts_and_origins_are_refused(client: TestClient, case: Case, headers: dict[str, str]) -> None:
    body = {"key": case.keys()["gender"], "verdict": "accepted", "new": "female"}
    assert client.get("/suspects", headers=SECRET | headers).status_code == 403
    assert client.post("/decisions", json=body, headers=SECRET | headers).status_code == 403
    assert case.fixes.read_text() == HEADER + OLD


@pytest.mark.slow
def test_names_of_this_machine_are_answered(client: TestClient) -> None:
    for host in ("127.0.0.1:8421", "localhost:9", "localhost", "[::1]:8421"):
        answer = client.get("/suspects", headers=SECRET | {"host": host, "origin": f"http://{host}"})
        assert answer.status_code == 200, host


def test_changes_need_the_token_in_the_header(client: TestClient, case: Case) -> None:
    body = {"key": case.keys()["gender"], "verdict": "accepted", "new": "female"}
    for path in ("/decisions", "/undo"):
        assert client.post(path, json=body, params={"token": "secret"}).status_code == 403
        assert client.get(path, headers=SECRET).status_code == 405
    assert case.fixes.read_text() == HEADER + OLD
    assert client.post("/decisions", json=body, headers=SECRET).status_code == 200
    assert "000001" in case.fixes.read_text()
    assert client.post("/undo", json={"key": body["key"]}, headers=SECRET).status_code == 200
    assert "000001" not in case.fixes.read_text()


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"key": 1, "verdict": "accepted", "new": ""},
        {"key": "x", "verdict": "maybe", "new": ""},
        {"key": "x", "verdict": "accepted", "new": "", "more": 1},
        [],
    ],
)
def test_other_bodies_are_refused(client: TestClient, body: object) -> None:
    assert client.post("/decisions", json=body, headers=SECRET).status_code == 422


def test_errors_come_back_in_words(client: TestClient, case: Case) -> None:
    answer = client.post("/decisions", json={"key": "x", "verdict": "accepted", "new": ""}, headers=SECRET)
    assert (answer.status_code, "audit has run again" in answer.json()["error"]) == (409, True)
    body = {"key": case.keys()["age"], "verdict": "accepted", "new": "young"}
    answer = client.post("/decisions", json=body, headers=SECRET)
    assert (answer.status_code, "is not an age" in answer.json()["error"]) == (409, True)


def test_a_suspect_comes_with_all_photos_of_its_people(client: TestClient) -> None:
    found = client.get("/suspects", headers=SECRET).json()
    assert (found["left"], found["decided"]) == (5, 0)
    assert [one["rank"] for one in found["suspects"]] == [1, 2, 3, 4, 5]
    assert [len(one["people"]) for one in found["suspects"]] == [1, 1, 1, 2, 1]
    assert all(len(one["people"][0]["photos"]) == 7 for one in found["suspects"])
    assert found["suspects"][3]["people"][1]["set"] == "eval"
    for person in found["suspects"][3]["people"]:
        for photo in person["photos"]:
            answer = client.get(f"/photos/{photo['photo']}", headers=SECRET)
            assert answer.headers["content-type"] == "image/jpeg"
            Image.open(io.BytesIO(answer.content)).load()


@pytest.mark.parametrize(
    "path",
    [
        "../label_fixes.csv",
        "..%2Flabel_fixes.csv",
        "%2e%2e/label_fixes.csv",
        "/etc/passwd",
        "%2Fetc%2Fpasswd",
        "train/train.csv",
        "train/images/../../train/train.csv",
        "extra/../label_fixes.csv",
        "",
    ],
)
def test_only_photos_of_the_table_are_served(client: TestClient, path: str) -> None:
    assert client.get(f"/photos/{path}", headers=SECRET).status_code == 404


def test_a_photo_that_is_gone_or_another_one_is_not_served(client: TestClient, case: Case) -> None:
    photo = case.photos["000001", "mask1"]
    (case.folder / "contest" / photo).write_bytes(b"<svg onload=alert(1)>")
    assert client.get(f"/photos/{photo}", headers=SECRET).status_code == 404


def test_a_taken_port_is_told(case: Case) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as taken,
        pytest.raises(UserError, match="cannot be used.*--port 0"),
    ):
        server.serve(case.desk(), port=taken.getsockname()[1], reviewer="t", told=lambda _: None)
