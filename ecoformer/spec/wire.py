# SPDX-License-Identifier: Apache-2.0
"""The AXI4-Stream ports: how tokens become beats and beats become results."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from ecoformer.spec.host_streams import HostStreams
from ecoformer.spec.sides import Side, Vectors

if TYPE_CHECKING:
    from ecoformer.spec.config import Config

__all__ = [
    "STALLS", "Inlet", "Wire", "keeps", "pack_outputs", "pack_packet", "pack_sequence",
    "unpack_sequence",
]

NEXT_SET_BITS = 32
"""Bits of register NEXT_SET."""
STALLS = (0.0, 0.95)
"""Least and greatest probability of a gap or of back-pressure with which benches run."""


class Inlet(Vectors):
    """An input stream, and what a token on it is made of.

    Parameters
    ----------
    config : Config
    bus : str
        What the names of its pins begin with.
    sides : tuple of Side
        Whose vectors a token has.
    value_elements : int
        Elements of its value; 0 where tokens have none.
    """

    def __init__(self, config: Config, bus: str, sides: tuple[Side, ...], value_elements: int):
        super().__init__(config, sides)
        self.bus, self.value_elements = bus, value_elements

    @property
    def token_bytes(self) -> int:
        """Bytes of one token: its vectors or their codes, then v, each element a whole byte."""
        return self.bytes + self.value_elements

    @property
    def token_bits(self) -> int:
        """Bits of one token, padding aside."""
        return self.bits + self.value_elements * self.config.value_width

    @property
    def beats(self) -> int:
        """Beats of one token."""
        return -(-self.token_bytes // self.config.bus_bytes)


class Wire:
    """Bytes and beats of one token on the ports.

    Parameters
    ----------
    config : Config
    """

    def __init__(self, config: Config):
        self.config = config

    @cached_property
    def inlets(self) -> tuple[Inlet, ...]:
        """The input streams: ``s_axis``, and where queries come by themselves ``s_axis_q``."""
        c = self.config
        if not c.flow.has_pairs:
            return (Inlet(c, "s_axis", c.sides.all, c.value_dim),)
        return (
            Inlet(c, "s_axis", (c.sides.key,), c.value_dim),
            Inlet(c, "s_axis_q", (c.sides.query,), 0),
        )

    @property
    def token_bytes(self) -> int:
        """Bytes of one token on ``s_axis``: x or its code, then v, each element a whole byte.

        With separate queries q and k, or the codes of both, take the place of x; with queries of
        their own stream k does.
        """
        return self.inlets[0].token_bytes

    @property
    def output_element_bytes(self) -> int:
        """Bytes of one output element on ``m_axis``."""
        return -(-self.config.output_width // 8)

    @property
    def output_bytes(self) -> int:
        """Bytes of one result token on ``m_axis``, without its padding."""
        return self.config.value_dim * self.output_element_bytes

    @property
    def input_beats(self) -> int:
        """Beats of one token on ``s_axis``."""
        return self.inlets[0].beats

    @property
    def output_beats(self) -> int:
        """Beats of one token on ``m_axis``."""
        return -(-self.output_bytes // self.config.bus_bytes)

    # -- beside the data ---------------------------------------------------------------------------

    @property
    def begin_bits(self) -> int:
        """Bits above a set's number that say whether a packet begins its context: one, or none."""
        return int(self.config.flow.has_contexts)

    @property
    def set_bits(self) -> int:
        """Bits of the set's number, in ``s_axis_tuser`` or NEXT_SET."""
        return self.config.tuser_width or NEXT_SET_BITS - self.begin_bits

    @property
    def set_ports(self) -> tuple[str, ...]:
        """Whether a packet waits for its set: ``selected``, or nothing where it never does."""
        return ("selected",) if self.config.next_set_depth else ()

    @property
    def s_tuser_width(self) -> int:
        """Bits of ``s_axis_tuser``; 0 where there is no such pin."""
        return self.config.tuser_width and self.config.tuser_width + self.begin_bits

    @property
    def m_tuser_width(self) -> int:
        """Bits of ``m_axis_tuser``: the set's number and the error bit."""
        return self.config.tuser_width + 1

    @property
    def m_tuser_fields(self) -> tuple[str, str]:
        """What ``m_axis_tuser`` holds, from its lowest bit: ``user``, the set, and ``error``."""
        return ("error", "user") if self.config.error_low else ("user", "error")

    @property
    def error_bit(self) -> int:
        """Bit of ``m_axis_tuser`` that says that a packet was bad."""
        return 0 if self.config.error_low else self.config.tuser_width

    def m_tuser(self, user: int, error: bool) -> int:
        """Value of ``m_axis_tuser`` for a packet of set ``user``; 0 without ``s_axis_tuser``."""
        return user << int(self.config.error_low) | int(error) << self.error_bit

    def answered_set(self, m_tuser: Any) -> Any:
        """The set in a value of ``m_axis_tuser``, int or array; 0 without ``s_axis_tuser``."""
        return m_tuser >> int(self.config.error_low) & (1 << self.config.tuser_width) - 1

    @property
    def host_streams(self) -> HostStreams:
        """The streams as a host link knows them."""
        c = self.config
        return HostStreams(c.bus_bytes, c.bus_bytes, c.tuser_width, self.m_tuser_fields)

    @property
    def keep_fields(self) -> dict[str, int]:
        """Fields of a beat that tell data from null bytes, and their bits: one, or none."""
        return {"keep": self.config.bus_bytes} if self.config.tkeep else {}

    @property
    def tid_width(self) -> int:
        """Bits of ``s_axis_tid`` and ``m_axis_tid``; 0 where there are no such pins."""
        return (self.config.contexts - 1).bit_length()

    def check(self) -> None:
        """Refuse a token's beats if they do not fit its cycles, for every engine (ValueError)."""
        c, k = self.config, self.config.cycles_per_token
        lookup = c.flow.lookup_cycles
        inputs = [("input", inlet.beats) for inlet in self.inlets]
        for what, beats in (*inputs, ("output", self.output_beats)):
            if beats > k:
                raise ValueError(
                    f"bus_bytes must carry a token's {what} in cycles_per_token = {k} beats, "
                    f"not in {beats} beats of {c.bus_bytes} bytes"
                )
            if what == "input" and beats + lookup > k:
                raise ValueError(
                    f"bus_bytes must carry a token's input in {k - lookup} beats with mask = "
                    f"{c.mask!r} and cycles_per_token = {k}, because a packet's first beat waits "
                    f"{lookup} cycles for its context, not in {beats} beats of {c.bus_bytes} bytes"
                )
            if c.engines * beats > k:
                raise ValueError(
                    f"engines must be at most {k // beats}, because each asks for a token's "
                    f"{what}, {beats} beats of {c.bus_bytes} bytes, every cycles_per_token = "
                    f"{k} cycles, not {c.engines}"
                )


