"""Small commands around the pipeline: ``python -m facemask --help``."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Final

from facemask.commands import options
from facemask.runtime import ending
from facemask.runtime.errors import UserError

PARAMS = Path("params.yaml")
PRESETS = Path("presets")
SAMPLE = Path("data/sample")
LABEL_FIXES = Path("data/label_fixes.csv")
REVIEW = Path("data/review.csv")
REPORT = Path("report.html")
PAGE = Path(".dvc/plots/offline.html")


# Each command imports what it needs itself, so that none waits for libraries of another.
def preset(arguments: argparse.Namespace) -> None:
    """Merge a preset into params.yaml, or list them."""
    from facemask.settings import presets

    if arguments.list or not arguments.name:
        found = presets.available(PRESETS)
        width = max(map(len, found), default=0)
        for name, description in found.items():
            print(f"{name:{width}}  {' '.join(description.split())}")
        return
    print(
        presets.apply(arguments.name, PRESETS, PARAMS) or f"params.yaml already has all of {arguments.name}"
    )


def set_(arguments: argparse.Namespace) -> None:
    """Set keys of params.yaml: a kind with its knobs, or a plain value."""
    from facemask.commands import assignments

    print(assignments.apply(arguments.words, PARAMS) or "params.yaml already says so")


def apply(arguments: argparse.Namespace) -> None:
    """Take up an experiment, unless changed photos, label fixes or code would be lost."""
    from facemask.commands import apply

    if undone := apply.apply(arguments.name):
        print(undone, end="")
    print(f"params, metrics and outputs are those of {arguments.name}; `make back` leaves them")


def check(_: argparse.Namespace) -> None:
    """Look whether params.yaml, and all files and names in it, can work."""
    from facemask.commands import check
    from facemask.settings import loading

    cfg = loading.load(PARAMS)
    root, extra = Path(cfg.data.root), Path(cfg.data.extra)
    for note in check.everything(cfg, root=root, extra=extra, sample=SAMPLE, label_fixes=LABEL_FIXES):
        print(note)
    print("params.yaml: nothing is wrong that can be known before it runs")


def scores(_: argparse.Namespace) -> None:
    """Print the scores as a table, and what to beware of."""
    from facemask.commands import scores

    print(scores.render(scores.changed_stages()))


def report(arguments: argparse.Namespace) -> None:
    """Write report.html: the report stage's page, compared with a baseline, with the run's facts; open it."""
    from facemask.commands import report

    report.write(REPORT, arguments.baseline)
    opened = not arguments.no_browser and report.show(REPORT)
    print(f"{REPORT}{': opened' if opened else ': open it in a browser'}")


def submissions(arguments: argparse.Namespace) -> None:
    """List what was submitted, or write a leaderboard score beside it."""
    from facemask.commands import submissions
    from facemask.ensemble import history
    from facemask.submission import log

    root = Path(history.root())
    if arguments.hash:
        row = log.note(root, arguments.hash, arguments.public, arguments.text)
        print(f"{row['md5'][: log.SHOWN]}: leaderboard {row['public']:g}  {row['note']}".rstrip())
        return
    rows = log.read(root)
    print(submissions.render(rows, len(rows) if arguments.all else submissions.LAST))


def params(_: argparse.Namespace) -> None:
    """Print the reference of all params (docs/params.md)."""
    from facemask.settings import loading, reference

    content = loading.read(PARAMS)[1]
    loading.parse(content, str(PARAMS))
    print(reference.markdown(content), end="")


def lr(arguments: argparse.Namespace) -> None:
    """Find a learning rate for params.yaml: train a few steps while the rate rises, plot the loss."""
    from facemask.commands import rate_curve
    from facemask.network import reader
    from facemask.runtime import launch
    from facemask.settings import loading, recipes
    from facemask.training import rates, sides

    whole = loading.load(PARAMS)
    recipe = launch.view(whole, recipes.Recipe)
    assert isinstance(recipe, recipes.Recipe)
    chosen = sides.rows(recipe, arguments.fold, Path("data/build_manifest"))
    photos = reader.PhotoReader(Path("data/face_crop"), Path("data/background_removal"), recipe.image)
    with sides.opened(recipe, chosen, photos) as opened:
        found = rates.find(recipe, opened.train, opened.unlabelled, seed=whole.seed, steps=arguments.steps)
    rate_curve.draw(found.rates, found.losses, found.suggestion, arguments.plot)
    print(f"the loss falls fastest at {found.suggestion:.2g} (train.lr is {recipe.lr:.2g}); {arguments.plot}")


def weights(arguments: argparse.Namespace) -> None:
    """Fetch pretrained weights by name, or list them."""
    from facemask.commands import weights

    if not arguments.names:
        print("\n".join(weights.listed()))
    for path in weights.fetch(arguments.names):
        print(f"{path}: here, and the one that was meant")


def backbones(arguments: argparse.Namespace) -> None:
    """List timm's networks: parameters, native size, whether weights are here, how fast they are."""
    from facemask.commands import backbones

    asked = backbones.Asked(arguments.filter, arguments.here, arguments.speed, arguments.size)
    for line in backbones.listed(asked):
        print(line, flush=True)


