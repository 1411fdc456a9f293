"""The frame of ``dvc plots show``: one HTML file with its scripts inside, so that it opens without a network.

DVC fills in the plots at ``{plot_divs}``. Its own frame loads Vega from the net; this one, to which DVC's
option ``plots.html_template`` points, carries the bundle that the package vl-convert-python holds. The file
is written by :func:`write` when the project is set up and is no part of the repository.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import vl_convert

from facemask.runtime import files

# DVC's chart templates are written for version 5 of Vega-Lite; a newer one draws them with warnings.
VEGA_LITE: Final = "5.21"

# DVC's page calls vegaEmbed(element, spec). The menu's "open in editor" would need a network.
SNIPPET: Final = """
window.vega = vega;
window.vegaLite = vegaLite;
const actions = {export: true, source: true, compiled: false, editor: false};
const look = {
  background: null,
  font: "system-ui, sans-serif",
  title: {fontSize: 14, anchor: "start", offset: 12},
  axis: {labelFontSize: 11, titleFontSize: 11, titleFontWeight: "normal", gridColor: "#e4eaef",
         labelLimit: 240},
  legend: {labelFontSize: 11, titleFontSize: 11},
  header: {labelFontSize: 11, title: null},
  range: {heatmap: ["#ffffff", "#cfe6ec", "#6fb0c4", "#1f6f8b", "#0d3b4f"]},
  view: {stroke: "#d9e0e6"}
};
window.vegaEmbed = (element, spec, options) => vegaEmbed(element, spec, {actions, config: look, ...options});
"""

FRAME: Final = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
{refresh_tag}
<title>facemask: plots</title>
<script>@BUNDLE@</script>
<style>
  body { margin: 0; background: #f2f5f7; color: #22303c; font: 14px/1.5 system-ui, sans-serif; }
  header { padding: 28px 32px 4px; max-width: 1240px; margin: 0 auto; }
  h1 { font-size: 22px; margin: 0; }
  header p { margin: 4px 0 0; color: #5d6b78; }
  main { display: flex; flex-wrap: wrap; gap: 18px; align-items: flex-start; max-width: 1240px;
         margin: 0 auto; padding: 20px 32px 48px; }
  main > div { background: #fff; border: 0 !important; border-radius: 10px; padding: 18px 20px;
               box-shadow: 0 1px 3px rgba(20, 40, 60, .14); max-width: 100%; overflow-x: auto;
               box-sizing: border-box; text-align: left !important; white-space: normal !important; }
  main > div > div { border: 0 !important; margin: 0 !important; max-width: 100%; }
  h2 { flex-basis: 100%; font-size: 16px; margin: 14px 0 -6px; }
  main p { margin: 0 0 6px; color: #5d6b78; font-size: 12px; }
  img { max-width: 100%; height: auto; }
</style>
</head>
<body>
<header>
  <h1>facemask: plots</h1>
  <p>Every score uses the official age bands. Charts in several colours compare revisions or experiments.</p>
</header>
<main>
{plot_divs}
</main>
<script>
  // DVC hands over one flat list of plots: sort it into sections by the stage that made them.
  const main = document.querySelector("main");
  const sections = [["Scores", /evaluate/], ["Learning curves", /_train_/], ["Data", /./]];
  const cards = [...main.children].filter(card => card.id);
  for (const [title, pattern] of sections) {
    const chosen = cards.filter(card => !card.taken && pattern.test(card.id));
    if (!chosen.length) continue;
    const heading = document.createElement("h2");
    heading.textContent = title;
    main.append(heading);
    for (const card of chosen) {
      card.taken = true;
      main.append(card);
    }
  }
</script>
</body>
</html>
"""


def write(path: Path) -> None:
    """Write the frame to ``path``, scripts included (0.9 MB); the same packages give the same bytes."""
    bundle = vl_convert.javascript_bundle(snippet=SNIPPET, vl_version=VEGA_LITE)
    if "</script" in bundle.lower() or any(mark in bundle for mark in ("{plot_divs}", "{refresh_tag}")):
        raise AssertionError("the Vega bundle would break the page it is put into")
    with files.replacing(path) as temporary:
        temporary.write_text(FRAME.replace("@BUNDLE@", bundle), encoding="utf-8", newline="\n")
