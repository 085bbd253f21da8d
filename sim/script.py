# SPDX-License-Identifier: Apache-2.0
"""Scripts of a bench: what happens at the pins of an engine from one reset to the next."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ecoformer.sim.contexts import FRESH, Asked
from ecoformer.sim.rows import to_rows
from ecoformer.spec.config import Config
from ecoformer.spec.parameters import ParameterImage
from ecoformer.spec.registers import REGISTERS, Register
from ecoformer.spec.wire import Inlet, keeps, pack_packet

__all__ = [
    "Packet", "Event", "Await", "Drain", "Gate", "Press", "Write", "Read", "Burst", "Load", "Level",
    "Scene", "abort", "poll",
]


@dataclass(frozen=True, kw_only=True, eq=False)
class Packet:
    """One packet to send, good or bad.

    Parameters
    ----------
    user : int
        Parameter set it asks for.
    tokens, values : int64 array [N, D], [N, E]
        Its whole tokens.
    beats : uint8 array [n, row]
        Rows (`sim.rows`), as many as there are; a bad packet may end within a token, be too long,
        or have null bytes where there are none.
    asked : Asked
        Its context, and whether it begins it.
    partner : Packet
        The packet of queries that it makes a pair with, where queries come by themselves.
    """

    user: int
    tokens: np.ndarray
    values: np.ndarray
    beats: np.ndarray
    asked: Asked = FRESH
    partner: Packet | None = None

    @classmethod
    def of(
        cls,
        config: Config,
        user: int,
        tokens: np.ndarray,
        values: np.ndarray,
        asked: Asked = FRESH,
        *,
        inlet: Inlet | None = None,
        beats: int | None = None,
        partner: Packet | None = None,
    ) -> Packet:
        """The packet of a sequence.

        Parameters
        ----------
        inlet : Inlet
            On which it is sent; ``s_axis`` by default.
        beats : int
            Beats of the packet, if it is to have others than its tokens: it is cut off, or goes on
            with the same tokens from the first.
        """
        inlet = inlet or config.wire.inlets[0]
        every = inlet.beats
        count = len(tokens) * every if beats is None else beats
        again = np.arange(-(-count // every)) % len(tokens)
        tokens, values = tokens[again], values[again]
        whole = count // every
        packed = pack_packet(inlet, tokens, values)[:count]
        return cls(
            user=user, tokens=tokens[:whole], values=values[:whole], asked=asked,
            beats=to_rows(config, packed, keeps(config, inlet.token_bytes, count)),
            partner=partner,
        )

    @classmethod
    def of_queries(
        cls, config: Config, user: int, queries: np.ndarray, *, beats: int | None = None
    ) -> Packet:
        """The packet of queries that come by themselves; parameters are those of :meth:`of`."""
        none = np.zeros((len(queries), 0), np.int64)
        return cls.of(config, user, queries, none, inlet=config.wire.inlets[1], beats=beats)

    @property
    def streams(self) -> tuple[Packet, ...]:
        """The packet, and its partner if it has one."""
        return (self,) if self.partner is None else (self, self.partner)

    @property
    def lengths(self) -> tuple[int, ...]:
        """Beats on each stream."""
        return tuple(len(packet.beats) for packet in self.streams)


    def with_keep_flipped(self, config: Config, beat: int, *places: int) -> Packet:
        """The packet with data bytes for null ones, and the reverse, in ``places`` of a beat."""
        beats = self.beats.copy()
        for place in places:
            beats[beat, config.bus_bytes + place // 8] ^= 1 << place % 8
        return replace(self, beats=beats)


class Event:
    """Something that the bench does or waits for; events happen one after the other."""


@dataclass(frozen=True)
class Await(Event):
    """Wait until ``sent`` beats of a stream were taken, and then ``cycles`` more."""

    sent: int = 0
    cycles: int = 0
    stream: int = 0


@dataclass(frozen=True)
class Drain(Event):
    """Wait until every packet is answered."""


@dataclass(frozen=True)
class Gate(Event):
    """Offer no beat of a stream from number ``beat`` on; None opens the gate."""

    beat: int | None
    stream: int = 0


@dataclass(frozen=True)
class Press(Event):
    """Change the probability of back-pressure; at 1 no result is taken."""

    pressure: float


@dataclass(frozen=True, kw_only=True)
class Write(Event):
    """Write a register.

    Parameters
    ----------
    address, data : int
    strobe : int
        Bytes that are written.
    delays : (int, int, int)
        Cycles before address and data are offered, and before the response is accepted.
    refused : bool or None
        Whether SLVERR must answer; None if either may.
    """

    address: int
    data: int
    strobe: int = 0xF
    delays: tuple[int, int, int] = (0, 0, 0)
    refused: bool | None = False


@dataclass(frozen=True, kw_only=True)
class Read(Event):
    """Read a register.

    Parameters
    ----------
    address : int
    delay : int
        Cycles before the answer is accepted.
    want, mask : int
        What the bits of ``mask`` must be. With ``until`` the read is repeated until they are.
    refused : bool
        Whether SLVERR must answer.
    """

    address: int
    delay: int = 0
    want: int = 0
    mask: int = 0
    refused: bool = False
    until: bool = False


@dataclass(frozen=True, kw_only=True)
class Burst(Event):
    """Register accesses that do not wait for each other's answers.

    Every channel offers its next as soon as the one before is taken.

    Parameters
    ----------
    accesses : tuple of Write and Read
        Their delays do not count, nor does ``until``.
    lead : int
        Cycles by which addresses of writes are offered before data; below 0: after them.
    hold : int
        Cycles in which no response and no answer is accepted.
    """

    accesses: tuple[Write | Read, ...]
    lead: int = 0
    hold: int = 0


@dataclass(frozen=True, kw_only=True, eq=False)
class Load(Event):
    """Load a parameter set as a driver does: wait for the shadow, write its words, commit.

    Parameters
    ----------
    image : ParameterImage
    source : int
        Set of ``image`` that is loaded.
    index : int
        Set of the engine that it becomes.
    strays : tuple of int
        Values of PARAM_ADDRESS that no memory has; ones are written there before the commit.
    """

    image: ParameterImage
    source: int
    index: int
    strays: tuple[int, ...] = ()


@dataclass(frozen=True)
class Level(Event):
    """``irq`` must be ``high``, two cycles later."""

    high: bool


@dataclass(frozen=True, kw_only=True, eq=False)
class Scene:
    """What happens to an engine from one reset to the next.

    Parameters
    ----------
    name : str
        For reports.
    image : ParameterImage or None
        Every set of it is loaded after the reset, before the first packet.
    packets : tuple of Packet
    events : tuple of Event
    gaps, pressure : float
        Probability of a cycle without an input beat, and of one that accepts no output beat.
    seed : int
        Of the stalls.
    reset_cycles : int
        Cycles that ``aresetn`` is low before.
    selects : bool
        Whether the bench selects the set of every packet; else events do.
    cut : bool
        Whether the reset of the next scene comes right after the last event. Else every packet is
        answered, and every register is read, before.
    """

    name: str
    image: ParameterImage | None = None
    packets: tuple[Packet, ...] = ()
    events: tuple[Event, ...] = ()
    gaps: float = 0.0
    pressure: float = 0.0
    seed: int = 0
    reset_cycles: int = 2
    selects: bool = True
    cut: bool = False

    @property
    def sets(self) -> int:
        """Sets that are loaded after the reset."""
        return self.image.sets if self.image else 0


def abort() -> Write:
    """A soft reset."""
    control: Register = REGISTERS["CONTROL"]
    return Write(address=control.offset, data=control["SOFT_RESET"].mask)


def poll() -> Read:
    """Wait until the shadow is free."""
    status: Register = REGISTERS["STATUS"]
    free = status["SHADOW_FREE"].mask
    return Read(address=status.offset, want=free, mask=free, until=True)
