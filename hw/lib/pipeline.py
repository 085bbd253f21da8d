# SPDX-License-Identifier: Apache-2.0
"""Building blocks of pipelines that never stall: delays, adder trees, block selection."""

from functools import reduce
from operator import or_

from amaranth import *
from amaranth.hdl import ValueLike
from amaranth.lib import memory

__all__ = [
    "adder_tree",
    "below",
    "block_of",
    "delay",
    "delays",
    "register",
    "shift_right",
    "times",
    "signed_tree",
    "tree_latency",
]

LONG_DELAY = 4
"""Delays of at least this many cycles use a memory instead of a register chain."""


def register(m: Module, value: ValueLike, *, name: str) -> Signal:
    """``value`` one cycle later, without reset: for data with a separate valid bit."""
    q = Signal(Value.cast(value).shape(), name=name, reset_less=True)
    m.d.sync += q.eq(value)
    return q


def delay(m: Module, value: ValueLike, cycles: int, *, name: str, reset: bool = False) -> Value:
    """``value`` after ``cycles`` clock cycles.

    Parameters
    ----------
    m : Module
    value : Value
    cycles : int
    name : str
        Stem of the registers' names; unique within ``m``.
    reset : bool
        Clear the chain on reset, as strobes need. Data needs no reset and may use a memory.
    """
    value = Value.cast(value)
    if cycles >= LONG_DELAY and not reset and len(value) > 0:
        return _memory_delay(m, value, cycles, name=name)
    return delays(m, value, cycles, name=name, reset=reset)[-1]


def delays(
    m: Module, value: ValueLike, cycles: int, *, name: str, reset: bool = False
) -> list[Value]:
    """``value`` after 0, 1, … ``cycles`` clock cycles, each in a register. See :func:`delay`."""
    chain = [Value.cast(value)]
    for stage in range(cycles):
        q = Signal(chain[0].shape(), name=f"{name}_{stage + 1}", reset_less=not reset)
        m.d.sync += q.eq(chain[-1])
        chain.append(q)
    return chain


def _memory_delay(m, value, cycles, *, name):
    shape = value.shape()
    depth = cycles - 1  # the synchronous read port adds the last cycle
    line = memory.Memory(shape=unsigned(len(value)), depth=depth, init=[])
    m.submodules[f"{name}_line"] = line
    write = line.write_port()
    read = line.read_port()
    index = Signal(range(depth), name=f"{name}_index")
    result = Signal(shape, name=f"{name}_{cycles}")
    m.d.sync += index.eq(Mux(index == depth - 1, 0, index + 1))
    m.d.comb += [
        write.addr.eq(index),
        write.data.eq(value),
        write.en.eq(1),
        read.addr.eq(index),
        result.eq(read.data),
    ]
    return result


def below(value: ValueLike, limit: int) -> Value:
    """Whether ``value`` is less than a constant.

    Compares only as many bits as the constant has: the carry chain would otherwise be as long as
    ``value``.
    """
    low = (limit - 1).bit_length()
    fits = ~value[low:].any()
    return fits if limit == 1 << low else fits & (value[:low] < limit)


def block_of(value: ValueLike, chosen: Value, width: int) -> Value:
    """Block of ``width`` bits of ``value`` selected by the one-hot ``chosen``; combinational.

    ``value`` is padded with zeros. An and-or of all blocks: with ``chosen`` in a register this is
    the shortest path from a step to its block.
    """
    count = -(-len(value) // width)
    if count == 1:
        return Cat(value, Const(0, width - len(value)))
    padded = Cat(value, Const(0, count * width - len(value)))
    blocks = (padded[i * width : (i + 1) * width] for i in range(count))
    return reduce(or_, (block & chosen[i].replicate(width) for i, block in enumerate(blocks)))


def shift_right(
    m: Module, value: ValueLike, amount: Value, width: int, *, name: str
) -> Value:
    """Low ``width`` bits of ``value >> amount``, signed, in two cycles: coarse, then fine."""
    fine = (len(amount) + 1) // 2
    coarse = register(m, value >> Cat(C(0, fine), amount[fine:]), name=f"{name}_coarse")
    rest = register(m, amount[:fine], name=f"{name}_fine")
    return register(m, (coarse >> rest)[:width].as_signed(), name=name)


def times(value: ValueLike, constant: int) -> Value:
    """``value`` times a positive constant, as a sum: a multiplier block would be wasted on it."""
    value = Value.cast(value)
    shifts = [value << bit for bit in range(constant.bit_length()) if constant >> bit & 1]
    return _pairwise(shifts)


def tree_latency(terms: int, fanin: int = 2) -> int:
    """Cycles of :func:`adder_tree`; at least one, so that a tree always ends in a register."""
    levels = 1
    while terms > fanin:
        terms = -(-terms // fanin)
        levels += 1
    return levels


def adder_tree(m: Module, terms: list, *, name: str, fanin: int = 2) -> Value:
    """Sum of ``terms``, registered after every addition; full precision.

    With a fan-in of two there is one carry chain between two registers; four suits single bits.
    Latency: ``tree_latency(len(terms), fanin)`` cycles, one sum per cycle.
    """
    terms = list(terms)
    for level in range(tree_latency(len(terms), fanin)):
        groups = [terms[i : i + fanin] for i in range(0, len(terms), fanin)]
        terms = [
            register(m, _pairwise(group), name=f"{name}_{level}_{i}")
            for i, group in enumerate(groups)
        ]
    return terms[0]


def signed_tree(m: Module, terms: list, ones: list, *, name: str) -> tuple[Value, Value]:
    """Sum of ``terms`` and as many ``ones``, except for one of the ones.

    -p is ~p + 1. A tree of n inverted terms has n - 1 adders, each of which takes one such 1 as its
    carry in; the last is left to the adder behind the tree. Latency: same as :func:`adder_tree`.

    Returns
    -------
    (Value, Value)
        The sum, and the 1 that it lacks, in the same cycle.
    """
    terms, ones = list(terms), list(ones)
    for level in range(tree_latency(len(terms))):
        pairs = list(zip(terms[::2], terms[1::2]))
        carries, ones = ones[: len(pairs)], ones[len(pairs) :]
        sums = [
            # The carry never needs another bit: even two extreme values leave room for 1.
            (a + b + carry)[: len(a + b)].as_signed()
            for (a, b), carry in zip(pairs, carries, strict=True)
        ]
        terms = [
            register(m, total, name=f"{name}_{level}_{i}")
            for i, total in enumerate([*sums, *terms[2 * len(pairs) :]])
        ]
        ones = [register(m, one, name=f"{name}_one_{level}_{i}") for i, one in enumerate(ones)]
    return terms[0], ones[0]


def _pairwise(terms):
    while len(terms) > 1:
        pairs = [a + b for a, b in zip(terms[::2], terms[1::2])]
        terms = pairs + terms[2 * len(pairs) :]
    return terms[0]
