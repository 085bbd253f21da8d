# SPDX-License-Identifier: Apache-2.0
"""The estimate of an engine: cells, block RAM, multipliers and rate on an ECP5.

Block RAM and multipliers follow from rules. Cells, as packed for place and route, are a sum of
`ecoformer.spec.cost.features`, each times a number that was fitted to synthesised engines and lies
in ``coefficients.json``, with the error on engines that the fit did not see.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

from ecoformer.errors import EcoformerError
from ecoformer.spec.cost.fabric import multipliers
from ecoformer.spec.cost.features import all_memories, features
from ecoformer.spec.units import units

if TYPE_CHECKING:
    from ecoformer.spec.config import Config

__all__ = [
    "COEFFICIENTS", "Estimate", "cells", "datapath_multipliers", "estimate", "fastest", "lacking",
    "luts_of", "model",
]

COEFFICIENTS = "coefficients.json"
"""LUTs per feature; written by ``make fit-estimate``."""


ADDRESS_BITS = 8
"""A context's first address is a product; one of fewer bits is made of LUTs."""


@dataclass(frozen=True)
class Estimate:
    """What an engine takes of an ECP5, and how fast it is.

    Parameters
    ----------
    cells : int
        TRELLIS_COMB after packing.
    cells_error : float
        Largest relative error of ``cells`` on engines that were not used for the fit.
    block_ram, dsp : int
        DP16KD and MULT18X18D.
    cycles_per_token : float
        Of all engines together, as long as each has a packet. Exact for dataflows linear in N; for
        the others what a token of a sequence of ``max_tokens`` takes, at most.
    clock_mhz : float
        That is assumed, not estimated.
    tokens_per_second : float
    """

    cells: int
    cells_error: float
    block_ram: int
    dsp: int
    cycles_per_token: float
    clock_mhz: float
    tokens_per_second: float

    def as_dict(self) -> dict[str, float]:
        """JSON-ready values."""
        return asdict(self)

    @property
    def resources(self) -> dict[str, int]:
        """What must fit a part; cells as many as they may be."""
        return {
            "LUT": round(self.cells * (1 + self.cells_error)), "DSP": self.dsp,
            "block RAM": self.block_ram,
        }


@cache
def model() -> dict:
    """``luts``: LUTs per feature; ``largest_error``: on engines that the fit did not see."""
    return json.loads(files("ecoformer.spec.cost").joinpath(COEFFICIENTS).read_text("utf-8"))


def cells(config: Config, luts: Mapping[str, float] | None = None) -> float:
    """Cells of an engine, with these LUTs per feature or those of the `model`."""
    return luts_of(features(config), luts)


def luts_of(amounts: Mapping[str, float], luts: Mapping[str, float] | None = None) -> float:
    """LUTs of features, with these of each or those of the `model`."""
    luts = model()["luts"] if luts is None else luts
    return sum(luts.get(name, 0.0) * amount for name, amount in amounts.items())


def estimate(config: Config, clock_mhz: float | None = None) -> Estimate:
    """The estimate of an engine at a clock; the configuration's ``clock_mhz`` by default."""
    clock = config.clock_mhz if clock_mhz is None else clock_mhz
    flow = config.flow
    cycles = config.steady_cycles
    if not flow.is_linear:
        cycles = flow.query_cycles(config.max_tokens) / config.engines
    return Estimate(
        cells=round(cells(config)),
        cells_error=model()["largest_error"],
        block_ram=sum(memory.blocks for memory in all_memories(config)),
        dsp=_multipliers(config),
        cycles_per_token=cycles,
        clock_mhz=clock,
        tokens_per_second=clock * 1e6 / cycles,
    )


def fastest(config: Config, capacity: Mapping[str, int], part: str) -> Config:
    """``config`` with the fewest cycles per token whose estimate fits a part.

    Parameters
    ----------
    capacity : dict of str to int
        LUTs, multipliers and block RAM of the part, as ``LUT``, ``DSP`` and ``block RAM``.
    part : str
        What to call it.

    Raises
    ------
    EcoformerError
        No folding fits; says what the smallest lacks.
    """
    smallest = None
    for exponent in range(11):
        try:
            folded = replace(
                config, cycles_per_token=1 << exponent, target_tokens_per_second=0
            )
        except ValueError:  # more lanes, or beats of a token, than such a rate allows
            continue
        needed = estimate(folded).resources
        if all(number <= capacity[name] for name, number in needed.items()):
            return folded
        smallest = needed
    raise EcoformerError(
        f"{part}: too small for any cycles_per_token, the slowest takes about "
        f"{lacking(smallest or {}, capacity)}; choose a larger part, or fewer code_bits, "
        "value_dim, parameter_sets or max_tokens"
    )


def lacking(needed: Mapping[str, int], capacity: Mapping[str, int]) -> str:
    """What is needed of everything of which a part has too little, in words."""
    return ", ".join(
        f"{number:,} {name} of {capacity[name]:,}"
        for name, number in needed.items() if number > capacity[name]
    )


def datapath_multipliers(config: Config) -> int:
    """Multipliers of one datapath."""
    return _lane_multipliers(config) + _address_products(config)


def _multipliers(config):
    return config.engines * _lane_multipliers(config) + _address_products(config)


def _lane_multipliers(config):
    """Lanes that multiply; an offset times a sum of values may take two blocks."""
    total = 0
    for name, unit in units(config).items():
        widths = (18, 18)
        if name == "offset_products":
            widths = config.flow.bits.offset_width + 1, config.flow.bits.plain_sum_width
        total += unit.multiplies * unit.lanes * multipliers(*widths)
    return total


def _address_products(config):
    """Multipliers by which the rows of a context are found, where they are not a power of two."""
    if config.contexts == 1:
        return 0
    rows = [
        memory.depth for memory in all_memories(config)
        if memory.name in ("state", "code sums", "value sums")
    ]
    return sum(
        (depth // config.contexts).bit_count() > 1 and (depth - 1).bit_length() >= ADDRESS_BITS
        for depth in rows
    )
