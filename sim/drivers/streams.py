# SPDX-License-Identifier: Apache-2.0
"""AXI4-Stream source and sink.

Source and sink have no coroutine of their own: the bench calls ``edge`` of both at every clock
edge, and they change a signal only if something happened. A simulation spends most of its time in
Python code that runs every cycle.
"""

import random
from collections.abc import Sequence
from typing import Any

from ecoformer.sim.rows import TID_SHIFT

__all__ = [
    "Handle", "PairSource", "StreamSource", "StreamSink", "input_pins", "source_of",
]

Handle = Any
"""A cocotb handle; its attributes are the signals of the design."""


BUSES = ("s_axis", "s_axis_q")
"""Input streams of an engine; the second is for queries that come by themselves."""


def input_pins(dut: Handle) -> list[Handle]:
    """Every input pin of the input streams that there are, ``tvalid`` and what goes with it."""
    pins = ("tvalid", "tlast", "tdata", "tuser", "tid", "tkeep")
    names = (f"{bus}_{pin}" for bus in BUSES for pin in pins)
    return [getattr(dut, name) for name in names if hasattr(dut, name)]


class StreamSource:
    """Sends beats on an input stream with random gaps.

    Parameters
    ----------
    beats : list of int
        ``tdata`` of every beat of every packet, and above it ``tkeep``, if there is such a pin.
    lasts : list of int
        Indices into ``beats`` of the last beat of each packet.
    users : list of int
        Number of each packet: ``tuser``, and ``tid`` from bit :data:`TID_SHIFT` on, as far as there
        are such pins; see ``selected``.
    later : int
        Bits of the number that beats after the first change: they must be ignored there.
    stall : float
        Probability that a cycle without a waiting beat offers none.
    bus : str
        What the names of its pins begin with.

    Members
    -------
    hold : int or None
        Packet that must not begin yet.
    gate : int or None
        Beat that must not be offered yet.
    selected : int or None
        Number of packets whose parameter set is selected; the others must not begin yet. None: all.
    starved : int
        Cycles within a packet in which no beat was offered.
    packet : int
        Packets sent so far.
    first, last : list of int
        Cycle in which the first and the last beat of each packet were taken.
    """

    def __init__(
        self,
        dut: Handle,
        beats: Sequence[int],
        lasts: Sequence[int],
        users: Sequence[int],
        *,
        later: int,
        stall: float,
        rng: random.Random,
        bus: str = BUSES[0],
    ):
        self.data, self.valid, self.ready, self.tlast = (
            getattr(dut, f"{bus}_{pin}") for pin in ("tdata", "tvalid", "tready", "tlast")
        )
        self.keep, self.keep_at = getattr(dut, f"{bus}_tkeep", None), len(self.data)
        self.beside = [
            (getattr(dut, f"{bus}_{name}"), shift)
            for name, shift in (("tuser", 0), ("tid", TID_SHIFT)) if hasattr(dut, f"{bus}_{name}")
        ]
        self.later = later
        self.beats, self.lasts, self.users = beats, [*lasts, -1], [*users, 0]
        self.stall, self.rng = stall, rng
        self.hold: int | None = None
        self.gate: int | None = None
        self.selected: int | None = None
        self.first: list[int] = []
        self.last: list[int] = []
        self.packet, self.starved = 0, 0
        self._sent, self._offered, self._opening = 0, False, True
        self._tlast, self._beside_due = None, False

    taken: Sequence[bool] = (True,)
    """Streams of which a beat was taken at the latest edge, if one was at all."""

    @property
    def sources(self) -> list["StreamSource"]:
        """The source of every stream."""
        return [self]

    @property
    def begun(self) -> int:
        """Packets of which a beat was taken."""
        return len(self.first)

    @property
    def starving(self) -> bool:
        """Within a packet, and no beat is offered."""
        return not self._offered and not self._opening

    def start(self) -> None:
        """Offer the first beat."""
        self.valid.value = 0
        if self.beats:
            self._offer()

    def edge(self, cycle: int) -> bool:
        """Record whether the engine took a beat at this edge; offer the next. True if taken."""
        if not self._offered:
            self.starved += not self._opening
            if self._sent < len(self.beats):
                self._offer()
            return False
        if not self.ready.value:
            return False
        if self._opening:
            self.first.append(cycle)
        self._opening = self._sent == self.lasts[self.packet]
        if self._opening:
            self.last.append(cycle)
            self.packet += 1
        self._sent += 1
        if self._sent < len(self.beats):
            self._offer()
        else:
            self._offered = False
            self.valid.value = 0
        return True

    def _offer(self):
        held = self._opening and (
            self.packet == self.hold
            or (self.selected is not None and self.packet >= self.selected)
        )
        if held or self._sent == self.gate or (self.stall and self.rng.random() < self.stall):
            if self._offered:
                self._offered = False
                self.valid.value = 0
            return
        row = self.beats[self._sent]
        if self.keep is not None:
            self.keep.value = row >> self.keep_at
            row &= (1 << self.keep_at) - 1
        self.data.value = row
        last = self._sent == self.lasts[self.packet]
        if last != self._tlast:
            self._tlast = last
            self.tlast.value = int(last)
        if self._opening or self._beside_due:
            self._offer_beside()
        if not self._offered:
            self._offered = True
            self.valid.value = 1

    def _offer_beside(self):
        number = self.users[self.packet] ^ (0 if self._opening else self.later)
        for pin, shift in self.beside:
            pin.value = number >> shift & (1 << TID_SHIFT) - 1
        self._beside_due = self._opening


