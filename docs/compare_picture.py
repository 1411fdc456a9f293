"""Draw a comment of ``compare --markdown`` about as a forge shows it, by markdown-it and Chromium.

Run from the project's folder::

    python -m facemask compare main NAME --markdown | python docs/compare_picture.py
"""

from __future__ import annotations

import io
import shutil
import sys
import urllib.parse
from pathlib import Path

from markdown_it import MarkdownIt
from PIL import Image
from selenium import webdriver

OUT = Path("docs/compare.png")
STYLE = """
body { margin: 0; padding: 16px; width: 860px; background: #fff; color: #1f2328; font: 15px/1.5 system-ui, sans-serif; }
article { border: 1px solid #d0d7de; border-radius: 6px; overflow: hidden; }
header { padding: 8px 16px; background: #f6f8fa; border-bottom: 1px solid #d0d7de; color: #59636e; }
header b { color: #1f2328; }
main { padding: 4px 16px 12px; }
h3 { margin: 12px 0 8px; font-size: 18px; } p { margin: 8px 0; }
table { border-collapse: collapse; } th, td { border: 1px solid #d0d7de; padding: 4px 12px; }
tr:nth-child(2n) td { background: #f6f8fa; }
"""


def main() -> None:
    """Read Markdown from standard input and write the picture."""
    told = MarkdownIt().enable("table").render(sys.stdin.read())
    header = "<header><b>github-actions</b> commented</header>"
    page = f"<meta charset=utf-8><style>{STYLE}</style><article>{header}<main>{told}</main></article>"
    options = webdriver.ChromeOptions()
    for argument in ("--headless=new", "--no-sandbox", "--hide-scrollbars", "--window-size=940,2000"):
        options.add_argument(argument)
    options.binary_location = str(shutil.which("chromium"))
    browser = webdriver.Chrome(options, webdriver.ChromeService(shutil.which("chromedriver")))
    try:
        browser.get(f"data:text/html,{urllib.parse.quote(page)}")
        drawn = browser.find_element("tag name", "article").screenshot_as_png
    finally:
        browser.quit()
    Image.open(io.BytesIO(drawn)).convert("RGB").quantize(32).save(OUT, optimize=True)


if __name__ == "__main__":
    main()
