# SPDX-License-Identifier: Apache-2.0
"""How busy an engine is: share of cycles and of lanes, unit by unit."""

from typing import Any

import numpy as np

from ecoformer.spec.config import Config
from ecoformer.spec.units import units

__all__ = ["utilisation"]


def utilisation(
    config: Config, busy: np.ndarray, cycles: tuple[int, int]
) -> dict[str, dict[str, Any]]:
    """Shares of the time and of the lanes.

    Parameters
    ----------
    busy : int array [2, units]
        Cycles in which each unit of `spec.units.units` worked, in all engines: in the run, in
        its steady part.
    cycles : (int, int)
        Length of both.

    Returns
    -------
    dict of str to dict
        For every unit, and for all ``multipliers`` together: ``lanes``, of all engines; ``busy``,
        the share of the run's cycles in which it worked; ``useful``, the share of its lanes' cycles
        that contributed to results; the same for the steady part as ``steady_busy`` and
        ``steady_useful``, None if there is no such part. A lane beyond the edge of its array is
        busy, not useful.
    """
    known = units(config)
    shares = {
        name: _shares(unit, worked, cycles, config.engines)
        for (name, unit), worked in zip(known.items(), busy.T.tolist(), strict=True)
    }
    multipliers = [shares[name] for name, unit in known.items() if unit.multiplies]
    if multipliers:
        shares["multipliers"] = _together(multipliers)
    return shares


def _shares(unit, worked, cycles, engines):
    shares = {"lanes": engines * unit.lanes}
    for prefix, part, length in zip(("", "steady_"), worked, cycles, strict=True):
        share = part / (engines * length) if length else None
        shares[f"{prefix}busy"] = share
        shares[f"{prefix}useful"] = share and share * unit.fill
    return shares


def _together(units):
    """Mean over the lanes of ``units``."""
    lanes = sum(unit["lanes"] for unit in units)
    means = {"lanes": lanes}
    for share in units[0].keys() - {"lanes"}:
        none = units[0][share] is None
        means[share] = None if none else sum(u["lanes"] * u[share] for u in units) / lanes
    return means
