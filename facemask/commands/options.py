"""Command-line options of each command of ``python -m facemask``."""

from __future__ import annotations

import argparse
from pathlib import Path


def add(name: str, command: argparse.ArgumentParser) -> None:
    """Give the parser of a command its options; some commands have none."""
    if name in _OPTIONS:
        _OPTIONS[name](command)


def _preset(command: argparse.ArgumentParser) -> None:
    command.add_argument("name", nargs="?", help="a file of presets/, without .yaml")
    command.add_argument("--list", action="store_true", help="name and describe all presets")


def _apply(command: argparse.ArgumentParser) -> None:
    command.add_argument("name", help="an experiment, as `dvc exp show` lists them")


def _compare(command: argparse.ArgumentParser) -> None:
    command.add_argument("first", metavar="A", help="a revision or experiment, compared with")
    command.add_argument("second", metavar="B", nargs="?", help="another one; the workspace if left out")
    command.add_argument(
        "--seeds", nargs="+", default=[], metavar="B", help="runs of one recipe, a seed each"
    )
    command.add_argument(
        "--holdout", action="store_true", help="on the people held out, not on those out of fold"
    )
    form = command.add_mutually_exclusive_group()
    form.add_argument("--markdown", action="store_true", help="print Markdown, for a pull request")
    form.add_argument("--json", action="store_true", help="print all numbers")
    command.add_argument(
        "--html", type=Path, metavar="FILE", help="write a page with the photos that flipped"
    )


def _report(command: argparse.ArgumentParser) -> None:
    command.add_argument("--baseline", default="main", metavar="REV", help="git revision or experiment")
    command.add_argument("--no-browser", action="store_true", help="write it only")


def _submissions(command: argparse.ArgumentParser) -> None:
    command.usage = "%(prog)s [--all] | note HASH [--public SCORE] [--text TEXT]"
    command.add_argument("note", nargs="?", choices=["note"], help="write beside a submission")
    command.add_argument("hash", nargs="?", metavar="HASH", help="the beginning of its hash")
    command.add_argument("--public", type=float, metavar="SCORE", help="its leaderboard score, 0 to 1")
    command.add_argument("--text", help="a remark")
    command.add_argument("--all", action="store_true", help="all rows, not the last 20 alone")


def _weights(command: argparse.ArgumentParser) -> None:
    command.add_argument("names", nargs="*", metavar="NAME", help="as in models/weights.yaml")


def _search(command: argparse.ArgumentParser) -> None:
    command.add_argument("space", type=Path, metavar="SPACE.yaml", help="ranges and choices by key")
    command.add_argument("--trials", type=int, default=20, help="in all, beside the start (20)")
    command.add_argument("--minutes", type=float, help="begin no trial after so many")
    command.add_argument("--workers", type=int, default=1, help="trials at once (1)")
    command.add_argument(
        "--objective", choices=("log_loss", "macro_f1"), default="log_loss", help="out-of-fold score"
    )
    command.add_argument("--name", default="", help="of the search; by default that of the file")


def _backbones(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "filter",
        nargs="?",
        default="",
        metavar="FILTER",
        help="part of the name, or a pattern with *",
    )
    command.add_argument("--here", action="store_true", help="only those whose weights are here")
    command.add_argument("--speed", action="store_true", help="measure images a second, forwards")
    command.add_argument(
        "--size",
        type=int,
        nargs=2,
        metavar=("H", "W"),
        help="measure at this size, pixels, not at the native one",
    )


def _set(command: argparse.ArgumentParser) -> None:
    command.usage = "%(prog)s KEY VALUE [knob=value ...] [KEY VALUE ...]"
    command.add_argument("words", nargs="+", metavar="KEY VALUE", help="such as train.loss focal gamma=2")


def _review(command: argparse.ArgumentParser) -> None:
    command.add_argument("--port", type=int, default=8421, help="0 takes one that is free")
    command.add_argument("--reviewer", default="", help="whom the rows name; by default git's user.name")


def _lr(command: argparse.ArgumentParser) -> None:
    command.add_argument("--fold", type=int, default=0, help="whose training side is used")
    command.add_argument("--steps", type=int, default=100, help="optimiser steps")
    command.add_argument("--plot", type=Path, default=Path("lr.png"), help="where the curve is drawn")


def _serve(command: argparse.ArgumentParser) -> None:
    _model(command)
    command.add_argument("--host", default="127.0.0.1", help="address to listen on (127.0.0.1)")
    command.add_argument("--port", type=int, default=8000, help="0 takes one that is free (8000)")
    command.add_argument(
        "--allow-host",
        action="append",
        default=[],
        metavar="NAME",
        help="a name that may be asked for",
    )


def _repair(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--verify", action="store_true", help="also hash all of DVC's cache; remove what is damaged"
    )


def _export(command: argparse.ArgumentParser) -> None:
    _model(command)
    command.add_argument(
        "--out",
        type=Path,
        default=Path("models/export"),
        metavar="DIR",
        help="the folder (models/export)",
    )
    command.add_argument("--folds", action="store_true", help="also one graph a fold")
    command.add_argument("--float16", action="store_true", help="also in half the bytes")
    command.add_argument("--int8", action="store_true", help="also with weights of 8 bits")


def _predict(command: argparse.ArgumentParser) -> None:
    command.epilog = "Ends with code 1 if a photo could not be read; its row says why."
    command.add_argument(
        "photos", nargs="+", metavar="PHOTO", help="a file, a folder, or - for standard input"
    )
    _model(command)
    command.add_argument(
        "--faces", choices=("one", "all"), default="one", help="a photo's person, or every face"
    )
    form = command.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="a line of JSON a face")
    form.add_argument("--csv", action="store_true", help="a table with all 18 probabilities")
    command.add_argument("--save", type=Path, metavar="DIR", help="draw box and answer on copies in DIR")


def _model(command: argparse.ArgumentParser) -> None:
    """Let a command be told which model it uses."""
    command.add_argument(
        "--model",
        type=Path,
        default=Path(),
        metavar="FOLDER",
        help="another project in which the pipeline has run",
    )
    command.add_argument(
        "--rev",
        default="",
        metavar="EXPERIMENT",
        help="an experiment, tag or commit, without checking it out",
    )


_OPTIONS = {
    "preset": _preset,
    "apply": _apply,
    "compare": _compare,
    "report": _report,
    "submissions": _submissions,
    "weights": _weights,
    "search": _search,
    "backbones": _backbones,
    "set": _set,
    "review": _review,
    "lr": _lr,
    "serve": _serve,
    "repair": _repair,
    "export": _export,
    "predict": _predict,
}
