"""The page in a real browser: keys and buttons, at the width of a desk and of a phone."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from facemask.labels import fixes
from facemask.review import server
from tests import headless
from tests.headless import wait

from .conftest import HEADER, OLD, Case

pytestmark = headless.NEEDED


@pytest.fixture
def page(case: Case) -> str:
    """Address of a running server, which ends with the tests' process."""
    told: list[str] = []
    arguments = {"port": 0, "reviewer": "Kim", "told": told.append}
    threading.Thread(target=server.serve, args=(case.desk(),), kwargs=arguments, daemon=True).start()
    wait(lambda: bool(told))
    return told[0]


def text(browser: Any, name: str) -> str:
    return str(browser.find_element("id", name).text)


def press(browser: Any, key: str, count: str) -> None:
    browser.find_element("tag name", "body").send_keys(key)
    wait(lambda: text(browser, "count") == count)


def test_keys_decide_skip_and_undo(case: Case, browser: Any, page: str) -> None:
    browser.set_window_size(1280, 900)
    browser.get(page)
    wait(lambda: text(browser, "title") == "#1 wrong label: gender")
    assert text(browser, "count") == "5 open, 0 decided"
    assert "male → female" in text(browser, "facts")
    assert not browser.find_element("id", "ask").is_displayed()
    wait(
        lambda: all(one.get_property("naturalWidth") for one in browser.find_elements("css selector", "img"))
    )
    assert len(browser.find_elements("css selector", "#people img")) == 7

    press(browser, "a", "4 open, 1 decided")
    assert [one.id for one in fixes.load(case.fixes)] == ["7", "000001"]
    wait(lambda: text(browser, "title") == "#2 swapped files: mask")
    assert len(browser.find_elements("css selector", "#pictures img")) == 2
    press(browser, "u", "5 open, 0 decided")
    assert [one.id for one in fixes.load(case.fixes)] == ["7"]
    wait(lambda: text(browser, "title") == "#1 wrong label: gender")
    press(browser, "s", "5 open, 0 decided")
    wait(lambda: text(browser, "title") == "#2 swapped files: mask")
    press(browser, "r", "4 open, 1 decided")
    # Ages come last, and in between are those that no table can settle.
    for title in ("#3 dark face: photo", "#4 same face, hash: identity"):
        wait(lambda title=title: text(browser, "title") == title)
        press(browser, "s", "4 open, 1 decided")
    wait(lambda: text(browser, "title") == "#5 wrong label: age")

    # An age is accepted only with the years that a person typed.
    press(browser, "a", "4 open, 1 decided")
    wait(lambda: "Type the true age" in text(browser, "told"))
    assert browser.find_element("id", "ask").is_displayed()
    browser.find_element("id", "value").send_keys("28")
    browser.find_element("id", "accept").click()
    wait(lambda: text(browser, "count") == "3 open, 2 decided")
    assert [(one.id, one.new) for one in fixes.load(case.fixes)] == [("7", "female"), ("000003", "28")]

    browser.get(page)
    wait(lambda: text(browser, "title") == "#1 wrong label: gender")
    assert [one["message"] for one in browser.get_log("browser")] == []


def test_a_decision_in_another_tab_is_told_and_not_overwritten(case: Case, browser: Any, page: str) -> None:
    browser.get(page)
    wait(lambda: text(browser, "title") == "#1 wrong label: gender")
    desk = case.desk()
    name, suspect = next(iter(desk.suspects().items()))
    desk.ledger.decide(suspect, "rejected", "", "another")
    browser.find_element("id", "accept").click()
    wait(lambda: "decided already" in text(browser, "told"))
    wait(lambda: text(browser, "title") == "#2 swapped files: mask")
    assert case.fixes.read_text() == HEADER + OLD
    assert desk.ledger.decided()[name]["reviewer"] == "another"


def test_a_phone_shows_buttons_and_no_sideways_scrolling(browser: Any, page: str) -> None:
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": 390, "height": 844, "deviceScaleFactor": 2, "mobile": True},
    )
    browser.get(page)
    wait(lambda: text(browser, "title") == "#1 wrong label: gender")
    assert browser.execute_script("return document.documentElement.scrollWidth") <= 390
    for name in ("accept", "reject", "skip", "undo"):
        box = browser.find_element("id", name).rect
        assert box["height"] >= 44
        assert box["x"] >= 0 and box["x"] + box["width"] <= 390
    browser.find_element("id", "reject").click()
    wait(lambda: text(browser, "title") == "#2 swapped files: mask")


def test_names_are_text(case: Case, browser: Any, page: str) -> None:
    table = (case.folder / "audit" / "suspects.csv").read_text()
    evil = "<script>document.title=1</script><img src=x onerror=document.title=2> 金"
    (case.folder / "audit" / "suspects.csv").write_text(table.replace("brightness >= 40", evil))
    browser.get(page)
    wait(lambda: text(browser, "title") == "#1 wrong label: gender")
    for _ in range(2):
        browser.find_element("id", "skip").click()
    wait(lambda: text(browser, "title") == "#3 dark face: photo")
    assert evil in text(browser, "facts")
    assert browser.title == "facemask review"
