"""What a combination of tables learns from out-of-fold answers, and what it is worth there.

It is scored by cross-fitting: the combined row of a photo comes from a fit that saw no photo of its fold.

References
----------
Wolpert, D. H. (1992). Stacked generalization. Neural Networks 5 (2), 241-259.
Breiman, L. (1996). Stacked regressions. Machine Learning 24, 49-64: weights that are not negative, fitted on
predictions for rows that the members did not see.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import assert_never

import numpy as np
import numpy.typing as npt

from facemask.ensemble import adjustment, combiner, temperature
from facemask.records import classes
from facemask.runtime.arrays import Floats, Ints
from facemask.runtime.errors import UserError
from facemask.scoring import metrics
from facemask.settings import params, recipes

GROUPS = 5


def fit(
    cfg: params.Combine, tables: Floats, official: Ints, fold: Ints, person: Ints, prior: Floats
) -> combiner.Fitted:
    """Fit the rule, the tau of the logit adjustment and the temperature.

    Parameters
    ----------
    tables
        (M, N, 18) out-of-fold tables, rows summing to 1.
    official
        (N,) true classes.
    fold, person
        (N,) whose photos belong together: tau and temperature are tuned on cross-fitted rows.
    prior
        (18,) class frequencies of the training labels.

    Raises
    ------
    UserError
        If there are too few people or classes to fit.
    """
    rule = _rule(cfg, tables, official)
    # What a rule says of rows that it was fitted on flatters it, and would misplace what is fitted after it.
    honest = (
        _crossed(tables, fold, person, lambda rest: _rule(cfg, tables[:, rest], official[rest]))
        if _is_fitted(cfg) and _follows(cfg)
        else rule(tables)
    )
    tau = _tau(cfg, honest, official, prior)
    calibration = temperature.fit(cfg.calibrate, adjustment.adjusted(honest, prior, tau), official, person)
    return combiner.Fitted(rule, tau, tuple(prior.tolist()), calibration)


def cross_fitted(
    cfg: params.Combine, tables: Floats, official: Ints, fold: Ints, person: Ints, prior: Floats
) -> Floats:
    """Combine out-of-fold tables to (N, 18), each fold's rows by what was fitted on the other folds.

    With a single fold, its people are dealt into five groups that take the folds' place. Parameters and errors are
    those of :func:`fit`.
    """
    if not _is_fitted(cfg) and not _follows(cfg):
        return fit(cfg, tables, official, fold, person, prior)(tables)
    return _crossed(
        tables,
        fold,
        person,
        lambda rest: fit(cfg, tables[:, rest], official[rest], fold[rest], person[rest], prior),
    )


def _crossed(
    tables: Floats,
    fold: Ints,
    person: Ints,
    of_the_rest: Callable[[npt.NDArray[np.bool_]], Callable[[Floats], Floats]],
) -> Floats:
    out = np.empty(tables.shape[1:])
    for ours in _groups(fold, person):
        out[ours] = of_the_rest(~ours)(tables[:, ours])
    return out


def _groups(fold: Ints, person: Ints) -> Iterator[npt.NDArray[np.bool_]]:
    """Masks (N,) of rows that are combined by a fit on all others."""
    numbers = np.unique(fold)
    if len(numbers) > 1:
        yield from (fold == number for number in numbers)
        return
    people = len(np.unique(person))
    if people < 2:
        raise UserError(
            "combine: out-of-fold photos of one person alone: nothing can be fitted; set how to soft, adjust and "
            "calibrate to none"
        )
    # Here and below: scikit-learn and scipy take a second to import, and the plain mean fits nothing.
    from sklearn.model_selection import GroupKFold

    for _, rows in GroupKFold(min(GROUPS, people)).split(person, groups=person):
        ours = np.zeros(len(person), dtype=np.bool_)
        ours[rows] = True
        yield ours


def _is_fitted(cfg: params.Combine) -> bool:
    """Whether the rule looks at the true classes, so that its score needs cross-fitting."""
    return isinstance(cfg.how, params.WeightedVote | params.PerTaskVote | params.Stacking)


def _follows(cfg: params.Combine) -> bool:
    """Whether what follows the rule looks at the true classes."""
    return isinstance(cfg.adjust, params.AdjustTuned) or not isinstance(cfg.calibrate, recipes.Nothing)


def _tau(cfg: params.Combine, table: Floats, official: Ints, prior: Floats) -> float:
    match cfg.adjust:
        case recipes.Nothing():
            return 0.0
        case params.AdjustFixed():
            return cfg.adjust.tau
        case params.AdjustTuned():
            return adjustment.best_tau(table, official, prior, cfg.adjust.taus)
        case _:
            assert_never(cfg.adjust)


def _rule(cfg: params.Combine, tables: Floats, official: Ints) -> combiner.Rule:
    count = len(tables)
    match cfg.how:
        case params.SoftVote():
            return combiner.Mean((1 / count,) * count)
        case params.HardVote():
            return combiner.Votes(count)
        case params.WeightedVote():
            return combiner.Mean(_weights(tables, official))
        case params.PerTaskVote():
            true, own = metrics.truths(official), [classes.marginals(table) for table in tables]
            return combiner.TaskMeans(
                **{
                    name: _weights(np.stack([one[name] for one in own]), true[name])
                    for name in classes.ATTRIBUTES
                }
            )
        case params.Stacking():
            return _stacker(tables, official, cfg.how.c)
        case _:
            assert_never(cfg.how)


def _weights(tables: Floats, official: Ints) -> tuple[float, ...]:
    """Weights on the simplex with the least log-loss, a convex problem."""
    from scipy.optimize import minimize

    count = len(tables)
    right = np.maximum(tables[:, np.arange(len(official)), official], combiner.SMALLEST)

    def loss(weights: Floats) -> tuple[float, Floats]:
        mixed = np.maximum(weights @ right, combiner.SMALLEST)
        return float(-np.log(mixed).mean()), -(right / mixed).mean(1)

    found = minimize(
        loss,
        np.full(count, 1 / count),
        jac=True,
        method="SLSQP",
        bounds=[(0, 1)] * count,
        constraints={"type": "eq", "fun": lambda w: w.sum() - 1, "jac": lambda w: np.ones_like(w)},
        options={"maxiter": 500, "ftol": 1e-10},
    )
    weights = np.clip(found.x, 0, 1)
    return tuple(_rounded(weights / weights.sum()))


def _stacker(tables: Floats, official: Ints, c: float) -> combiner.Stacker:
    if len(np.unique(official)) < 2:
        raise UserError("combine.how: stacking needs out-of-fold photos of two classes; set it to soft")
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    features = combiner.features(tables)
    scale = StandardScaler().fit(features)
    model = LogisticRegression(C=c, max_iter=5000).fit(scale.transform(features), official)
    rows, intercepts = model.coef_, model.intercept_
    if len(model.classes_) == 2:
        # With two classes scikit-learn gives one row, for the second.
        rows, intercepts = np.concatenate([-rows, rows]) / 2, np.concatenate([-intercepts, intercepts]) / 2
    plain = rows / scale.scale_
    return combiner.Stacker(
        known=tuple(int(k) for k in model.classes_),
        coefficients=tuple(tuple(_rounded(row)) for row in plain),
        intercepts=tuple(_rounded(intercepts - plain @ scale.mean_)),
    )


def _rounded(values: Floats) -> list[float]:
    return [round(float(value), combiner.DIGITS) for value in values]
