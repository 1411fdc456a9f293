"""Put what a reviewer wants to see on one page.

Run as ``python -m stages.report``.
"""

from __future__ import annotations

from pathlib import Path

from facemask.records.roots import Roots
from facemask.report import content, inputs, page
from facemask.runtime import files
from facemask.runtime.launch import launch
from facemask.settings import params


def run(
    cfg: params.Report,
    evaluate: params.Evaluate,
    folds: params.Folds,
    *,
    seed: int,
    labels: Path,
    faces: Path,
    mattes: Path,
    manifest: Path,
    models: Path,
    combined: Path,
    evaluated: Path,
    answered: Path,
    metrics: Path,
    root: Path,
    extra: Path,
    synthetic: Path,
    out: Path,
) -> None:
    """Read what the stages left in their folders, and photos; write ``out``/report.html."""
    photos = Roots(root, extra, synthetic)
    places = inputs.Places(
        labels, faces, mattes, manifest, models, combined, evaluated, answered, metrics, photos
    )
    given = inputs.read(places, folds.folds)
    html = page.render("page.jinja", content.gather(given, places, cfg, evaluate, seed=seed))
    with files.replacing(out) as folder:
        folder.mkdir(parents=True)
        (folder / "report.html").write_text(html, encoding="utf-8", newline="\n")


def main() -> None:
    """Run the stage with the params and paths it was given."""
    launch(run)


if __name__ == "__main__":
    main()
