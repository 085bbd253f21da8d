# SPDX-License-Identifier: Apache-2.0
"""How a configuration is spread over its cycles per token."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ecoformer.spec.config import Config
    from ecoformer.spec.folding import Fold

__all__ = ["Folds", "MAX_LANES"]

MAX_LANES = 2_048
"""Most lanes of one kind in all engines together."""
SERIAL_ELEMENTS = 8
"""Elements from which a vector takes less area in a memory than in registers."""


class Folds:
    """Every folded unit of an engine, and what their folding amounts to.

    Parameters
    ----------
    config : Config
    """

    def __init__(self, config: Config):
        self.config = config

    @property
    def all(self) -> dict[str, Fold]:
        """Every fold that costs lanes, by what the lanes compute."""
        return {"accumulate lanes": self.config.flow.state_fold, **self.config.family.folds}

    @property
    def steady_cycles(self) -> float:
        """Cycles per token of all engines together, as long as each has a packet."""
        c = self.config
        return c.cycles_per_token / c.engines if c.engines > 1 else c.cycles_per_token

    @property
    def is_full_rate(self) -> bool:
        """Whether a token enters every cycle, so that no unit spends several on one."""
        return self.config.cycles_per_token == 1

    @property
    def is_serial(self) -> bool:
        """Whether every unit has one lane and a beat is an element, so that none needs a vector.

        Tokens then stay in memory and are read element by element. A short vector is better kept
        in registers.
        """
        c = self.config
        return (
            bool(c.family.folds)
            and c.flow.is_elementwise
            and c.bus_bytes == c.engines == 1
            and min(c.head_dim, c.value_dim) >= SERIAL_ELEMENTS
            and all(fold.lanes == 1 for fold in self.all.values())
        )

    def check(self) -> None:
        """Refuse more than :data:`MAX_LANES` lanes of one kind (ValueError)."""
        c = self.config
        for what, fold in self.all.items():
            lanes = c.engines * fold.lanes
            if lanes > MAX_LANES:
                raise ValueError(
                    f"cycles_per_token must leave at most {MAX_LANES} {what} per cycle, "
                    f"not {lanes} at {c.cycles_per_token}; double it"
                )
