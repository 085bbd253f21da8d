# SPDX-License-Identifier: Apache-2.0
"""The units of an engine: how much of each exists, and how much of that one token needs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ecoformer.spec.config import Config
    from ecoformer.spec.folding import Fold

__all__ = ["Unit", "core_units", "hash_units", "normaliser_units", "units"]


@dataclass(frozen=True)
class Unit:
    """A unit, and its work on one token; on one pair of tokens in a quadratic core.

    Parameters
    ----------
    lanes : int
        Lanes that work in parallel.
    steps : int
        Cycles in which the unit works.
    work : int
        Lane-cycles of useful work. Less than ``lanes · steps`` where a fold leaves a remainder:
        lanes beyond the edge of the array idle in the last block.
    multiplies : bool
        Whether a lane is a multiplier.
    """

    lanes: int
    steps: int
    work: int
    multiplies: bool = False

    @classmethod
    def of(cls, fold: Fold, *, multiplies: bool = False) -> Unit:
        """The unit that works through ``fold``."""
        return cls(fold.lanes, fold.steps, fold.inputs * fold.outputs, multiplies)

    @property
    def fill(self) -> float:
        """Share of the lanes with useful work in an average step."""
        return self.work / (self.lanes * self.steps)


def units(config: Config) -> dict[str, Unit]:
    """Every unit of the engine by name, along the path of a token."""
    return {**hash_units(config), **core_units(config), **normaliser_units(config)}


def hash_units(config: Config) -> dict[str, Unit]:
    """The units of the hash family, on every side."""
    return config.sides.named(config.family.units)


def core_units(config: Config) -> dict[str, Unit]:
    """The units of the attention core."""
    return config.flow.units


def normaliser_units(config: Config) -> dict[str, Unit]:
    """The digits of the quotients: a lane makes one per cycle."""
    fold, digits = config.flow.state_fold, config.output_width
    stages = -(-digits // fold.input_steps)
    return {
        "quotient_digits": Unit(
            fold.output_lanes * stages,
            fold.output_steps * min(fold.input_steps, digits),
            config.value_dim * digits,
        )
    }
