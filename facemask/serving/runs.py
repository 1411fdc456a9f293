"""What a finished run leaves that answering a photo needs: params as they were used, trained folds, combination."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

import yaml
from pydantic import ValidationError

from facemask.ensemble import combiner
from facemask.records import revisions
from facemask.runtime import files
from facemask.runtime.errors import UserError
from facemask.settings import config, mistakes, params

LOCK: Final = Path("dvc.lock")
MODELS: Final = Path("models/train")
COMBINER: Final = Path("data/combine/combiner.json")
_FOLD: Final = ("model.json", "weights.safetensors")
Section = TypeVar("Section", bound=config.Config)


@dataclass(frozen=True)
class Run:
    """A run of the pipeline, as its ``dvc.lock`` tells it: what params.yaml says by now does not matter.

    Attributes
    ----------
    project
        Folder of the project, whose DVC cache holds the experiments that it was combined with.
    folder
        Where its files lie: the project, or a copy of what was asked for.
    revision
        The experiment or commit that was asked for; empty for what lies in the project's folder.
    face_crop, matting, infer
        Its params.
    folds
        Folders of its trained folds.
    combiner
        How its answers, and those of past experiments, become one.
    """

    project: Path
    folder: Path
    revision: str
    face_crop: params.FaceCrop
    matting: params.BackgroundRemoval
    infer: params.Infer
    folds: tuple[Path, ...]
    combiner: combiner.Combiner


@contextlib.contextmanager
def opened(project: Path, revision: str = "", beside: Sequence[Path] = ()) -> Iterator[Run]:
    """Yield a run whose files can be read inside the block.

    Parameters
    ----------
    project
        Folder of a project in which the pipeline has run.
    revision
        An experiment, branch, tag or commit of that project; its files are copied out of git and DVC's cache, and
        nothing is checked out. Empty for what lies in the folder.
    beside
        Further files of the project that are wanted in the run's folder.

    Raises
    ------
    UserError
        If a file is missing, damaged or of another version, or the revision means nothing.
    """
    if not revision:
        yield read(project, project, "")
        return
    if not project.is_dir():
        raise UserError(f"{project}: no such folder; name that of a project")
    with files.scratch("run", project) as folder:
        _copy_out(project, revision, folder, beside)
        yield read(folder, project, revision)


def read(folder: Path, project: Path, revision: str) -> Run:
    """Read a run whose files lie in ``folder``, laid out as in a project; see :func:`opened`."""
    where = f"{project} at {revision}" if revision else str(folder)
    try:
        text = (folder / LOCK).read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):
        if (folder / "model.onnx").exists():
            told = "a folder that export wrote, for use without facemask: its example.py answers; or name the project's"
        else:
            told = f"no {LOCK}, so no finished run; name a project's folder in which `dvc repro` has run"
        raise UserError(f"{where}: {told}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{where}: {LOCK} cannot be read ({error})") from None
    used = _used(text, f"{where}: {LOCK}")
    numbers = _section(used, "train", params.Folds, where)
    return Run(
        project=project,
        folder=folder,
        revision=revision,
        face_crop=_section(used, "face_crop", params.FaceCrop, where),
        matting=_section(used, "background_removal", params.BackgroundRemoval, where),
        infer=_section(used, "infer", params.Infer, where),
        folds=tuple(folder / MODELS / f"fold{number}" for number in numbers.folds),
        combiner=combiner.read(folder / COMBINER),
    )


def _used(text: str, origin: str) -> Mapping[str, Any]:
    """Params by full name, as the stages that answer photos were last run with."""
    try:
        # The lock is DVC's own and plain: no need for the slower reader of params.yaml.
        stages = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))["stages"]
        used: dict[str, Any] = {}
        for stage in ("face_crop", "background_removal", "infer"):
            used |= stages[stage]["params"]["params.yaml"]
    except KeyError as error:
        raise UserError(f"{origin}: nothing about {error}; run `dvc repro`") from None
    except (yaml.YAMLError, TypeError, AttributeError) as error:
        told = " ".join(str(error).split())[:120]
        raise UserError(f"{origin}: not a lock file of DVC ({told}); run `dvc repro`") from None
    return used


def _section(used: Mapping[str, Any], name: str, kind: type[Section], where: str) -> Section:
    """Join the keys of a section, which DVC lists whole or one by one."""
    whole = dict(used.get(name, {}))
    whole |= {key.split(".", 1)[1]: value for key, value in used.items() if key.startswith(f"{name}.")}
    try:
        return kind.model_validate_json(json.dumps(whole))
    except ValidationError as error:
        told = mistakes.tell(error.errors(include_url=False), whole)
        raise UserError(
            f"{where}: {name} in {LOCK} is of another version of facemask: {told}; run `dvc repro` with this one"
        ) from None


def _copy_out(project: Path, revision: str, folder: Path, beside: Sequence[Path]) -> None:
    """Copy what :func:`read` reads, as it was at a revision, into ``folder``."""
    # DVC takes a second to import.
    from dvc.exceptions import DvcException
    from dvc.scm import RevError, SCMError
    from dvc_data.index import DataIndexDirError

    where = f"{project} at {revision}"
    try:
        read_file = revisions.opened(project, revision)
        with files.replacing(folder / LOCK) as temporary:
            temporary.write_bytes(read_file(LOCK))
        used = _used((folder / LOCK).read_text(encoding="utf-8"), f"{where}: {LOCK}")
        wanted = [COMBINER, *beside]
        for number in _section(used, "train", params.Folds, where).folds:
            wanted += [MODELS / f"fold{number}" / name for name in _FOLD]
        for path in wanted:
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(read_file(path))
    except RevError as error:
        raise UserError(f"{project}: {error}; `dvc exp show` lists the experiments") from None
    except DataIndexDirError as error:
        raise UserError(f"{where}: {_lost(error, revision)}") from None
    except FileNotFoundError as error:
        raise UserError(f"{where}: {_lost(error, revision)}") from None
    except (DvcException, SCMError) as error:
        raise UserError(f"{where}: {' '.join(str(error).split())}; it has to be a DVC project") from None


def _lost(error: Exception, revision: str) -> str:
    told = " ".join(str(error).split())[:160]
    return f"{told}: not there, or not in DVC's cache; `dvc fetch --rev {revision}` or run it anew"