def keeps(config: Config, token_bytes: int, beats: int) -> np.ndarray:
    """Which bytes of a packet are data, and which are null: ``tkeep``, bool [beats, bus_bytes].

    A token's bytes are data, and its padding is null bytes.

    Parameters
    ----------
    token_bytes : int
        `Wire.token_bytes` or `Wire.output_bytes`.
    beats : int
        Of the packet; it may end within a token.
    """
    every = -(-token_bytes // config.bus_bytes)
    token = np.arange(every * config.bus_bytes) < token_bytes
    return np.resize(token.reshape(every, config.bus_bytes), (beats, config.bus_bytes))


def pack_sequence(config: Config, tokens: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Beats of one input packet.

    A token starts on a new beat. Its elements follow, x then v, each sign-extended to a byte, low
    element first, zero-padded to whole beats. With ``hash = "codes"`` the code replaces x: one bit
    per element, 1 for +1, least significant first, zero-padded to whole bytes. With separate
    queries there are q and k, in this order, instead of x.

    Parameters
    ----------
    tokens : int array [N, D]
        Or ±1 [N, b] with ``hash = "codes"``; q and k side by side with separate queries.
    values : int array [N, E]

    Returns
    -------
    uint8 array [N · input_beats, bus_bytes]
    """
    return pack_packet(config.wire.inlets[0], tokens, values)


def pack_packet(inlet: Inlet, tokens: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Beats of a packet on any inlet, as :func:`pack_sequence` those of ``s_axis``.

    Parameters
    ----------
    tokens : int array [N, inlet.elements]
    values : int array [N, inlet.value_elements]

    Returns
    -------
    uint8 array [N · inlet.beats, bus_bytes]
    """
    values = np.asarray(values).astype(np.int8).view(np.uint8)
    fields = np.concatenate([inlet.pack(tokens), values], axis=1)
    return _to_beats(inlet.config, fields, inlet.beats)


def pack_outputs(config: Config, outputs: np.ndarray) -> np.ndarray:
    """Beats of one output packet of ``outputs`` (int array [N, E]); uint8 [beats, bus_bytes]."""
    width = config.wire.output_element_bytes
    words = np.ascontiguousarray(outputs, dtype="<i8").view(np.uint8)
    words = words.reshape(len(outputs), config.value_dim, 8)[:, :, :width]
    words = words.reshape(len(outputs), config.value_dim * width)
    return _to_beats(config, words, config.wire.output_beats)


def unpack_sequence(config: Config, beats: np.ndarray) -> np.ndarray:
    """Results of one output packet.

    Parameters
    ----------
    beats : uint8 array [N · output_beats, bus_bytes]

    Returns
    -------
    int64 array [N, E]
    """
    width = config.wire.output_element_bytes
    count = len(beats) // config.wire.output_beats
    used = np.reshape(beats, (count, config.wire.output_beats * config.bus_bytes))
    used = used[:, : config.value_dim * width]
    used = used.reshape(count, config.value_dim, width).astype(np.int64)
    unsigned = (used << (8 * np.arange(width, dtype=np.int64))).sum(axis=2)
    return unsigned - ((unsigned >> (8 * width - 1)) << (8 * width))


def _to_beats(config, token_bytes, beats):
    padded = np.zeros((len(token_bytes), beats * config.bus_bytes), dtype=np.uint8)
    padded[:, : token_bytes.shape[1]] = token_bytes
    return padded.reshape(-1, config.bus_bytes)
