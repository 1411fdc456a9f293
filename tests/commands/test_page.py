"""DVC's plots page carries its scripts itself."""

import json
import os
import re
import subprocess
import sys

import pytest
from dvc_render.html import HTML
from dvc_render.vega import VegaRenderer

from facemask.commands import page


@pytest.fixture(scope="module")
def frame(tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "plots" / "offline.html"
    page.write(path)
    return path.read_text()


@pytest.mark.slow
def test_no_script_is_loaded_from_anywhere(frame):
    filled = HTML(frame).with_scripts(VegaRenderer.SCRIPTS).with_element("<div id='x'></div>").embed()
    # What vega-embed holds as text for its "open in editor" window is no tag of this page.
    tags = re.sub(r"<script>.*?</script>", "<script></script>", filled, flags=re.DOTALL)
    assert "<div id='x'></div>" in tags
    assert not re.findall(r"(?:src|href)\s*=", tags)
    assert "https://" not in tags
    assert filled.count("<script>") == filled.count("</script>") == 2


def test_the_bundle_gives_dvc_what_its_charts_call(frame):
    assert "window.vegaEmbed" in frame
    assert "editor:!1" in frame.replace(" ", "") or "editor:false" in frame.replace(" ", "")
    assert "{plot_divs}" in frame
    assert frame.count("{plot_divs}") == 1


@pytest.mark.slow
def test_the_same_bytes_again(frame, tmp_path):
    page.write(tmp_path / "again.html")
    assert (tmp_path / "again.html").read_text() == frame


@pytest.mark.parametrize(
    ("name", "x", "y"), [("f1", "f1", "class"), ("reliability", "confidence", "accuracy")]
)
def test_the_projects_own_templates_take_dvcs_data(repository, name, x, y):
    row = {"class": "00 wear", "f1": "0.5", "low": "0.4", "high": "0.6", "split": "oof", "rev": "workspace"}
    row |= {"confidence": "0.5", "accuracy": "0.4", "photos": "3"}
    chart = VegaRenderer(
        [row], name, template=name, template_dir=str(repository / ".dvc/plots"), x=x, y=y, title="T"
    )
    filled = json.dumps(chart.get_filled_template())
    assert "<DVC_METRIC" not in filled
    assert json.loads(filled)["data"]["values"] == [row]


@pytest.mark.slow
def test_dvc_plots_show_writes_a_page_that_needs_no_network(tmp_path):
    def dvc(*arguments):
        command = [sys.executable, "-m", "dvc", *arguments]
        subprocess.run(
            command, cwd=tmp_path, env=os.environ | {"DVC_NO_ANALYTICS": "1"}, check=True, timeout=120
        )

    dvc("init", "--no-scm", "--quiet")
    dvc("config", "plots.html_template", "plots/offline.html")
    page.write(tmp_path / ".dvc" / "plots" / "offline.html")
    (tmp_path / "loss.tsv").write_text("step\tloss\n0\t1.0\n1\t0.5\n")
    (tmp_path / "dvc.yaml").write_text("plots:\n  - loss.tsv:\n      x: step\n      y: loss\n")
    dvc("plots", "show", "--out", "shown")
    shown = (tmp_path / "shown" / "index.html").read_text()
    assert "vegaEmbed('#loss_tsv', spec)" in shown
    assert not re.findall(r"<(?:script|link)[^>]*\b(?:src|href)\s*=", shown)