def search(arguments: argparse.Namespace) -> None:
    """Search for better params: each trial is an experiment; the best is judged on people held out."""
    from facemask.commands import search
    from facemask.search import study

    asked = study.Asked(
        arguments.name, arguments.trials, arguments.minutes, arguments.workers, arguments.objective
    )
    print(search.run(arguments.space, asked, lambda line: print(line, flush=True)))


def review(arguments: argparse.Namespace) -> None:
    """Show what looks wrong on a page of this machine, and take decisions on it."""
    from facemask.records.roots import Roots
    from facemask.review import desk, server
    from facemask.settings import loading

    cfg = loading.load(PARAMS)
    where = Roots(Path(cfg.data.root), Path(cfg.data.extra), Path("data/synthesise"))
    files = {"table": Path("data/fix_labels/photos.csv"), "audited": Path("data/audit"), "review": REVIEW}
    lock = Path(".dvc/tmp/review.lock")
    shown = desk.Desk(cfg, where=where, label_fixes=LABEL_FIXES, lock=lock, **files)
    if cfg.fix_labels.trust == "none":
        print("fix_labels.trust is none: what you accept is written, but no run applies it")
    reviewer = arguments.reviewer or server.whoami()
    server.serve(
        shown,
        port=arguments.port,
        reviewer=reviewer,
        told=lambda page: print(f"{page}  (Ctrl+C ends)", flush=True),
    )


def page(_: argparse.Namespace) -> None:
    """Write the template of DVC's plots page that needs no network."""
    from facemask.commands import page

    page.write(PAGE)


def predict(arguments: argparse.Namespace) -> None:
    """Answer photos with the trained model: mask, gender, age band of each face."""
    from facemask.runtime.imports import lean

    with lean():
        from facemask.commands import predict

    form: predict.Form = "json" if arguments.json else "csv" if arguments.csv else "table"
    every = arguments.faces == "all"
    asked = predict.Asked(arguments.photos, arguments.model, arguments.rev, every, form, arguments.save)
    if unreadable := predict.run(asked, lambda line: print(line, flush=True)):
        sys.exit(unreadable)


def export(arguments: argparse.Namespace) -> None:
    """Write the trained model for others: ONNX files, a model card and an example in one folder."""
    from facemask.serving import package

    extras = package.Extras(arguments.folds, arguments.float16, arguments.int8)
    about = package.write(arguments.out, arguments.model, arguments.rev, extras)
    for name, facts in about["files"].items():
        print(f"{arguments.out / name}: {facts['bytes']:,} bytes")
    print(f"answers as torch does to {about['difference_to_torch']:.1g}; README.md is the model card")


def serve(arguments: argparse.Namespace) -> None:
    """Answer photos over HTTP, with a page to try it; on this machine alone unless told otherwise."""
    from facemask.serving import server
    from facemask.serving.loading import load

    model = load(arguments.model, arguments.rev)
    names = arguments.allow_host
    server.serve(
        model, host=arguments.host, port=arguments.port, names=names, told=lambda at: print(at, flush=True)
    )


def cache(_: argparse.Namespace) -> None:
    """Tell how much of the memo is used: results of networks, kept by photo."""
    from rich import filesize

    from facemask.photos import memo

    found = memo.usage()
    width = max((len(one.stage) for one in found), default=0)
    for one in found:
        used = f"{filesize.decimal(one.size)} of at most {filesize.decimal(one.limit)}"
        print(f"{one.stage:{width}}  {one.results} results, {used}")
    if not found:
        print(f"nothing is kept yet in {memo.home()}")


def compare(arguments: argparse.Namespace) -> None:
    """Compare two revisions, experiments or the workspace: whether they differ by more than chance."""
    from facemask.commands import compare
    from facemask.comparison import revisions

    part = revisions.HOLD_OUT if arguments.holdout else revisions.OUT_OF_FOLD
    form: Final = "markdown" if arguments.markdown else "json" if arguments.json else "text"
    first, second, page = arguments.first, arguments.second, arguments.html
    print(compare.run(first, second, arguments.seeds, form=form, page=page, part=part))


def repair(arguments: argparse.Namespace) -> None:
    """Mend a dvc.lock or a lock that a killed DVC left behind; says nothing where nothing is wrong."""
    from facemask.commands import objects, repair

    for line in repair.everything(Path()):
        print(line)
    if arguments.verify:
        print(objects.verify(Path()))


def main() -> None:
    """Run one command; a user's mistake ends in one line and exit code 1."""
    parser = argparse.ArgumentParser(prog="python -m facemask", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for run in (
        preset,
        set_,
        apply,
        check,
        scores,
        compare,
        report,
        search,
        submissions,
        params,
        lr,
        predict,
        export,
        serve,
        weights,
        backbones,
        review,
        page,
        cache,
        repair,
    ):
        name = run.__name__.rstrip("_")
        command = commands.add_parser(name, help=run.__doc__, description=run.__doc__)
        command.set_defaults(run=run)
        options.add(name, command)
    arguments = parser.parse_args()
    try:
        arguments.run(arguments)
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever reads has seen enough; Python would complain once more at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except UserError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    ending.end_quickly()
    main()
    ending.succeed()
