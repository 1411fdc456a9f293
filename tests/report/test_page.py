"""The page as a file: text is text, nothing is fetched, marks are filled once."""

import pytest

from facemask.report import page
from facemask.runtime.errors import UserError

EVIL = "<script>alert(1)</script> 한글 \"'&"


def test_all_text_is_escaped():
    html = page.render("comparison.jinja", {"found": None, "name": EVIL, "reason": EVIL})
    assert "<script" not in html
    assert html.count("&lt;script&gt;alert(1)&lt;/script&gt; 한글 &#34;&#39;&amp;") == 2


def test_a_mark_is_filled_and_may_be_filled_again():
    whole = "a<!--run-->old\n<!--/run-->b"
    once = page.fill(whole, {"run": r"new \1"})
    assert "old" not in once
    assert r"new \1" in once
    assert page.fill(once, {"run": "newer"}).replace("\n", "") == "a<!--run-->newer<!--/run-->b"


def test_a_page_without_the_mark_is_told():
    with pytest.raises(UserError, match="not a page of this version; run `dvc repro -f report`"):
        page.fill("<html>", {"run": ""})


@pytest.mark.parametrize(
    ("value", "text"), [(0.9666, "0.967"), (float("nan"), "–"), (1.0, "1.000"), (0.0, "0.000")]
)
def test_scores_have_three_decimals(value, text):
    assert page.score(value) == text


def test_a_difference_has_a_sign():
    assert [page.signed(value) for value in (0.0204, -0.0204)] == ["+0.020", "−0.020"]
