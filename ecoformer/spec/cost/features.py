# SPDX-License-Identifier: Apache-2.0
"""What the LUTs of an engine are for, in bits of adders, of multiplexers and so on.

Every figure follows from the configuration. `ecoformer.spec.cost.estimate` multiplies each by the
LUTs that one of its kind takes, which were fitted to engines that were synthesised.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from functools import singledispatch
from math import lcm
from typing import TYPE_CHECKING

from ecoformer.spec.choices import Weights
from ecoformer.spec.cost.memories import (
    context_memories,
    datapath_memories,
    shared_memories,
)
from ecoformer.spec.dataflows.base import Flow
from ecoformer.spec.dataflows.bucketed import Bucketed
from ecoformer.spec.dataflows.causal import Causal
from ecoformer.spec.dataflows.cross import Cross
from ecoformer.spec.dataflows.linear import LinearFlow
from ecoformer.spec.dataflows.softmax import Softmax
from ecoformer.spec.dataflows.xnor import Xnor
from ecoformer.spec.families.base import Family
from ecoformer.spec.families.hadamard import HadamardHash
from ecoformer.spec.families.projected import ProjectedHash
from ecoformer.spec.families.rbf import KernelHash
from ecoformer.spec.tables import KERNEL_WIDTH

if TYPE_CHECKING:
    from ecoformer.spec.config import Config
    from ecoformer.spec.cost.fabric import Memory
    from ecoformer.spec.folding import Fold

__all__ = ["PRODUCT_BITS", "all_memories", "datapath_features", "features", "word_bits"]

PRODUCT_BITS = {Weights.INT8: 8, Weights.POW2: 6, Weights.TERNARY: 0}
"""Bits by which a product is wider than the element."""


def all_memories(config: Config) -> Iterator[Memory]:
    """Every memory of an engine, as often as there is one of it."""
    yield from shared_memories(config)
    for _ in range(config.engines):
        yield from context_memories(config)
        yield from datapath_memories(config)


def features(config: Config) -> dict[str, float]:
    """Amount of everything that takes LUTs, by name."""
    found: Counter[str] = Counter(base=1)
    for memory in all_memories(config):
        found["distributed RAM"] += memory.luts
        found["distributed RAM, selected bits"] += memory.selected
    found["bus bits"] = 8 * config.bus_bytes
    found["kept bytes"] = config.bus_bytes * config.tkeep
    found["parameter sets"] = config.parameter_sets.bit_length()
    if config.engines > 1:
        found["workers"] = config.engines
        found["worker bits"] = config.engines * word_bits(config)
    one = Counter(_stream(config))
    one.update(datapath_features(config))
    for name, amount in one.items():
        found[name] += config.engines * amount
    return dict(found)


def datapath_features(config: Config) -> dict[str, float]:
    """The same of one datapath, its memories left out: hashes, attention core and quotients."""
    found = Counter(core_features(config.flow))
    found.update(_normaliser(config))
    for _ in config.sides.all:
        found.update(hash_features(config.family))
    return dict(found)


def word_bits(config: Config) -> int:
    """Bits of a word of results, which is a whole number of beats or a whole token."""
    fold = config.flow.state_fold
    block = fold.output_lanes * config.output_element_bytes
    blocks = min(lcm(block, config.bus_bytes) // block, fold.output_steps)
    return blocks * fold.output_lanes * config.output_width


def _stream(config):
    token = config.sides.bits + config.flow.value_bits
    return {
        "token bits": 0 if config.is_serial else token,
        "result bits": word_bits(config),
        "full-rate token bits": token if config.is_full_rate else 0,
    }


def _normaliser(config):
    fold, bits, width = config.flow.state_fold, config.flow.bits, config.output_width
    stages = -(-width // fold.input_steps)
    pair = bits.denominator_width + width
    return {
        "dividend bits": fold.output_lanes * bits.dividend_width,
        "digit bits": fold.output_lanes * stages * bits.denominator_width,
        "held digit bits": fold.output_lanes * stages * pair * (fold.input_steps > 1),
        "quotient bits": fold.output_lanes * width,
    }


@singledispatch
def hash_features(family: Family) -> dict[str, float]:
    """Of the hash of one side; there is none here."""
    return {}


@hash_features.register
def _(family: ProjectedHash) -> dict[str, float]:
    c = family.config
    return {
        "hash": 1,
        **_matrix_vector(family, family.projection_fold, c.token_width,
                         c.flow.bits.projection_width),
    }


@hash_features.register
def _(family: HadamardHash) -> dict[str, float]:
    c, fold = family.config, family.projection_fold
    # An adder of level i is i bits wider than an element.
    width = c.token_width + (fold.levels + 1) / 2
    selects = fold.input_steps > 1 and not c.is_serial
    return {
        "hash": 1,
        "tree bits": fold.butterflies * width,
        "accumulator bits": fold.output_lanes * c.flow.bits.projection_width,
        "selected vector bits": fold.inputs * c.token_width * selects,
    }


@hash_features.register
def _(family: KernelHash) -> dict[str, float]:
    c, dot, bits = family.config, family.dot_fold, family.config.flow.bits
    found: Counter[str] = Counter({"hash": 1, "kernel hash": 1})
    found.update(_matrix_vector(family, dot, c.token_width, bits.dot_width))
    found.update(
        _matrix_vector(family, family.projection_fold, KERNEL_WIDTH, bits.projection_width)
    )
    found["tree bits"] += dot.input_lanes * 2 * c.token_width
    found["kernel lane bits"] = family.kernel_lanes * bits.cosine_width
    found["waiting dot bits"] = dot.output_lanes * bits.dot_width
    found["kernel values"] = c.anchors
    return dict(found)


def _matrix_vector(family: Family, fold: Fold, element: int, width: int) -> dict[str, float]:
    weights = family.config.weights
    bits = fold.lanes * (element + PRODUCT_BITS[weights])
    selects = fold.input_steps > 1 and not family.config.is_serial
    return {
        f"{weights} product bits": bits,
        "tree bits": bits if fold.input_lanes > 1 else 0,
        "accumulator bits": fold.output_lanes * width,
        "selected vector bits": fold.inputs * element * selects,
    }


@singledispatch
def core_features(flow: Flow) -> dict[str, float]:
    """Of the attention core."""
    raise NotImplementedError


@core_features.register
def _(flow: LinearFlow) -> dict[str, float]:
    fold, codes, bits, c = flow.state_fold, flow.code_fold, flow.bits, flow.config
    values = fold.output_lanes * bits.plain_sum_width if flow.sums_values else 0
    # A single finished row is a register; of several, one is chosen.
    chosen = 0 if fold.steps > 1 else (c.state_banks - 2) * fold.lanes * bits.state_width
    return {
        "linear core": 1,
        "accumulator bits": fold.lanes * bits.state_width + codes.lanes * bits.code_sum_width
        + values,
        "signed sum bits": fold.lanes * bits.row_width + codes.lanes * bits.code_sum_width,
        "numerator bits": fold.output_lanes * bits.numerator_width,
        "selected code bits": c.code_bits * (fold.input_steps > 1),
        "shifted value bits": 0 if c.is_serial else flow.value_bits * (fold.output_steps > 1),
        "bank bits": chosen,
        **_own(flow),
        **_kind(flow),
    }


@core_features.register
def _(flow: Bucketed) -> dict[str, float]:
    fold, codes, bits = flow.state_fold, flow.code_fold, flow.bits
    return {
        "tables": 1,
        "entry bits": flow.state_rows << flow.group_bits,
        "table bits": fold.lanes * (2 * bits.plain_sum_width + bits.table_sum_width),
        "accumulator bits": codes.lanes * bits.code_sum_width,
        "signed sum bits": codes.lanes * bits.code_sum_width,
        "tree bits": fold.lanes * bits.table_sum_width,
        "numerator bits": fold.output_lanes * bits.numerator_width,
        "shifted value bits": flow.value_bits * (fold.output_steps > 1),
        **_own(flow),
        **_kind(flow),
    }


@core_features.register
def _(flow: Xnor) -> dict[str, float]:
    bits, c = flow.bits, flow.config
    return {
        "quadratic core": 1,
        "compared bits": c.code_bits,
        "weighted sum bits": c.value_dim * bits.numerator_width + bits.denominator_width,
        **_kind(flow),
    }


@core_features.register
def _(flow: Softmax) -> dict[str, float]:
    bits, c = flow.bits, flow.config
    return {
        "softmax core": 1,
        "tree bits": c.head_dim * 2 * c.token_width,
        "weighted sum bits": c.value_dim * bits.numerator_width + bits.denominator_width,
    }


def _own(flow):
    """The token's own value is chosen from the ring, block by block."""
    return {"own value bits": 0 if flow.sums_values else flow.value_bits}


def _kind(flow):
    return {"contexts": int(flow.has_contexts), "pairs": int(flow.has_pairs)}


@core_features.register(Causal)
def _causal(flow: Causal) -> dict[str, float]:
    return core_features.dispatch(Xnor if isinstance(flow, Xnor) else LinearFlow)(flow)


@core_features.register(Cross)
def _cross(flow: Cross) -> dict[str, float]:
    plain = next(kind for kind in (Bucketed, Xnor, LinearFlow) if isinstance(flow, kind))
    return core_features.dispatch(plain)(flow)
