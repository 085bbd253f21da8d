# SPDX-License-Identifier: Apache-2.0
"""The memories of an engine, part by part.

Depths that follow from latencies, of queues of a few words, are rounded to what a distributed RAM
holds. Bits of a parameter that no unit reads are left out, as synthesis does.
"""

from __future__ import annotations

from functools import singledispatch
from math import lcm
from typing import TYPE_CHECKING

from ecoformer.spec.arithmetic import SCALE_WIDTH, SHIFT_WIDTH
from ecoformer.spec.cost.fabric import Memory
from ecoformer.spec.dataflows.base import Flow
from ecoformer.spec.dataflows.bucketed import Bucketed
from ecoformer.spec.dataflows.causal import CausalAccumulate, CausalXnor
from ecoformer.spec.dataflows.cross import CrossBucketed, CrossXnor
from ecoformer.spec.dataflows.linear import LinearFlow
from ecoformer.spec.dataflows.softmax import Softmax
from ecoformer.spec.dataflows.xnor import Xnor
from ecoformer.spec.families.base import Family
from ecoformer.spec.families.rbf import KernelHash
from ecoformer.spec.memory_map import WORD_BITS, MemoryMap
from ecoformer.spec.tables import (
    KERNEL_INDEX_BITS,
    KERNEL_WIDTH,
    ROOT_FRACTION,
    ROOT_INDEX_BITS,
)

if TYPE_CHECKING:
    from ecoformer.spec.config import Config

__all__ = [
    "context_memories", "core_memories", "datapath_memories", "hash_memories", "shared_memories",
]

LEAST_DELAY = 4
"""Cycles from which a delay is a memory."""
SHORT = 16
"""Words of a queue that is as deep as a pipeline is long."""


def shared_memories(config: Config) -> list[Memory]:
    """Those that exist once, however many engines there are."""
    counters = 32 if config.flow.has_pairs else 16
    return [
        Memory("counters", 32, counters),
        Memory("set map", config.parameter_sets.bit_length(), _power(config.parameter_sets)),
    ]


def context_memories(config: Config) -> list[Memory]:
    """What is known of every context where tokens come in."""
    if not config.flow.has_contexts:
        return []
    return [Memory("contexts", config.flow.bits.count_width + 1, _power(config.contexts))]


def datapath_memories(config: Config) -> list[Memory]:
    """Those of one datapath: of its hash on every side, of its core, and beside them."""
    hashes = hash_memories(config.family) * len(config.sides.all)
    return [*_companions(config), *core_memories(config.flow), *hashes]


