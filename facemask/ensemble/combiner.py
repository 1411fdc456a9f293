"""How several (N, 18) tables become one: a vote, weights or stacking, then logit adjustment, then temperature."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, assert_never

import numpy as np
from pydantic import TypeAdapter, ValidationError

from facemask.ensemble import adjustment, temperature
from facemask.ensemble.history import Member
from facemask.records import classes
from facemask.runtime.arrays import Floats
from facemask.runtime.errors import UserError
from facemask.scoring import marginals

# Tables pass through files with six digits; smaller probabilities are not told apart.
SMALLEST = 1e-6
DIGITS = 9


@dataclass(frozen=True)
class Mean:
    """Mean of the tables with ``weights`` (M,), which sum to 1."""

    weights: tuple[float, ...]

    def __call__(self, tables: Floats) -> Floats:
        """Combine (M, N, 18) to (N, 18)."""
        return _distribution(np.tensordot(np.asarray(self.weights), tables, 1))


@dataclass(frozen=True)
class TaskMeans:
    """Means of the tables' answers on ``mask``, ``gender`` and ``age``, with weights (M,) of their own that sum to 1.

    What joins the three is kept from the tables' mean with the mean of these weights.
    """

    mask: tuple[float, ...]
    gender: tuple[float, ...]
    age: tuple[float, ...]

    def __call__(self, tables: Floats) -> Floats:
        """Combine (M, N, 18) to (N, 18)."""
        known = [marginals.likely(table) for table in tables]
        own = [classes.marginals(table) for table in known]
        weights: dict[str, tuple[float, ...]] = {name: getattr(self, name) for name in classes.ATTRIBUTES}
        wanted = {
            name: np.tensordot(np.asarray(weights[name]), np.stack([one[name] for one in own]), 1)
            for name in classes.ATTRIBUTES
        }
        mean = np.tensordot(np.mean(list(weights.values()), axis=0), np.stack(known), 1)
        return marginals.replaced(mean, wanted)


@dataclass(frozen=True)
class Votes:
    """Share of the votes, one a table; mixed with so little of their mean that no vote is ever outweighed."""

    votes: int

    def __call__(self, tables: Floats) -> Floats:
        """Combine (M, N, 18) to (N, 18)."""
        shares = np.eye(classes.COUNT)[tables.argmax(2)].mean(0)
        # Two shares differ by 1/M at least, two means by 1 at most.
        part = 0.1 / (self.votes + 1)
        return _distribution((1 - part) * shares + part * tables.mean(0))


@dataclass(frozen=True)
class Stacker:
    """Logistic regression on log-probabilities.

    Attributes
    ----------
    known
        (C,) classes that the fit saw. The others keep the tables' mean probability.
    coefficients
        (C, M * 18).
    intercepts
        (C,).
    """

    known: tuple[int, ...]
    coefficients: tuple[tuple[float, ...], ...]
    intercepts: tuple[float, ...]

    def __call__(self, tables: Floats) -> Floats:
        """Combine (M, N, 18) to (N, 18)."""
        logits = features(tables) @ np.asarray(self.coefficients).T + np.asarray(self.intercepts)
        odds = np.exp(logits - logits.max(1, keepdims=True))
        out = _distribution(tables.mean(0))
        unknown = np.setdiff1d(np.arange(classes.COUNT), self.known)
        left = np.maximum(1 - out[:, unknown].sum(1, keepdims=True), 0)
        out[:, list(self.known)] = left * odds / odds.sum(1, keepdims=True)
        return _distribution(out)


Rule = Mean | TaskMeans | Votes | Stacker


@dataclass(frozen=True)
class Fitted:
    """What was fitted, in the order in which it is applied.

    Attributes
    ----------
    rule
        How M tables become one.
    tau, prior
        Of the logit adjustment, see :func:`facemask.ensemble.adjustment.adjusted`.
    calibration
        Temperatures; None for none.
    """

    rule: Rule
    tau: float
    prior: tuple[float, ...]
    calibration: temperature.Calibration | None

    def __call__(self, tables: Floats) -> Floats:
        """Combine (M, N, 18) to (N, 18), rows summing to 1."""
        table = adjustment.adjusted(self.rule(tables), np.asarray(self.prior), self.tau)
        return table if self.calibration is None else self.calibration(table)


@dataclass(frozen=True)
class Combiner:
    """All that is needed to combine new tables: this experiment's first, then one a member.

    Attributes
    ----------
    members
        M - 1 past experiments, in the tables' order.
    fitted
        What makes one of the tables.
    eval_photos_used
        Whether this experiment or a member learnt from the eval photos.
    """

    members: tuple[Member, ...]
    fitted: Fitted
    eval_photos_used: bool

    def apply(self, tables: Floats) -> Floats:
        """Combine (M, N, 18) tables to one (N, 18), rows summing to 1.

        Raises
        ------
        ValueError
            If there is not one table for this experiment and one for each member.
        """
        if tables.ndim != 3 or tables.shape[::2] != (len(self.members) + 1, classes.COUNT):
            raise ValueError(f"{tables.shape} tables for {len(self.members)} members and this experiment")
        return self.fitted(tables)

    def to_json(self) -> dict[str, Any]:
        """Plain content for a JSON file; :func:`read` is the inverse."""
        return asdict(self)

    def shares(self) -> list[float | dict[str, float] | None]:
        """Weight of each of the M tables, or its weights by task; None where a table has none (stacking)."""
        count = len(self.members) + 1
        match self.fitted.rule:
            case Mean():
                return list(self.fitted.rule.weights)
            case TaskMeans():
                own = asdict(self.fitted.rule)
                return [{name: own[name][number] for name in own} for number in range(count)]
            case Votes():
                return [round(1 / count, DIGITS)] * count
            case Stacker():
                return [None] * count
            case _:
                assert_never(self.fitted.rule)


def read(path: Path, origin: str | None = None) -> Combiner:
    """Read what ``Combiner.to_json`` gave; errors name ``origin``, or the path.

    Raises
    ------
    UserError
        If the file is missing or not a combiner of this version.
    """
    where, remedy = origin or str(path), "run `dvc repro combine`"
    try:
        return TypeAdapter(Combiner).validate_json(path.read_bytes())
    except FileNotFoundError:
        raise UserError(f"{where}: no such file; {remedy}") from None
    except ValidationError as error:
        told = " ".join(str(error).split())[:200]
        raise UserError(f"{where}: not a combiner of this version: {told}; {remedy}") from None


def features(tables: Floats) -> Floats:
    """Log-probabilities (N, M * 18) of (M, N, 18) tables."""
    return np.concatenate(list(np.log(np.maximum(tables, SMALLEST))), axis=1)


def _distribution(table: Floats) -> Floats:
    return np.asarray(table / table.sum(1, keepdims=True))
