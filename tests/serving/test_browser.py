"""The page in a real browser: a photo is chosen, its box, bars and heat map come, at a desk and on a phone."""

from __future__ import annotations

import threading

import pytest
from PIL import Image

import facemask
from facemask.serving import server
from tests import headless
from tests.headless import wait

pytestmark = headless.NEEDED


@pytest.fixture
def page(write_run, tmp_path):
    model, told = facemask.load(write_run(tmp_path / "project")), []
    given = {"host": "127.0.0.1", "port": 0, "names": [], "told": told.append}
    threading.Thread(target=server.serve, args=(model,), kwargs=given, daemon=True).start()
    wait(lambda: told)
    return told[0]


@pytest.mark.parametrize("width", [1280, 390])
def test_photos_are_answered_on_the_page(browser, page, photo, tmp_path, width):
    Image.fromarray(photo).resize((480, 640)).save(tmp_path / "a.png")
    (tmp_path / "bad.png").write_text("no photo")

    def find(selector):
        return browser.find_elements("css selector", selector)

    browser.set_window_size(width, 1000)
    browser.get(page)
    browser.find_element("id", "files").send_keys(f"{tmp_path / 'a.png'}\n{tmp_path / 'bad.png'}")
    wait(lambda: browser.find_element("id", "told").text == "1 of 2 answered")
    assert [one.text for one in find("article h2")] == ["a.png", "bad.png"]
    assert "it is text" in find("article")[1].text
    wait(lambda: all(one.get_property("naturalWidth") for one in find("article img")))
    # The photo and its heat map; a box on the photo, a bar for each mask, gender and age band.
    assert (len(find("article img")), len(find("svg rect")), len(find("meter"))) == (2, 1, 8)
    box, picture = find("svg rect")[0].rect, find(".photo img")[0].rect
    assert picture["x"] < box["x"] and box["x"] + box["width"] < picture["x"] + picture["width"]
    assert browser.execute_script("return document.documentElement.scrollWidth <= innerWidth")
    browser.find_element("id", "camera").click()
    wait(lambda: browser.find_element("id", "shoot").is_displayed())
    browser.find_element("id", "shoot").click()
    wait(lambda: any(one.text == "camera.jpg" for one in find("article h2")))
    assert [one for one in browser.get_log("browser") if one["level"] == "SEVERE"] == []
    browser.save_screenshot(str(tmp_path / f"page{width}.png"))
