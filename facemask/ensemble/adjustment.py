"""Logit adjustment after training: answers for classes of equal weight from a network trained on unequal ones.

References
----------
Menon, A. K., Jayasumana, S., Rawat, A. S., Jain, H., Veit, A., and Kumar, S. (2021). Long-tail learning via logit
adjustment. ICLR. https://arxiv.org/abs/2007.07314 (section 4.1, post-hoc).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from facemask.runtime.arrays import Floats
from facemask.scoring import metrics


def adjusted(table: Floats, prior: Floats, tau: float) -> Floats:
    """Divide probabilities by ``prior ** tau`` and let rows sum to 1 again.

    Parameters
    ----------
    table
        (N, K), rows summing to 1.
    prior
        (K,) class frequencies of the training labels, summing to 1. A class that never occurred counts as half as
        frequent as the rarest one that did.
    tau
        0 changes nothing; 1 is the paper's; more favours rare classes further, less than 0 the frequent ones.

    Returns
    -------
    (N, K), rows summing to 1.
    """
    if tau == 0:
        return table
    known = np.where(prior > 0, prior, prior[prior > 0].min() / 2)
    # In logarithms, and against the largest: no row can then overflow or vanish.
    with np.errstate(divide="ignore"):
        logits = np.log(table) - tau * np.log(known)
    odds = np.exp(logits - logits.max(1, keepdims=True))
    return np.asarray(odds / odds.sum(1, keepdims=True))


def best_tau(table: Floats, official: npt.NDArray[np.int64], prior: Floats, taus: Sequence[float]) -> float:
    """Return the one of ``taus`` with the best macro-F1; of equally good ones that nearest to 0.

    Parameters
    ----------
    table, prior
        As for :func:`adjusted`.
    official
        (N,) true classes.
    """

    def worth(tau: float) -> float:
        return metrics.score(adjusted(table, prior, tau), official)["macro_f1"]

    return max(sorted(taus, key=lambda tau: (abs(tau), tau)), key=worth)
