# SPDX-License-Identifier: Apache-2.0
"""The estimate of a network: cells, block RAM, multipliers and rate on an ECP5, layer by layer.

Block RAM and multipliers follow from rules. Cells are a sum of the features of all layers, each
times a number that was fitted to the layers of synthesised networks and lies in
``coefficients.json``, with the error on whole networks that the fit did not see. The attention's
datapaths have the cells that they have in an engine.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from functools import cache
from importlib.resources import files

from ecoformer.errors import EcoformerError
from ecoformer.spec.cost.estimate import lacking, luts_of
from ecoformer.spec.cost.network.pipeline import layers
from ecoformer.spec.network.decoder import LEAST_ENGINE_CYCLES, DecoderDesign
from ecoformer.spec.network.load import Design

__all__ = [
    "COEFFICIENTS", "LayerEstimate", "NetworkEstimate", "estimate_network", "fastest_network",
    "network_cells", "network_model",
]

COEFFICIENTS = "coefficients.json"
"""LUTs per feature; written by ``make fit-estimate``."""


@dataclass(frozen=True)
class LayerEstimate:
    """What a layer takes: ``cells`` as mapped, ``dsp`` and ``block_ram`` as `NetworkEstimate`."""

    name: str
    cells: int
    dsp: int
    block_ram: int


@dataclass(frozen=True)
class NetworkEstimate:
    """What a network takes of an ECP5, and how fast it is.

    Parameters
    ----------
    cells : int
        TRELLIS_COMB after packing.
    cells_error : float
        Largest relative error of ``cells`` on networks that were not used for the fit.
    block_ram, dsp : int
        DP16KD and MULT18X18D.
    cycles_per_token : float
        From a token to the next where many follow each other. Exact for dataflows linear in N; for
        the others what a token of an image takes, at most.
    tokens_per_packet : int
        Tokens of an image; 1 of a decoder.
    clock_mhz : float
        That is assumed, not estimated.
    packets_per_second : float
        Images, or tokens of a decoder.
    layers : tuple of LayerEstimate
        Along the path of a token.
    """

    cells: int
    cells_error: float
    block_ram: int
    dsp: int
    cycles_per_token: float
    tokens_per_packet: int
    clock_mhz: float
    packets_per_second: float
    layers: tuple[LayerEstimate, ...]

    def as_dict(self) -> dict:
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
def network_model() -> dict:
    """``luts``: LUTs per feature; ``largest_error``: on networks that the fit did not see."""
    folder = files("ecoformer.spec.cost.network")
    return json.loads(folder.joinpath(COEFFICIENTS).read_text("utf-8"))


def network_cells(design: Design, luts: Mapping[str, float] | None = None) -> dict[str, float]:
    """Cells of every layer by name, with these LUTs per feature or those of the `network_model`."""
    luts = network_model()["luts"] if luts is None else luts
    return {layer.name: luts_of(layer.features, luts) for layer in layers(design)}


def _of_layers(design):
    """`LayerEstimate` of every layer; blocks behind the second are like it."""
    found: dict[str, LayerEstimate] = {}
    luts = network_model()["luts"]
    for layer in layers(design):
        like = re.sub(r"^blocks\.\d+", "blocks.1", layer.name)
        if like in found and not layer.name.startswith("blocks.0."):
            found[layer.name] = replace(found[like], name=layer.name)
        else:
            cells = round(luts_of(layer.features, luts))
            found[layer.name] = LayerEstimate(layer.name, cells, layer.dsp, layer.block_ram)
    return tuple(found.values())


def estimate_network(design: Design, clock_mhz: float | None = None) -> NetworkEstimate:
    """The estimate of a network at a clock; the ``clock_mhz`` of its ``[engine]`` by default."""
    clock = design.attention.clock_mhz if clock_mhz is None else clock_mhz
    found = _of_layers(design)
    flow, tokens = design.engine.flow, 1 if isinstance(design, DecoderDesign) else design.tokens
    cycles = max(design.steady_cycles, design.passes * flow.query_cycles(design.tokens))
    return NetworkEstimate(
        cells=sum(layer.cells for layer in found),
        cells_error=network_model()["largest_error"],
        block_ram=sum(layer.block_ram for layer in found),
        dsp=sum(layer.dsp for layer in found),
        cycles_per_token=cycles,
        tokens_per_packet=tokens,
        clock_mhz=clock,
        packets_per_second=clock * 1e6 / (cycles * tokens),
        layers=found,
    )


def fastest_network(design: Design, capacity: Mapping[str, int], part: str) -> Design:
    """``design`` with the fewest cycles per token whose estimate fits a part.

    Powers of two come first, and then every other network between the first of these that fits and
    half of it. The heads of a decoder stay as fast as they are where they fit, else they are as
    slow as it takes.

    Parameters
    ----------
    capacity : dict of str to int
        LUTs, multipliers and block RAM of the part, as ``LUT``, ``DSP`` and ``block RAM``.
    part : str
        What to call it.

    Raises
    ------
    EcoformerError
        No rate fits; says what the slowest lacks.
    """
    least, most = design.ranges["cycles_per_token"]
    needed: dict[str, int] = {}
    for exponent in range(least.bit_length() - 1, most.bit_length()):
        for made in _at_rate(design, 1 << exponent):
            needed = estimate_network(made).resources
            if not lacking(needed, capacity):
                return _fastest_above(design, made, capacity)
    raise EcoformerError(
        f"{part}: too small for any cycles_per_token, the slowest takes about "
        f"{lacking(needed, capacity)}; choose a larger part, or fewer width, hidden, depth, heads, "
        "code_bits or contexts"
    )


def _fastest_above(design, fastest, capacity):
    """The fastest that fits of those with more than half of the cycles of ``fastest``, which does.
    """
    least = k = fastest.cycles_per_token
    least //= 2
    while k > least:
        k = _fewest_cycles(design, k, least + 1)
        fits = (
            made for made in _at_rate(design, k)
            if not lacking(estimate_network(made).resources, capacity)
        )
        fastest = next(fits, fastest)
        k -= 1
    return fastest


def _fewest_cycles(design, k, least):
    """The fewest cycles, at least ``least``, of the network that there is with ``k``."""
    kind = _lanes(design, k)
    low, high = least, k
    while kind is not None and low < high:  # with more cycles, no layer has more lanes
        middle = (low + high) // 2
        if _lanes(design, middle) == kind:
            high = middle
        else:
            low = middle + 1
    return high


def _lanes(design, k):
    """All lanes of the network with ``k`` cycles; None where there is no such network."""
    made = next(_at_rate(design, k), None)
    if made is None:
        return None
    folds = (made.fold(name) for name in made.linears)
    lanes = [(fold.input_lanes, fold.output_lanes) for fold in folds]
    return made.lanes, made.engine.cycles_per_token, lanes


def _at_rate(design: Design, k: int) -> Iterator[Design]:
    """``design`` with ``k`` cycles per token; of a decoder with ever slower heads."""
    attention = design.attention
    while True:
        try:
            made = replace(design, cycles_per_token=k, attention=attention)
        except ValueError:  # a vector is longer than such a rate allows
            return
        yield made
        heads = 2 * max(attention.cycles_per_token, LEAST_ENGINE_CYCLES // 2)
        if not isinstance(design, DecoderDesign) or heads > k:
            return
        attention = replace(attention, cycles_per_token=heads, target_tokens_per_second=0)
