# SPDX-License-Identifier: Apache-2.0
"""The configuration: one frozen, validated dataclass, read from the ``[engine]`` table of a TOML.

Every other package asks this class for shapes. It holds fields and rules; what follows from them
is answered by its parts: the hash family, the dataflow, folds, wire and capacity.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from operator import attrgetter
from pathlib import Path
from typing import Any, Self

from ecoformer.spec.capacity import Capacity
from ecoformer.spec.checks import check_number, check_switch
from ecoformer.spec.choices import CHOICES, Dataflow, Hash, Mask, Queries, ValueTerm, Weights
from ecoformer.spec.config_file import read_table
from ecoformer.spec.dataflows import Flow, flow_class
from ecoformer.spec.families import FAMILIES, Family
from ecoformer.spec.folds import Folds
from ecoformer.spec.sides import Sides
from ecoformer.spec.wire import Wire

__all__ = ["Config", "RANGES", "SWITCHES", "BIT_DEFINING", "ADDED", "GOALS"]

RANGES = {
    "head_dim": (1, 128),
    "value_dim": (1, 128),
    "code_bits": (1, 128),
    "anchors": (1, 128),
    "token_width": (4, 8),
    "value_width": (4, 8),
    "output_width": (4, 24),
    "output_fraction": (0, 12),
    "offset_fraction": (0, 8),
    "max_tokens": (1, 65_536),
    "cycles_per_token": (1, 1_024),
    "engines": (1, 16),
    "state_banks": (2, 8),
    "contexts": (1, 4_096),
    "parameter_sets": (1, 256),
    "bus_bytes": (1, 512),
    "tuser_width": (0, 16),
    "next_set_depth": (0, 1_024),
    "target_tokens_per_second": (0, 1_000_000_000),
    "clock_mhz": (1, 1_000),
}
"""Smallest and largest value of every numeric field."""

SWITCHES = ("tkeep", "error_low")
"""Fields that are true or false; `CHOICES` has the others."""

DEFAULT_CYCLES_PER_TOKEN = 16
_DERIVED: Any = None
"""Default of a field that follows from others."""

BIT_DEFINING = (
    "head_dim", "value_dim", "code_bits", "hash", "weights", "anchors", "token_width",
    "value_width", "output_width", "output_fraction", "offset_fraction", "value_term", "mask",
    "queries",
)
"""Fields on which the result bits depend; rate, banks and bus do not change a single bit."""

SAME_IMAGE = {Queries.CROSS: Queries.SEPARATE}
"""Queries whose parameter images are those of others."""

ADDED = {
    "engines": 1, "queries": Queries.SHARED, "contexts": 1, "tkeep": False, "error_low": False,
    "next_set_depth": 0,
}
"""Fields that came later, and the value with which an engine is the one it was without them."""

GOALS = ("target_tokens_per_second", "clock_mhz")
"""Fields that only choose or check others: engines that differ in them alone are the same."""


def _part(path: str) -> Any:
    """Property that answers what a part of the configuration does."""
    return property(attrgetter(path), doc=f"Same as ``{path}``.")


@dataclass(frozen=True, kw_only=True)
class Config:
    """Shape of one attention engine.

    Parameters
    ----------
    head_dim, value_dim : int
        Elements per query and per key (D), and per value (E), 1…128.
    code_bits : int
        Length b of the binary code, 1…128.
    hash : Hash
        Hash family. ``rbf``: the kernelized hash of the paper. ``linear``: sign(W·x - t), without
        a multiplier where the weights need none. ``hadamard``: a random rotation by additions,
        without weights. ``codes``: the host sends the codes. ``none``: the
        tokens themselves, for softmax attention; then nothing depends on ``code_bits``.
    weights : Weights
        What anchors and projections may hold (`spec.weights`); always loadable at run time.
    anchors : int
        Support samples m of the kernel, 1…128; only ``rbf`` has them.
    token_width, value_width : int
        Signed bits of one element of x, or of q and k, and of v, 4…8.
    output_width, output_fraction : int
        Signed bits of one output element, 4…24, and how many of them are fraction, 0…12.
    offset_fraction : int
        Fraction bits g of the attention offset c, 0…8.
    value_term : ValueTerm
        What the offset multiplies in the numerator: the ``sum`` of all values (paper), or the
        token's ``own`` value (released code).
    mask : Mask
        ``full``: every token attends to every token of its packet. ``causal``: to itself and to
        those before it in its context, which packets continue; its answer waits for no other.
    queries : Queries
        ``shared`` (paper): one vector of a token, x, is query and key. ``separate``: a token has a
        vector q and a vector k, hashed in the same k cycles with parameters of their own.
        ``cross``: q comes on a second stream, in packets of as many tokens as you like, each of
        which queries the packet of k and v with the same number.
    dataflow : Dataflow
        ``accumulate`` (linear in N), ``bucketed`` (the same with tables that groups of code bits
        address) or ``xnor`` (quadratic: one pair of tokens per cycle).
        ``softmax``, with ``hash = "none"`` only: the baseline of all comparisons.
    max_tokens : int
        Longest sequence, or context, 1…65,536; what must be kept of it fits the block RAM of an
        LFE5U-85F.
    cycles_per_token : int
        Folding k, a power of two 1…1,024: one token enters every k cycles. By default it follows
        from the target, or is 16 without one.
    engines : int
        Packets worked on at once, 1…16, each at one token every k cycles. They share the ports, so
        a token's beats must fit that often in k cycles.
    state_banks : int
        Sequences that may be accumulated or queried at the same time, 2…8; a causal mask needs
        none.
    contexts : int
        Contexts whose states are resident, 1…4,096; more than one with a causal mask only.
    parameter_sets : int
        Resident parameter sets (heads × layers), 1…256.
    bus_bytes : int
        Bytes per beat of both AXI4-Stream ports, 1…512; a token's beats must fit in k cycles, for
        every one of ``engines``.
    tuser_width : int
        Bits of ``s_axis_tuser`` that select the parameter set, 0…16: enough for every set. With 0
        there is no such pin, and register NEXT_SET selects the set.
    next_set_depth : int
        Sets that may wait in a queue behind NEXT_SET, 0…1,024, one for each packet to come. With 0
        NEXT_SET is a plain register. A queue needs ``tuser_width`` 0.
    tkeep : bool
        Whether both AXI4-Stream ports have ``tkeep``: the bytes of a token are data, its padding is
        null bytes, and a packet of any other is bad.
    error_low : bool
        Whether the error bit of ``m_axis_tuser`` is bit 0, below the set, instead of above it.
    target_tokens_per_second : int
        Tokens·heads per second that the engine must sustain, 0…1,000,000,000; k is the largest that
        does. 0 sets no target.
    clock_mhz : int
        Clock frequency for which the target is meant, 1…1,000.

    Members
    -------
    family : Family
        What the hash needs.
    sides : Sides
        Queries and keys.
    flow : Flow
        What the attention core needs.
    folds : Folds
        Folded units of both.
    wire : Wire
        Bytes and beats of a token.
    capacity : Capacity
        Buffers for the longest sequence.

    Raises
    ------
    TypeError, ValueError
        A value has the wrong type or breaks the rule named in the message.
    """

    head_dim: int = 32
    value_dim: int = 32
    code_bits: int = 16
    hash: Hash = Hash.RBF
    weights: Weights = Weights.INT8
    anchors: int = 25
    token_width: int = 8
    value_width: int = 8
    output_width: int = 16
    output_fraction: int = 8
    offset_fraction: int = 0
    value_term: ValueTerm = ValueTerm.SUM
    mask: Mask = Mask.FULL
    queries: Queries = Queries.SHARED
    dataflow: Dataflow = Dataflow.ACCUMULATE
    max_tokens: int = 1_024
    cycles_per_token: int = _DERIVED
    engines: int = 1
    state_banks: int = 2
    contexts: int = 1
    parameter_sets: int = 8
    bus_bytes: int = 8
    tuser_width: int = 8
    next_set_depth: int = 0
    tkeep: bool = False
    error_low: bool = False
    target_tokens_per_second: int = 0
    clock_mhz: int = 100

    def __post_init__(self) -> None:
        for name in (*GOALS, "engines"):  # the folding follows from them
            check_number(name, getattr(self, name), int, *RANGES[name])
        wanted = self._wanted_cycles
        if self.cycles_per_token is None:
            object.__setattr__(self, "cycles_per_token", wanted or DEFAULT_CYCLES_PER_TOKEN)
        for name, ends in RANGES.items():
            check_number(name, getattr(self, name), int, *ends)
        for name in SWITCHES:
            check_switch(name, getattr(self, name))
        for name, choices in CHOICES.items():
            object.__setattr__(self, name, choices.parse(name, getattr(self, name)))
        self._check_cycles(wanted)
        self.flow.check()
        self.wire.check()
        if self.tuser_width and self.parameter_sets > 1 << self.tuser_width:
            raise ValueError(
                f"tuser_width must be 0 or name each of {self.parameter_sets} parameter sets, "
                f"which takes {(self.parameter_sets - 1).bit_length()} bits, not {self.tuser_width}"
            )
        if self.next_set_depth and self.tuser_width:
            raise ValueError(
                f"next_set_depth must be 0 with tuser_width = {self.tuser_width}, whose pin names "
                f"the set of every packet, not {self.next_set_depth}"
            )
        if self.family.gives_codes != self.flow.takes_codes:
            raise ValueError(
                f"dataflow must be 'softmax' with hash = 'none' and with no other, not "
                f"{self.dataflow!r} with {self.hash!r}"
            )
        self.folds.check()
        self.capacity.check()

    @property
    def _wanted_cycles(self) -> int | None:
        """The largest folding with which all engines reach the target, None without one."""
        target, clock = self.target_tokens_per_second, 1_000_000 * self.clock_mhz
        if not target:
            return None
        if target > clock:
            raise ValueError(
                f"target_tokens_per_second must be at most one per cycle of clock_mhz = "
                f"{self.clock_mhz}, not {target}"
            )
        slowest = self.engines * clock // target
        return min(1 << (slowest.bit_length() - 1), RANGES["cycles_per_token"][1])

    def _check_cycles(self, wanted: int | None) -> None:
        k = self.cycles_per_token
        if k & (k - 1):
            raise ValueError(f"cycles_per_token must be a power of two, not {k}")
        if wanted not in (None, k):
            raise ValueError(
                f"cycles_per_token must be {wanted} with target_tokens_per_second = "
                f"{self.target_tokens_per_second} and clock_mhz = {self.clock_mhz}, not {k}; "
                "leave one of them out"
            )

    # -- parts -----------------------------------------------------------------------------------

    @cached_property
    def family(self) -> Family:
        """What the hash family needs."""
        return FAMILIES[self.hash](self)

    @cached_property
    def sides(self) -> Sides:
        """Queries and keys."""
        return Sides(self)

    @cached_property
    def flow(self) -> Flow:
        """What the attention core needs."""
        return flow_class(self.dataflow, self.mask, self.queries)(self)

    @cached_property
    def folds(self) -> Folds:
        """Folded units, and what their folding amounts to."""
        return Folds(self)

    @cached_property
    def wire(self) -> Wire:
        """Bytes and beats of a token."""
        return Wire(self)

    @cached_property
    def capacity(self) -> Capacity:
        """Buffers for the longest sequence."""
        return Capacity(self)

    dot_fold = _part("family.dot_fold")
    projection_fold = _part("family.projection_fold")
    hash_folds = _part("family.folds")
    key_width = _part("family.key_width")
    key_elements = _part("family.key_elements")
    key_bytes = _part("family.key_bytes")
    state_fold = _part("flow.state_fold")
    code_fold = _part("flow.code_fold")
    group_bits = _part("flow.group_bits")
    table_latency = _part("flow.table_latency")
    transform_cycles = _part("flow.transform_cycles")
    ring_tokens = _part("flow.ring_tokens")
    is_full_rate = _part("folds.is_full_rate")
    is_serial = _part("folds.is_serial")
    steady_cycles = _part("folds.steady_cycles")
    token_bytes = _part("wire.token_bytes")
    output_element_bytes = _part("wire.output_element_bytes")
    input_beats = _part("wire.input_beats")
    output_beats = _part("wire.output_beats")
    host_streams = _part("wire.host_streams")
    waiting_tokens = _part("capacity.waiting_tokens")
    buffer_bits = _part("capacity.buffer_bits")

    # -- identity --------------------------------------------------------------------------------

    @property
    def fingerprint(self) -> str:
        """SHA-256 of every field but the :data:`GOALS`: which engine this is."""
        return _digest({n: v for n, v in asdict(self).items() if n not in GOALS})

    @property
    def bits_fingerprint(self) -> str:
        """SHA-256 of the fields that define result bits: which parameter images fit."""
        values = {name: getattr(self, name) for name in BIT_DEFINING}
        return _digest(values | {"queries": SAME_IMAGE.get(self.queries, self.queries)})

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read the ``[engine]`` table of the TOML file ``path``.

        Raises
        ------
        EcoformerError
            The file cannot be read or a key or value is refused; names file and key.
        """
        return read_table(path, "engine", cls)

    def as_toml(self) -> str:
        """Text of a configuration file that loads to an equal ``Config``."""
        lines = [f"{f.name} = {json.dumps(getattr(self, f.name))}" for f in fields(self)]
        return "\n".join(["[engine]", *lines, ""])


def _digest(values):
    values = {name: value for name, value in values.items() if ADDED.get(name) != value}
    text = json.dumps(values, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