class PairSource:
    """Sources of two streams whose packets make pairs; a drop-in `StreamSource`.

    Parameters
    ----------
    sources : list of StreamSource

    Members
    -------
    taken : list of bool
        Whether a beat of each stream was taken at the latest edge.
    """

    selected: int | None = None

    def __init__(self, sources: Sequence[StreamSource]):
        self.sources = sources
        self.starved = 0
        self.taken = [False] * len(sources)

    @property
    def hold(self) -> int | None:
        """Pair that must not begin yet."""
        return self.sources[0].hold

    @hold.setter
    def hold(self, packet: int | None) -> None:
        for source in self.sources:
            source.hold = packet

    @property
    def begun(self) -> int:
        """Pairs of which a beat was taken."""
        return max(source.begun for source in self.sources)

    @property
    def packet(self) -> int:
        """Pairs sent so far."""
        return min(source.packet for source in self.sources)

    @property
    def first(self) -> list[int]:
        """Cycle in which the earlier packet of each pair began."""
        return [*map(min, zip(*(source.first for source in self.sources)))]

    @property
    def last(self) -> list[int]:
        """Cycle in which the later packet of each pair ended."""
        return [*map(max, zip(*(source.last for source in self.sources)))]

    def start(self) -> None:
        """Offer the first beats."""
        for source in self.sources:
            source.start()

    def edge(self, cycle: int) -> bool:
        """As that of each source: True if any beat was taken."""
        self.starved += any(source.starving for source in self.sources)
        self.taken = [source.edge(cycle) for source in self.sources]
        return any(self.taken)


def source_of(
    dut: Handle, packets: Sequence[tuple[Sequence[int], ...]], **options: Any
) -> StreamSource | PairSource:
    """The source of ``packets``: beats, last beats and numbers of each stream.

    ``options`` are the others of a `StreamSource`.
    """
    sources = [
        StreamSource(dut, *sent, bus=bus, **options) for bus, sent in zip(BUSES, packets)
    ]
    return PairSource(sources) if len(sources) > 1 else sources[0]


class StreamSink:
    """Takes beats from ``m_axis`` with random back-pressure.

    Parameters
    ----------
    stall : float
        Probability that a cycle does not accept a beat; may change from cycle to cycle.

    Members
    -------
    packet : int
        Packets received so far.
    beats : list of int
        ``tdata`` of every beat taken, and above it ``tkeep``, if there is such a pin.
    ends : list of int
        Number of beats taken when each packet was complete.
    users : list of int
        Number of each packet, as on its last beat: ``tuser``, and ``tid`` above it.
    first, last : list of int
        Cycle in which the first and the last beat of each packet were taken.
    blocked : int
        Cycles in which a beat was offered and not accepted.
    """

    def __init__(self, dut: Handle, *, stall: float, rng: random.Random):
        self.data, self.valid = dut.m_axis_tdata, dut.m_axis_tvalid
        self.ready, self.tlast, self.user = dut.m_axis_tready, dut.m_axis_tlast, dut.m_axis_tuser
        self.tid = getattr(dut, "m_axis_tid", None)
        self.keep, self.keep_at = getattr(dut, "m_axis_tkeep", None), len(dut.m_axis_tdata)
        self.stall, self.rng = stall, rng
        self.beats: list[int] = []
        self.ends: list[int] = []
        self.users: list[int] = []
        self.first: list[int] = []
        self.last: list[int] = []
        self.packet, self.blocked = 0, 0
        self._ready, self._opening = False, True

    def start(self) -> None:
        """Accept the first beat."""
        self._ready = True
        self.ready.value = 1

    def edge(self, cycle: int) -> bool:
        """Take the beat of this edge, if any; choose the next ``tready``. True if taken."""
        offered = bool(self.valid.value)
        taken = offered and self._ready
        self.blocked += offered and not taken
        if taken:
            keep = 0 if self.keep is None else int(self.keep.value)
            self.beats.append(int(self.data.value) | keep << self.keep_at)
            if self._opening:
                self.first.append(cycle)
                self._opening = False
            if self.tlast.value:
                self.ends.append(len(self.beats))
                tid = 0 if self.tid is None else int(self.tid.value)
                self.users.append(int(self.user.value) | tid << TID_SHIFT)
                self.last.append(cycle)
                self.packet += 1
                self._opening = True
        ready = not self.stall or self.rng.random() >= self.stall
        if ready != self._ready:
            self._ready = ready
            self.ready.value = int(ready)
        return taken
