# SPDX-License-Identifier: Apache-2.0
"""LUTs per feature from what was synthesised: not negative, and near what the hardware suggests."""

from collections.abc import Mapping, Sequence

import numpy as np
from scipy.optimize import nnls

__all__ = ["solve"]

STRENGTHS = (0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
"""Of the pull towards what is expected; cross-validation takes one."""
FOLDS = 5


def solve(
    samples: Sequence[Mapping[str, float]],
    counts: Sequence[int],
    expected: Mapping[str, float],
    *,
    parts: Sequence[int] | None = None,
    least: float = 0.0,
) -> dict[str, float]:
    """LUTs per feature, by least squares of relative errors; none is negative.

    Parameters
    ----------
    samples : sequence of dict
        Features of everything that was synthesised.
    counts : sequence of int
        LUTs that it took.
    expected : dict
        LUTs per feature, from the hardware; the coefficients stay near as far as samples allow.
    parts : sequence of int
        To what each sample belongs: cross-validation leaves out whole designs. By default each is
        one of its own.
    least : float
        LUTs that count as one where an error is relative, so that nothing small weighs much.
    """
    names = sorted(expected)
    if unknown := set().union(*samples) - set(names):
        raise ValueError(f"EXPECTED must have every feature, not lack {sorted(unknown)}")
    amounts = np.array([[sample.get(name, 0) for name in names] for sample in samples])
    scale = np.array(counts) + least
    relative, targets = amounts / scale[:, None], np.array(counts) / scale
    start = np.array([expected[name] for name in names])
    index = np.arange(len(samples)) if parts is None else np.array(parts)
    strength = min(STRENGTHS, key=lambda s: _validated(relative, targets, start, s, index % FOLDS))
    return dict(zip(names, map(float, _solve(relative, targets, start, strength))))


def _solve(relative, targets, expected, strength):
    """Coefficients for which ``relative`` adds up to targets, pulled towards what is expected.

    The pull counts in shares of a typical sample, so that large and small features are alike.
    """
    typical = np.maximum(relative.max(axis=0), 1e-9)
    pull = strength * np.diag(typical)
    system = np.vstack([relative, pull])
    return nnls(system, np.concatenate([targets, pull @ expected]))[0]


def _validated(relative, targets, expected, strength, fold):
    """Squared error on samples left out, summed over the folds."""
    total = 0.0
    for part in range(FOLDS):
        seen = fold != part
        found = _solve(relative[seen], targets[seen], expected, strength)
        total += float(((relative[~seen] @ found - targets[~seen]) ** 2).sum())
    return total
