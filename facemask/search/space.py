"""A space of params: ranges and choices by key, read from a file of one's own."""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from facemask.runtime.errors import UserError
from facemask.settings import loading

# Other sections decide who is scored, and by what.
SECTIONS: Final = ("face_crop", "background_removal", "build_manifest.balance", "train", "combine")
_FORMS: Final = "{low: ..., high: ...} with log or step, or {choices: [...]}"


@dataclass(frozen=True)
class Space:
    """What is searched.

    Attributes
    ----------
    params
        Distributions by full key; choices are JSON.
    """

    params: Mapping[str, BaseDistribution]

    def values(self, chosen: Mapping[str, Any]) -> dict[str, Any]:
        """Values by full key, out of what Optuna keeps."""
        return {
            key: json.loads(value) if isinstance(self.params[key], CategoricalDistribution) else value
            for key, value in chosen.items()
        }

    def kept(self, content: Mapping[str, Any]) -> dict[str, Any]:
        """What Optuna would keep of the params ``content``, whether or not that is in the space."""
        found = {key: _at(content, key) for key in self.params}
        return {
            key: _text(value) if isinstance(self.params[key], CategoricalDistribution) else value
            for key, value in found.items()
        }


def read(path: Path, content: Mapping[str, Any]) -> Space:
    """Read a space and try each of its values in the params ``content``.

    Raises
    ------
    UserError
        If the file or a key in it is not what it should be, or a value cannot stand in the params.
    """
    whole = loading.read(path)[1]
    if not isinstance(whole, dict) or set(whole) != {"description", "params"} or not whole["params"]:
        raise UserError(f"{path}: a space has two keys, description and params")
    if not isinstance(whole["params"], dict):
        raise UserError(f"{path}: params: full keys are wanted, such as train.lr, each with {_FORMS}")
    for key in whole["params"]:
        _allowed(path, str(key), whole["params"])
    found = {}
    for key, form in whole["params"].items():
        found[key] = _distribution(f"{path}: {key}", form)
        for value in _extremes(found[key]):
            changed(content, {key: value}, f"{path}: {key}: {_text(value)}")
    return Space(found)


def changed(content: Mapping[str, Any], settings: Mapping[str, Any], origin: str) -> dict[str, Any]:
    """Params with other values at full keys, checked; ``origin`` is named in errors."""
    whole: dict[str, Any] = copy.deepcopy(dict(content))
    for key, value in settings.items():
        *parents, last = key.split(".")
        section: Any = whole
        for part in parents:
            section = section.get(part) if isinstance(section, dict) else None
        if not isinstance(section, dict) or last not in section:
            raise UserError(
                f"{origin}: params.yaml has no {key}; a kind's knobs are there for that kind alone"
            )
        section[last] = value
    loading.parse(whole, origin)
    return whole


def _allowed(path: Path, key: str, every: Mapping[str, Any]) -> None:
    inside = any(f"{key}.".startswith(f"{one}.") for one in SECTIONS)
    if not inside or key in ("train.folds", "train.pool"):
        raise UserError(
            f"{path}: {key} cannot be searched: it decides who is scored; these sections can: {', '.join(SECTIONS)}"
        )
    if above := [other for other in every if key.startswith(f"{other}.")]:
        raise UserError(f"{path}: {key} stands inside {above[0]}, which is searched too; leave one out")


def _distribution(where: str, form: Any) -> BaseDistribution:
    match form:
        case {"choices": [_, _, *_] as choices, **more} if not more:
            return CategoricalDistribution([_text(one) for one in choices])
        case {"low": low, "high": high, **more} if set(more) <= {"log", "step"}:
            numbers = [low, high, *([more["step"]] if "step" in more else [])]
            plain = all(isinstance(one, (int, float)) and not isinstance(one, bool) for one in numbers)
            if (
                not plain
                or not all(map(math.isfinite, numbers))
                or not isinstance(more.get("log", False), bool)
            ):
                raise UserError(f"{where}: low, high and step are numbers, log is true or false")
            try:
                step, log = numbers[2:], bool(more.get("log", False))
                if all(isinstance(one, int) for one in numbers):
                    return IntDistribution(low, high, log, *step)
                return FloatDistribution(float(low), float(high), log, *step)
            except ValueError as error:
                raise UserError(f"{where}: {' '.join(str(error).split())}") from None
    raise UserError(f"{where}: {_FORMS} is wanted, with two choices at least")


def _extremes(one: BaseDistribution) -> Iterator[Any]:
    if isinstance(one, CategoricalDistribution):
        yield from (json.loads(str(choice)) for choice in one.choices)
    elif isinstance(one, (IntDistribution, FloatDistribution)):
        yield from (one.low, one.high)


def _at(content: Mapping[str, Any], key: str) -> Any:
    value: Any = content
    for part in key.split("."):
        value = value[part]
    return value


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False)


def shown(settings: Mapping[str, Any]) -> str:
    """Values by key in a few words."""
    return " ".join(f"{key}={_short(value)}" for key, value in settings.items())


def _short(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, dict) and "kind" in value:
        knobs: Sequence[str] = [f"{name}={_short(one)}" for name, one in value.items() if name != "kind"]
        return f"{value['kind']}({', '.join(knobs)})" if knobs else str(value["kind"])
    return str(value)