def _companions(config):
    """Those beside the hash and the core: tokens, scalars and results."""
    c = config
    tag = 2 + c.tuser_width + sum(c.flow.tag_fields.values())
    scalars = MemoryMap(c).regions["scalars"]
    values = c.value_dim * c.value_width
    lanes = c.flow.state_fold.output_lanes
    block = lanes * c.output_element_bytes
    blocks = min(lcm(block, c.bus_bytes) // block, c.flow.state_fold.output_steps)
    words = -(-c.flow.state_fold.output_steps // blocks)
    waiting = -(-(c.cycles_per_token + 2 * SHORT) // c.cycles_per_token) + 2 + c.waiting_tokens
    style = "block" if c.waiting_tokens or c.is_full_rate else ""
    found = [
        Memory("results", blocks * lanes * c.output_width + 1 + tag, waiting * words, style),
        Memory("companions", values, SHORT, "block" if c.is_full_rate else ""),
        Memory("companion scalars", tag + c.flow.bits.offset_width, SHORT),
        Memory("scalars", scalars.row_bits, _slots(c), granule=WORD_BITS),
    ]
    if c.waiting_tokens:
        token = c.sides.bits + values + c.parameter_sets.bit_length() + tag
        found.append(Memory("tokens", token, c.waiting_tokens, "block"))
    return found


@singledispatch
def hash_memories(family: Family) -> list[Memory]:
    """Those of the hash of one side."""
    c = family.config
    found = [
        Memory(
            region.name, region.row_bits, _slots(c) << region.address_bits, "", pitch, used,
            granule=WORD_BITS,
        )
        for region in family.regions
        for pitch, used in [_read(family, region)]
    ]
    return [*found, Memory("codes", family.key_width, SHORT), *_serial(family)]


@hash_memories.register
def _(family: KernelHash) -> list[Memory]:
    table = Memory("kernel", KERNEL_WIDTH, 1 << KERNEL_INDEX_BITS, "rom")
    root = Memory("root", ROOT_FRACTION + 1, 1 << ROOT_INDEX_BITS, "rom")
    waiting = Memory("block of a token", family.dot_fold.input_lanes * family.config.token_width,
                     SHORT)
    plain = hash_memories.dispatch(Family)(family)
    return [*plain, root, *[table] * family.kernel_lanes, waiting, *_serial(family)]


def _read(family, region):
    """Of how many bits of a row a unit reads how many: a threshold is padded, and so is a row."""
    if region.name == "threshold":
        return region.lane_bits, family.config.flow.bits.projection_width
    return region.row_bits, region.lanes * region.lane_bits


def _serial(family):
    """The queue in which elements wait for a single lane."""
    return [Memory("elements", 9, 64)] if family.config.is_serial else []


@singledispatch
def core_memories(flow: Flow) -> list[Memory]:
    """Those of the attention core."""
    raise NotImplementedError


@core_memories.register
def _(flow: LinearFlow) -> list[Memory]:
    return [
        _ring(flow), *_banked(flow, flow.config.state_banks - 1), *_queue_of_values(flow),
        *_delays(flow),
    ]


@core_memories.register
def _(flow: Bucketed) -> list[Memory]:
    c, fold, bits = flow.config, flow.state_fold, flow.bits
    entries = 1 << flow.group_bits
    steps = _power(fold.steps)
    table = fold.output_lanes * bits.plain_sum_width
    sums = fold.output_lanes * bits.table_sum_width
    half = (c.state_banks - 1) * steps * entries // 2 + fold.steps * entries // 2
    return [
        _ring(flow),
        *[Memory("sums by code", table, steps * (entries - 1) + fold.steps)] * 2 * fold.input_lanes,
        *[Memory("transformed", sums, half)] * fold.input_lanes,
        *_banked(flow, c.state_banks, state=False), *_delays(flow),
    ]


@core_memories.register(CrossBucketed)
def _cross_bucketed(flow: CrossBucketed) -> list[Memory]:
    return core_memories.dispatch(Bucketed)(flow)


@core_memories.register
def _(flow: CausalAccumulate) -> list[Memory]:
    c, fold, codes, bits = flow.config, flow.state_fold, flow.code_fold, flow.bits
    found = [
        Memory("code sums", codes.lanes * bits.code_sum_width, c.contexts * codes.steps),
        Memory("state", fold.lanes * bits.state_width, c.contexts * fold.steps),
    ]
    if flow.sums_values:
        width = fold.output_lanes * bits.plain_sum_width
        found.append(Memory("value sums", width, c.contexts * fold.output_steps))
    return found + _delays(flow)


@core_memories.register
def _(flow: Xnor) -> list[Memory]:
    c, depth = flow.config, flow.config.state_banks * _power(flow.config.max_tokens)
    return [  # where queries and keys have the same codes, these are read twice
        Memory("codes", c.family.key_width, depth),
        Memory("queries", c.family.key_width, depth),
        Memory("values", flow.value_bits, depth),
        Memory("values on their way", flow.value_bits, LEAST_DELAY),
    ]


@core_memories.register(CrossXnor)
def _cross_xnor(flow: CrossXnor) -> list[Memory]:
    return core_memories.dispatch(Xnor)(flow)


@core_memories.register(CausalXnor)
def _causal_xnor(flow: CausalXnor) -> list[Memory]:
    c, depth = flow.config, flow.config.contexts * _power(flow.config.max_tokens)
    return [
        Memory("codes", c.family.key_width, depth),
        Memory("values", flow.value_bits, depth),
        Memory("values on their way", flow.value_bits, LEAST_DELAY),
    ]


@core_memories.register
def _(flow: Softmax) -> list[Memory]:
    c, depth = flow.config, _power(flow.config.max_tokens)
    keys = c.family.key_width
    return [
        Memory("scores", flow.bits.score_width, 2 * depth),
        Memory("tokens", keys, c.state_banks * depth),
        *([Memory("queries", keys, c.state_banks * depth)] if len(c.sides.all) > 1 else []),
        Memory("values", flow.value_bits, c.state_banks * depth),
        Memory("kernel", KERNEL_WIDTH, 1 << KERNEL_INDEX_BITS, "rom"),
        Memory("scalars on their way", SHIFT_WIDTH + SCALE_WIDTH, SHORT),
    ]


def _ring(flow):
    waiting = 0 if flow.sums_values else flow.value_bits
    return Memory("ring", flow.config.code_bits + waiting, flow.ring_tokens)


def _banked(flow, finished, *, state=True):
    """Running and finished sums; where a sum is a single row, both are registers."""
    fold, bits = flow.state_fold, flow.bits
    arrays = [("code sums", flow.code_fold.lanes * bits.code_sum_width, flow.code_fold.steps)]
    if state:
        arrays.append(("state", fold.lanes * bits.state_width, fold.steps))
    if flow.sums_values:
        width = fold.output_lanes * bits.plain_sum_width
        arrays.append(("value sums", width, fold.output_steps))
    return [
        memory
        for name, width, depth in arrays if depth > 1
        for memory in (
            Memory(f"running {name}", width, depth),
            Memory(f"finished {name}", width, (finished - 1) * _power(depth) + depth),
        )
    ]


def _delays(flow):
    """Numerators that wait for their denominator, and a part of it that waits for the rest."""
    fold, codes, bits = flow.state_fold, flow.code_fold, flow.bits
    late = codes.steps - fold.input_steps
    return [
        Memory(name, width, depth)
        for name, width, depth in (
            ("numerators", fold.output_lanes * bits.numerator_width, late),
            ("offset term", bits.offset_width + bits.count_width, codes.steps + LEAST_DELAY),
        ) if depth >= LEAST_DELAY
    ]


def _queue_of_values(flow):
    c = flow.config
    return [Memory("values", c.value_width, 2 * c.value_dim)] if c.is_serial else []


def _slots(config):
    return config.parameter_sets + 1


def _power(number):
    """The least power of two that is at least ``number``."""
    return 1 << (number - 1).bit_length()
