# SPDX-License-Identifier: Apache-2.0
"""The phases of a verification: for each side of the contract, the scenes that test it.

A phase has directed scenes, which reach its corners for certain, and random ones without end; the
plan takes as many as it can afford.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import cycle, islice, product
from typing import Self

import numpy as np

from ecoformer.sim.contexts import FRESH, Asked, history
from ecoformer.sim.faults import impossible_faults
from ecoformer.sim.script import (
    Await,
    Burst,
    Drain,
    Event,
    Gate,
    Level,
    Load,
    Packet,
    Press,
    Read,
    Scene,
    Write,
    abort,
    poll,
)
from ecoformer.sim.selection import selection
from ecoformer.sim.stimulus import PATTERNS, random_image
from ecoformer.spec.arithmetic import signed_range
from ecoformer.spec.config import Config
from ecoformer.spec.dataflows.cross import AHEAD
from ecoformer.spec.memory_map import MemoryMap
from ecoformer.spec.parameters import ParameterImage
from ecoformer.spec.registers import (
    ADDRESS_WIDTH,
    REGISTERS,
    Access,
    Error,
    Register,
    constants,
    errors_of,
    register_map,
    reset_values,
)

__all__ = ["PHASES", "Draw", "PhaseKind"]

STALLS = (0.0, 0.0, 0.1, 0.4, 0.8, 0.95)
"""Probabilities of a gap and of back-pressure that random scenes draw from."""
DELAYS = ((0, 0, 0), (3, 0, 0), (0, 3, 0), (0, 0, 3), (2, 0, 2), (0, 2, 1))
"""Cycles before address, data and acceptance of the response, in every order that matters."""
WORDS = (0x12345678, 0xFFFFFFFF, 0x00000000, 0xA5A5A5A5)
THOUSANDS = 8_400
"""Packets that wrap a count of twelve bits twice."""
ALTERNATING = (0b010101010101, 0b101010101010, 0b111111111111)
"""Numbers of packets at which every bit of that count has been 0 and 1."""
RESIDENT = 3
"""Sets that scenes load, at most."""
IMAGES = 6
"""Random images of a phase with the same number of sets."""
SHORT = 5
"""Tokens of most packets, at most."""
FEW_QUERIES = 0.5
"""Share of long packets of keys whose queries are few."""
ERRORS, ENABLE, STATUS, CONTROL, COMMIT, PARAM_DATA, PARAM_ADDRESS = (
    REGISTERS[name].offset for name in (
        "ERRORS", "IRQ_ENABLE", "STATUS", "CONTROL", "COMMIT", "PARAM_DATA", "PARAM_ADDRESS"
    )
)
FREE = REGISTERS["STATUS"]["SHADOW_FREE"].mask
IN_FLIGHT = REGISTERS["STATUS"]["BUSY"].mask


class Draw:
    """Random packets and images for one phase.

    Parameters
    ----------
    config : Config
    rng : numpy.random.Generator
    room : float
        Cycles that a random packet may take.
    """

    def __init__(self, config: Config, rng: np.random.Generator, room: float):
        self.config, self.rng, self.room = config, rng, room
        self._goes_on = False
        self._history = history(config)
        self._images: dict[int, list[ParameterImage]] = {}
        self._patterns = cycle(PATTERNS.values())

    def going_on(self) -> Self:
        """The same, with packets of random contexts that mostly go on with what is there."""
        self._goes_on = True
        return self

    def fresh(self, *, sets: int | None = None) -> ParameterImage:
        """A new random image; of as many sets as scenes load by default."""
        most = min(self.config.parameter_sets, RESIDENT)
        return random_image(self.config, self.rng, sets=most if sets is None else sets)

    def image(self, *, sets: int | None = None) -> ParameterImage:
        """Same, or one of the first few again, which takes no time."""
        known = self._images.setdefault(sets or 0, [])
        if len(known) < IMAGES:
            known.append(self.fresh(sets=sets))
            return known[-1]
        return known[int(self.rng.integers(len(known)))]

    def some(self) -> ParameterImage:
        """An image that leaves a set of the engine unloaded, if it holds more than one."""
        return self.image(sets=max(1, min(self.config.parameter_sets - 1, RESIDENT - 1)))

    def length(self) -> int:
        """Tokens of a packet: few, and sometimes as many as there may be."""
        longest = self.config.max_tokens
        return int(self.rng.integers(1, min(SHORT, longest) + 1))

    @property
    def affordable(self) -> int:
        """Tokens of the longest packet that a random scene may hold."""
        slow = self.config.cycles_per_token * 2
        return int(np.clip(self.room // slow, 1, self.config.max_tokens))

    def stalls(self) -> dict[str, float]:
        """Gaps and back-pressure."""
        gaps, pressure = self.rng.choice(STALLS, 2)
        return {"gaps": float(gaps), "pressure": float(pressure)}

    def seed(self) -> int:
        """A seed of stalls."""
        return int(self.rng.integers(1 << 30))

    def packet(
        self,
        user: int = 0,
        length: int | None = None,
        *,
        beats: int | None = None,
        pattern: Callable | None = None,
        asked: Asked | None = None,
    ) -> Packet:
        """A packet of ``length`` tokens; with other ``beats`` it is cut off or goes on.

        It begins context 0 unless another is ``asked`` for, or packets are :meth:`going_on`. Where
        queries come by themselves, it has a good partner of another length.
        """
        packet = self._packet(0, user, length, beats, pattern, asked)
        return self.paired(packet, length, pattern=pattern)

    def paired(
        self, packet: Packet, length: int | None = None, *, pattern: Callable | None = None
    ) -> Packet:
        """``packet`` with a partner for the same set, where queries come by themselves.

        The partner has about ``length`` tokens, or as few.
        """
        for _ in self.config.wire.inlets[1:]:
            few = length is None or self.rng.random() < FEW_QUERIES
            packet = replace(
                packet,
                partner=self.queries(packet.user, None if few else length, pattern=pattern),
            )
        return packet

    def queries(
        self,
        user: int = 0,
        length: int | None = None,
        *,
        beats: int | None = None,
        pattern: Callable | None = None,
    ) -> Packet:
        """A packet of queries that come by themselves; see :meth:`packet`."""
        return self._packet(1, user, length, beats, pattern, FRESH)

    def _packet(self, stream, user, length, beats, pattern, asked):
        """A packet of one stream, without a partner."""
        c, length = self.config, self.length() if length is None else length
        inlet = c.wire.inlets[stream]
        pattern = next(self._patterns) if pattern is None else pattern
        numbers = pattern(self.rng, (length, inlet.elements), c.token_width)
        values = pattern(self.rng, (length, inlet.value_elements), c.value_width)
        if asked is None:
            asked = self._history.ask(self.rng) if self._goes_on else FRESH
        tokens = c.family.tokens_from(numbers)
        packet = Packet.of(c, user, tokens, values, asked, inlet=inlet, beats=beats)
        rows = packet.beats.copy()
        rows[:, : c.bus_bytes] ^= self._dirt(inlet, len(rows))
        return replace(packet, beats=rows)

    def cut_off(
        self, user: int = 0, *, beats: int = 1, tokens: int = 2, stream: int = 0
    ) -> Packet:
        """A packet of a stream whose last token has only ``beats`` beats."""
        tokens, every = min(tokens, self.config.max_tokens), self.config.wire.inlets[stream].beats
        return self.on(stream)(user, tokens, beats=(tokens - 1) * every + beats)

    def too_long(self, user: int = 0, *, beats: int = 1, stream: int = 0) -> Packet:
        """A packet of a stream of ``beats`` beats more than there may be."""
        most, every = self.config.max_tokens, self.config.wire.inlets[stream].beats
        return self.on(stream)(user, min(most, SHORT), beats=most * every + beats)

    def pair_of(self, packet: Packet, stream: int, user: int | None = None) -> Packet:
        """What is sent with ``packet``, drawn for a stream: a good partner, where there is one.

        The partner is for set ``user``; for that of the packet by default.
        """
        user = packet.user if user is None else user
        return replace(self.packet(user), partner=packet) if stream else packet

    def on(self, stream: int) -> Callable[..., Packet]:
        """What draws packets of a stream: :meth:`packet` or :meth:`queries`."""
        return (self.packet, self.queries)[stream]

    def bad(self, image: ParameterImage) -> Packet:
        """A packet with a wrong set, a wrong number of beats, or both.

        Of a pair, either packet, and sometimes both.
        """
        user = int(self.rng.integers(image.sets))
        packet = self._bad(image, user, 0)
        for stream in range(1, len(self.config.wire.inlets)):
            choice = self.rng.integers(4)
            if choice < 3:  # only it, or both
                partner = self._bad(image, user, stream)
                packet = replace(self.packet(user) if choice < 2 else packet, partner=partner)
        return packet

    def _bad(self, image, user, stream):
        """A bad packet of a stream; sometimes, it is just for another set."""
        c, rng = self.config, self.rng
        draw, every = self.on(stream), c.wire.inlets[stream].beats
        choice = rng.integers(4 + stream + len(c.wire.keep_fields))
        beyond = self.unknown_sets(image)
        if choice == 4 and stream:
            return draw(int(rng.integers(image.sets)))
        if choice <= 1 and beyond:
            user = int(rng.choice(beyond))
        if choice == 0:
            return draw(user)
        if choice == 2 and self.affordable == c.max_tokens:
            return self.too_long(user, beats=int(rng.integers(1, 3 * every + 1)), stream=stream)
        length = self.length()
        sent = draw(user, length, beats=int(rng.integers(1, length * every + 1)))
        if choice == 4:
            beat, place = int(rng.integers(len(sent.beats))), int(rng.integers(c.bus_bytes))
            return sent.with_keep_flipped(c, beat, place)
        return sent

    def null_bytes(self, user: int = 0) -> Iterator[tuple[str, Packet]]:
        """Packets whose ``tkeep`` is wrong at the ends of data and padding, by name.

        None where there is no ``tkeep``.
        """
        c = self.config
        bus, last = c.bus_bytes, c.input_beats - 1
        data = c.token_bytes - last * bus
        ends = {(0, 0), (0, bus - 1), (last, 0), (last, data - 1), (last, bus - 1)}
        places = [(beat, range(place, place + 1)) for beat, place in sorted(ends)]
        places += [(0, range(bus)), (last, range(bus))]
        if data < bus:  # the first byte of the padding, and all of it: a packed token
            places += [(last, range(data, data + 1)), (last, range(data, bus))]
        tokens = min(2, c.max_tokens)
        for _, token, (beat, flipped) in product(c.wire.keep_fields, range(tokens), places):
            at = token * c.input_beats + beat
            yield (
                f"tkeep[{flipped[-1]}:{flipped[0]}] of beat {at} is wrong",
                self.packet(user, tokens).with_keep_flipped(c, at, *flipped),
            )

    def unknown_sets(self, image: ParameterImage) -> list[int]:
        """Sets that a packet can ask for and that are not loaded: the first, and the last."""
        c = self.config
        last = (1 << selection(c).vector_bits) - 1
        return [] if impossible_faults(c, image.sets).get("unknown_set") else [image.sets, last]

    def _dirt(self, inlet, beats):
        """Random bits where the engine ignores them: uint8 [beats, bus_bytes]."""
        c = self.config
        family = c.family
        if family.element_width == 1:
            keys = np.packbits(np.ones(family.key_elements, np.uint8), bitorder="little")
        else:
            keys = np.full(family.key_bytes, (1 << family.element_width) - 1, np.uint8)
        values = np.full(inlet.value_elements, (1 << c.value_width) - 1, np.uint8)
        used = np.zeros(inlet.beats * c.bus_bytes, np.uint8)
        used[: inlet.token_bytes] = np.concatenate([*[keys] * len(inlet.all), values])
        used = np.tile(used.reshape(inlet.beats, c.bus_bytes), (-(-beats // inlet.beats), 1))
        random = self.rng.integers(0, 256, (beats, c.bus_bytes), dtype=np.uint8)
        return random & ~used[:beats]


@dataclass(frozen=True, kw_only=True)
class PhaseKind:
    """One side of the contract.

    Parameters
    ----------
    about : str
        What is tested, in a few words.
    share : int
        Of the cycles of a plan.
    directed, random : callable
        Scenes for a `Draw`: those that must be there, and others without end.
    applies : callable
        Whether engines of a `Config` have this side.
    """

    about: str
    share: int
    directed: Callable[[Draw], Iterator[Scene]]
    random: Callable[[Draw], Iterator[Scene]] = lambda draw: iter(())
    applies: Callable[[Config], bool] = lambda config: True


# -- registers -------------------------------------------------------------------------------------


def _registers(draw):
    c = draw.config
    yield Scene(name="after reset", events=(*_reset_values(c), Drain()), reset_cycles=1)
    yield Scene(name="access", events=(*_read_only(c), *_stored(c), *_refused(c)))
    yield Scene(name="accesses in flight", events=tuple(_in_flight(c)))
    yield Scene(name="parameter port", events=(*_parameter_port(c), *_all_ones(c)))
    yield Scene(
        name="reset clears", events=(*_reset_values(c), *_read_only(c, delays=(0,))),
        reset_cycles=1,
    )


def _reset_values(config):
    for name, value in reset_values(config).items():
        yield Read(address=REGISTERS[name].offset, want=value, mask=0xFFFFFFFF)


def _read_only(config, delays=(0, 1, 4)):
    values = constants(config)
    for delay in delays:
        for name, value in values.items():
            yield Read(
                address=REGISTERS[name].offset, want=value, mask=0xFFFFFFFF, delay=delay
            )
    for name, value in reset_values(config).items():
        register = REGISTERS[name]
        if not register.access.writable:
            yield Write(address=register.offset, data=value ^ 0xFFFFFFFF, refused=True)
            yield Read(address=register.offset, want=value, mask=0xFFFFFFFF)


def _stored(config):
    for register in register_map(config).values():
        if register.access is not Access.STORED:
            continue
        for delays, value in zip(cycle(DELAYS), [*WORDS * 3, *(1 << bit for bit in range(32)), 0]):
            yield Write(address=register.offset, data=value, delays=delays)
            want = value & register.mask
            yield Read(address=register.offset, want=want, mask=0xFFFFFFFF, delay=delays[0])
        # Bytes that are not written keep ones as well as zeros.
        for strobe, held in product(range(16), (0xFFFFFFFF, 0x5A0FF0A5, 0)):
            value = held ^ 0xFFFFFFFF
            yield Write(address=register.offset, data=held)
            yield Write(address=register.offset, data=value, strobe=strobe)
            mask = sum(0xFF << 8 * byte for byte in range(4) if strobe >> byte & 1)
            want = (held & ~mask | value & mask) & register.mask
            yield Read(address=register.offset, want=want, mask=0xFFFFFFFF)
        for ignored in (1, 2, 3):  # bits 1:0 of an address
            yield Write(address=register.offset | ignored, data=register.mask)
            yield Read(address=register.offset | ignored, want=register.mask, mask=0xFFFFFFFF)


def _all_ones(config):
    for register in register_map(config).values():
        if register.access is Access.STORED:
            yield Write(address=register.offset, data=0xFFFFFFFF)


def _refused(config):
    registers = register_map(config)
    known = {register.offset for register in registers.values()}
    for address in range(0, 1 << ADDRESS_WIDTH, 4):
        if address not in known:
            yield Read(address=address, refused=True)
            yield Write(address=address, data=0xFFFFFFFF, refused=True)
    for register in registers.values():
        if register.access is Access.STROBE:
            yield Read(address=register.offset, refused=True)
            for strobe in range(15):
                yield Write(address=register.offset, data=0, strobe=strobe, refused=True)
    bits = [1 << bit for bit in range(32) if 1 << bit > config.parameter_sets]
    for index in (config.parameter_sets, *bits, 0xFFFFFFFF):
        yield Write(address=COMMIT, data=index, refused=True)
    yield Read(address=STATUS, want=FREE, mask=0xFFFFFFFF)


def _in_flight(config):
    """Several accesses before the first is answered, the channels ahead of each other."""
    values = constants(config)
    known = {register.offset for register in register_map(config).values()}
    unknown = next(i for i in range(0, 1 << ADDRESS_WIDTH, 4) if i not in known)
    reads = [Read(address=REGISTERS[n].offset, want=values[n], mask=0xFFFFFFFF) for n in values]
    for number, (lead, hold) in enumerate(product((0, 1, 4, -1, -4), (0, 7))):
        words = [WORDS[(number + i) % len(WORDS)] ^ number for i in range(3)]
        writes = [
            Write(address=PARAM_ADDRESS, data=words[0]),
            Write(address=REGISTERS["ID"].offset, data=words[0], refused=True),
            Write(address=unknown, data=words[1], refused=True),
            Write(address=ENABLE, data=0b1010 ^ number & 0b1111),
            Write(address=PARAM_ADDRESS, data=words[1]),
            Write(address=PARAM_ADDRESS, data=words[2], strobe=0b0101),
        ]
        yield Burst(
            accesses=(*writes, *reads[:3], Read(address=unknown, refused=True), *reads[3:]),
            lead=lead, hold=hold,
        )
        want = words[1] & 0xFF00FF00 | words[2] & 0x00FF00FF
        yield Burst(
            accesses=(
                Read(address=PARAM_ADDRESS, want=want, mask=0xFFFFFFFF), reads[0],
                Read(address=ENABLE, want=0b1010 ^ number & 0b1111, mask=0b1111),
            ),
            hold=hold,
        )


def _parameter_port(config):
    """The word number counts up, wraps, and leaves row and region alone."""
    last = (1 << MemoryMap.ROW_SHIFT) - 1
    for row in (0, 0xFFFFF):
        above = row << MemoryMap.ROW_SHIFT & 0xFFFFFFFF
        for word, following in ((0, 1), (1, 2), (last, 0)):
            yield Write(address=PARAM_ADDRESS, data=above | word)
            yield Write(address=PARAM_DATA, data=0xFFFFFFFF)
            yield Read(address=PARAM_ADDRESS, want=above | following, mask=0xFFFFFFFF)


# -- packets ---------------------------------------------------------------------------------------


def _lengths(draw):
    c, image = draw.config, draw.image()
    longest = c.max_tokens
    for name, lengths in (
        ("one token", (1, 1, 1)),
        ("few tokens", (1, 2, 3, 2, 1)),
        ("longest", (longest,)),
        ("longest among short", (1, longest, longest, 1)),
    ):
        packets = [draw.packet(i % image.sets, min(n, longest)) for i, n in enumerate(lengths)]
        yield Scene(name=name, image=image, packets=tuple(packets))
    for beats in (1, c.input_beats):
        packets = (draw.packet(), draw.too_long(beats=beats), draw.packet())
        yield Scene(name=f"too long by {beats}", image=image, packets=packets)


def _random_lengths(draw):
    while True:
        image = draw.image()
        lengths = draw.rng.integers(1, draw.affordable + 1, 6)
        packets = tuple(
            draw.packet(int(draw.rng.integers(image.sets)), int(n)) for n in lengths
        )
        yield Scene(name="lengths", image=image, packets=packets, seed=draw.seed())


def _constant(level):
    def draw(rng, shape, width):
        low, high = signed_range(width)
        return np.full(shape, {"low": low, "high": high, "zero": 0}[level], dtype=np.int64)

    return draw


def _checkered(rng, shape, width):
    low, high = signed_range(width)
    return np.where(np.indices(shape).sum(axis=0) % 2, low, high)


EXTREMES = (_constant("low"), _constant("high"), _constant("zero"), _checkered)


def _extremes(draw):
    longest = draw.config.max_tokens
    images = [("random", draw.image())]
    images += [(level, _extreme_image(draw, level)) for level in ("low", "high", "zero")]
    for name, image in images:
        packets = [
            draw.packet(i % image.sets, min(n, longest), pattern=pattern)
            for n in (1, 4)
            for i, pattern in enumerate(EXTREMES)
        ]
        yield Scene(name=f"{name} parameters", image=image, packets=tuple(packets))
    for pattern in EXTREMES:
        packet = draw.packet(0, longest, pattern=pattern)
        yield Scene(name="longest", image=draw.image(), packets=(packet,))


def _extreme_image(draw, level):
    """Every parameter at an end of its range, or the one nearest to zero."""
    c, image = draw.config, draw.image(sets=1)
    arrays = image.arrays()
    for name, bounds in {**c.flow.parameters, **c.sides.named(c.family.parameters)}.items():
        wanted = {"low": bounds.low, "high": bounds.high, "zero": 0}[level]
        if bounds.are_weights:
            values = np.array(c.family.weights.values)
            wanted = values[np.argmin(np.abs(values - wanted))]
        arrays[name] = np.full_like(arrays[name], np.clip(wanted, bounds.low, bounds.high))
    return type(image)(**arrays)


def _images(draw):
    while True:
        image = draw.fresh()
        packets = tuple(
            draw.packet(int(draw.rng.integers(image.sets)), pattern=PATTERNS[pattern])
            for pattern in (*PATTERNS, "random", "random")
        )
        yield Scene(
            name="image", image=image, packets=packets, seed=draw.seed(), **draw.stalls()
        )


def _every_set(draw):
    """Every set of the engine, once in order and once backwards."""
    sets = draw.config.parameter_sets
    image = draw.image(sets=sets)
    order = [*range(sets), *reversed(range(sets))]
    packets = tuple(draw.packet(index, 1) for index in order)
    yield Scene(name="every set", image=image, packets=packets)


def _stalls(draw):
    image = draw.image()
    for gaps, pressure in ((0.95, 0.0), (0.0, 0.95), (0.95, 0.95), (0.5, 0.5), (0.2, 0.8)):
        packets = tuple(draw.packet(i % image.sets) for i in range(8))
        yield Scene(
            name=f"gaps {gaps}, pressure {pressure}", image=image, packets=packets,
            gaps=gaps, pressure=pressure, seed=draw.seed(),
        )
    packets = tuple(draw.packet(i % image.sets) for i in range(6))
    total = sum(len(packet.beats) for packet in packets)
    yield Scene(  # long waits at either side
        name="stopped", image=image, packets=packets,
        events=(
            Press(1.0), Gate(total // 2), Await(min(total // 2, draw.config.input_beats), 200),
            Press(0.0), Await(total // 2, 300), Gate(None),
        ),
    )
    longest = tuple(draw.packet(i % image.sets, draw.config.max_tokens) for i in range(2))
    yield Scene(
        name="longest under stalls", image=image, packets=longest, gaps=0.95, pressure=0.95,
        seed=draw.seed(),
    )


def _random_stalls(draw):
    while True:
        image = draw.image()
        packets = tuple(draw.packet(int(draw.rng.integers(image.sets))) for _ in range(8))
        yield Scene(
            name="stalls", image=image, packets=packets, seed=draw.seed(),
            gaps=float(draw.rng.choice(STALLS)), pressure=float(draw.rng.choice(STALLS)),
        )


# -- errors ----------------------------------------------------------------------------------------


def _bad_packets(draw, image):
    """One of every kind, by name; of pairs, with either packet bad."""
    for stream, prefix in enumerate(("", "queries: ")[: len(draw.config.wire.inlets)]):
        for name, bad in _bad_on(draw, image, stream):
            yield prefix + name, draw.pair_of(bad, stream)


def _bad_on(draw, image, stream):
    """A packet of every kind for one stream, by name."""
    c, packet = draw.config, draw.on(stream)
    every = c.wire.inlets[stream].beats
    for beats in range(1, every):
        if beats in (1, 2, every - 1):
            yield f"tlast on beat {beats} of a token", draw.cut_off(beats=beats, stream=stream)
            yield (
                f"tlast on beat {beats} of the first token",
                draw.cut_off(beats=beats, tokens=1, stream=stream),
            )
    if every > 1:
        # The last token that there may be is cut off: not too long, but misplaced.
        last = c.max_tokens * every - 1
        yield "tlast within the last token", packet(beats=last, length=min(2, c.max_tokens))
    for user in draw.unknown_sets(image):
        yield f"set {user} is not loaded", packet(user)
        yield f"set {user} is not loaded, one token", packet(user, 1)
        if every > 1:
            yield f"set {user}, and misplaced", draw.cut_off(user, stream=stream)
    for beats in (1, every, 2 * every + 1):
        yield f"too long by {beats}", draw.too_long(beats=beats, stream=stream)
    for user in draw.unknown_sets(image)[:1]:
        yield f"set {user}, and too long", draw.too_long(user, stream=stream)
    yield from draw.null_bytes()
    for user in draw.unknown_sets(image)[:1]:
        for name, bad in islice(draw.null_bytes(user), 1):
            yield f"set {user}, {name}", bad
    yield from _null_bytes_and_more(draw)


def _null_bytes_and_more(draw):
    """Null bytes beside another error: on the beat that is too long, on the one that is cut off."""
    c = draw.config
    beyond = c.max_tokens * c.input_beats
    for _ in c.wire.keep_fields:
        yield "too long, from a null byte on", draw.too_long().with_keep_flipped(c, beyond, 0)
        yield "too long, after a null byte", draw.too_long().with_keep_flipped(c, beyond - 1, 0)
        yield "a null byte in the last beat", draw.cut_off().with_keep_flipped(
            c, len(draw.cut_off().beats) - 1, 0
        )


def _faults(draw):
    image = draw.some()
    bits = [1 << bit for bit in range(selection(draw.config).vector_bits)]
    bits = [user for user in bits if user >= image.sets and draw.unknown_sets(image)]
    packets = [draw.packet(user, 1) for user in bits]
    yield Scene(name="every bit of a set", image=image, packets=(*packets, draw.packet()))
    for name, bad in _bad_packets(draw, image):
        yield Scene(name=name, image=image, packets=(draw.packet(), bad, draw.packet()))
    packets = [draw.packet()]
    for _, bad in _bad_packets(draw, image):
        packets += [bad]
    yield Scene(name="one after the other", image=image, packets=(*packets, draw.packet()))
    for kind, bad in _first_of_each(draw, image):
        good, others = draw.packet(), _packet_errors(draw.config)
        yield Scene(
            name=f"interrupt of {kind.name}", image=image, packets=(good, bad),
            events=(
                Gate(len(good.beats)), Write(address=ENABLE, data=1 << kind), Level(False),
                Gate(None), Drain(), Level(True),
                Read(address=ERRORS, want=1 << kind, mask=others),
                Write(address=ERRORS, data=others & ~(1 << kind)), Level(True),
                Write(address=ERRORS, data=1 << kind, strobe=0b1110), Level(True),
                Write(address=ENABLE, data=others & ~(1 << kind)), Level(False),
                Write(address=ENABLE, data=1 << kind), Level(True),
                Write(address=ERRORS, data=1 << kind), Level(False),
                Read(address=ERRORS, want=0, mask=others),
                Read(address=REGISTERS[kind.name].offset, want=1, mask=0xFFFFFFFF),
            ),
        )


def _packet_errors(config):
    """Flags of bad packets; tokens may have the other one."""
    return sum(1 << error for error in errors_of(config) if error is not Error.DENOMINATOR)


def _first_of_each(draw, image):
    if draw.config.input_beats > 1:
        yield Error.MISALIGNED, draw.cut_off()
    yield Error.TOO_LONG, draw.too_long()
    for user in draw.unknown_sets(image)[:1]:
        yield Error.UNKNOWN_SET, draw.packet(user)
    for bad in _mismatches(draw, image)[:1]:
        yield Error.PAIR_MISMATCH, bad
    for _, bad in islice(draw.null_bytes(), 1):
        yield Error.KEEP_MISMATCH, bad


def _random_faults(draw):
    while True:
        image = draw.some()
        packets = [
            draw.bad(image) if draw.rng.random() < 0.5
            else draw.packet(int(draw.rng.integers(image.sets)))
            for _ in range(8)
        ]
        yield Scene(
            name="bad and good", image=image, packets=(*packets, draw.packet()),
            seed=draw.seed(), **draw.stalls(),
        )


def _aborts(draw):
    c, image = draw.config, draw.image()
    length = min(3, c.max_tokens)
    total = length * c.input_beats
    for sent in sorted({0, 1, 2, c.input_beats, total - 1, total}):
        if 0 <= sent <= total:
            packets = (draw.packet(), draw.packet(0, length), draw.packet())
            at = len(packets[0].beats) + sent
            yield Scene(
                name=f"after beat {sent} of {total}", image=image, packets=packets,
                events=(Gate(at), Await(at, 3), abort(), Await(at, 3), abort(), Gate(None)),
            )
    packets = (draw.packet(0, length), draw.too_long(), draw.packet())
    at = len(packets[0].beats) + c.max_tokens * c.input_beats
    for sent in (1, at - len(packets[0].beats), at - len(packets[0].beats) + 1):
        beat = len(packets[0].beats) + sent
        if beat < len(packets[0].beats) + len(packets[1].beats):
            yield Scene(
                name=f"of a bad packet, after beat {sent}", image=image, packets=packets,
                events=(Gate(beat), Await(beat, 3), abort(), Gate(None)),
            )
    if total > 1:
        yield Scene(
            name="interrupt of ABORTED", image=image,
            packets=(draw.packet(0, length), draw.packet()),
            events=(
                Gate(1), Write(address=ENABLE, data=1 << Error.ABORTED), Await(1, 3), Level(False),
                abort(), Gate(None), Drain(), Level(True),
            ),
        )


def _random_aborts(draw):
    while True:
        image = draw.image()
        packets = tuple(draw.packet(int(draw.rng.integers(image.sets))) for _ in range(6))
        total = sum(len(packet.beats) for packet in packets)
        sent = sorted(int(n) for n in draw.rng.integers(0, total + 1, 4))
        events = [event for n in sent for event in (Await(n, _delay(draw)), abort())]
        yield Scene(
            name="aborts", image=image, packets=packets, events=tuple(events), seed=draw.seed(),
            **draw.stalls(),
        )


def _delay(draw, most=3):
    """Cycles: mostly few, sometimes enough to reach behind the last beat of a packet."""
    rng = draw.rng
    return int(rng.integers(most * draw.config.cycles_per_token + 1)) if rng.random() < 0.5 else 0


# -- contexts --------------------------------------------------------------------------------------


def _contexts(draw):
    c, image = draw.config, draw.some()
    several = sorted({0, 1, c.contexts // 2, c.contexts - 1} & {*range(c.contexts)})
    one = range(min(4, c.max_tokens))
    tokens = [draw.packet(0, 1, asked=Asked(i, not n)) for n in one for i in several]
    yield Scene(name="in turn, token by token", image=image, packets=tuple(tokens))
    yield Scene(
        name="in turn, under stalls", image=image, packets=tuple(tokens), gaps=0.4, pressure=0.4,
        seed=draw.seed(),
    )
    every = [draw.packet(0, 1, asked=Asked(i, True)) for i in range(c.contexts)]
    every += [draw.packet(0, 1, asked=Asked(i, c.max_tokens == 1)) for i in range(c.contexts)]
    yield Scene(name="every context", image=image, packets=tuple(every))
    yield Scene(
        name="never begun", image=image,
        packets=tuple(draw.packet(0, 1, asked=Asked(i, b)) for b in (False, True) for i in several),
    )
    sets = [draw.packet(i % image.sets, 1, asked=Asked(0, not i)) for i in range(len(one))]
    yield Scene(name="other sets on the way", image=image, packets=tuple(sets))
    for first in sorted({1, c.max_tokens // 2, c.max_tokens - 1, c.max_tokens} - {0}):
        rest = c.max_tokens - first
        full = [draw.packet(0, first), *([draw.packet(0, rest, asked=ON)] if rest else [])]
        yield Scene(
            name=f"full after {first} and {rest}", image=image,
            packets=(*full, draw.packet(0, 1, asked=ON), draw.packet(0, 1, asked=ON),
                     draw.packet(), draw.packet(0, 1, asked=ON)),
        )
    for name, bad in _bad_packets(draw, image):
        for begin in (True, False):
            bad = replace(bad, asked=Asked(0, begin))
            after = [draw.packet(0, 1, asked=asked) for asked in (ON, last_context(c), ON)]
            yield Scene(
                name=f"lost: {name}, {'begins' if begin else 'goes on'}", image=image,
                packets=(draw.packet(0, 1), bad, *after, draw.packet(0, 1),
                         draw.packet(0, 1, asked=ON)),
            )
    yield from _lost_contexts(draw, image)


ON = Asked(0, False)
"""Go on with context 0."""


def last_context(config: Config) -> Asked:
    """Begin the last context."""
    return Asked(config.contexts - 1, True)


def _lost_contexts(draw, image):
    """Lost by a soft reset or a reset; beyond the last; with the interrupt."""
    c = draw.config
    length = min(3, c.max_tokens)
    first = len(draw.packet(0, 1).beats)
    if length * c.input_beats > 1:
        packets = (
            draw.packet(0, 1), draw.packet(0, length), draw.packet(0, 1, asked=ON), draw.packet(),
        )
        yield Scene(
            name="lost by a soft reset", image=image, packets=packets,
            events=(Gate(first + 1), Await(first + 1, 3), abort(), Gate(None)),
        )
    yield Scene(
        name="begun before a reset", image=image, packets=(draw.packet(0, 1),) * 2,
        events=(Await(2 * first), ), cut=True,
    )
    yield Scene(
        name="lost by a reset", image=image,
        packets=(draw.packet(0, 1, asked=ON), draw.packet(), draw.packet(0, 1, asked=ON)),
    )
    for context in range(c.contexts, 1 << c.wire.tid_width)[:2]:
        yield Scene(
            name=f"there is no context {context}", image=image,
            packets=tuple(
                draw.packet(0, 1, asked=Asked(i, begin))
                for i in (c.contexts - 1, context) for begin in (True, c.max_tokens == 1)
            ),
        )
    flag, others = 1 << Error.CONTEXT_LOST, 0b101111
    yield Scene(
        name="interrupt of CONTEXT_LOST", image=image,
        packets=(draw.packet(0, 1, asked=ON), draw.packet()),
        events=(
            Write(address=ENABLE, data=flag), Drain(), Level(True),
            Read(address=ERRORS, want=flag, mask=others),
            Write(address=ERRORS, data=0b11111), Level(True),
            Write(address=ERRORS, data=flag), Level(False),
            Read(address=REGISTERS["CONTEXT_LOST"].offset, want=1, mask=0xFFFFFFFF),
        ),
    )


def _random_contexts(draw):
    """Many short packets; among them some that are bad."""
    while True:
        image = draw.some()
        packets = [
            draw.bad(image) if draw.rng.random() < 0.1
            else draw.packet(int(draw.rng.integers(image.sets)))
            for _ in range(24)
        ]
        yield Scene(
            name="contexts", image=image, packets=tuple(packets), seed=draw.seed(),
            **draw.stalls(),
        )


# -- pairs -----------------------------------------------------------------------------------------


def _mismatches(draw, image):
    """Pairs of good packets for different sets, where there are pairs and sets."""
    sets = range(image.sets)
    return [
        draw.pair_of(draw.on(stream)(other), stream, user)
        for stream in range(1, len(draw.config.wire.inlets))
        for user in sets for other in sets if user != other
    ]


def _upto(packets):
    """Beats of ``packets`` on each stream."""
    return [sum(lengths) for lengths in zip(*(packet.lengths for packet in packets))]


def _gates(packets):
    """Let every stream send ``packets`` and no more."""
    return [Gate(beats, stream) for stream, beats in enumerate(_upto(packets))]


def _opened(draw):
    """Let every stream send what there is."""
    return [Gate(None, stream) for stream in range(len(draw.config.wire.inlets))]


def _pairs(draw):
    c, image = draw.config, draw.image()
    longest = c.max_tokens
    sizes = sorted({1, min(2, longest), longest})
    for keys, queries in product(sizes, sizes):
        packets = tuple(
            replace(draw.packet(user, keys), partner=draw.queries(user, queries))
            for user in (i % image.sets for i in range(3))
        )
        yield Scene(name=f"{keys} keys, {queries} queries", image=image, packets=packets)
    packets = [
        replace(draw.packet(0, keys), partner=draw.queries(0, queries))
        for keys, queries in [(1, longest), (longest, 1)] * 3
    ]
    yield Scene(name="long and short in turn", image=image, packets=tuple(packets))
    yield Scene(
        name="long and short in turn, under stalls", image=image, packets=tuple(packets), gaps=0.6,
        pressure=0.3, seed=draw.seed(),
    )
    for stream, name in enumerate(("keys", "queries")):
        other = 1 - stream
        for kind, length, count in (("a long packet", longest, 1), ("short packets", 1, AHEAD)):
            packets = tuple(
                replace(draw.packet(0, length), partner=draw.queries(0, length))
                for _ in range(AHEAD + 2)
            )
            first = _upto(packets[:count])[stream]
            yield Scene(  # that they are taken at all is waited for
                name=f"{name} first, {kind}", image=image, packets=packets,
                events=(Gate(0, other), Await(first, 300, stream), Gate(None, other)),
            )
        packets = tuple(
            replace(draw.packet(0, longest), partner=draw.queries(0, longest)) for _ in range(4)
        )
        middle = _upto(packets)[stream] // 2
        yield Scene(
            name=f"{name} stop in the middle", image=image, packets=packets,
            events=(Gate(middle, stream), Await(middle, 300, stream), Gate(None, stream)),
        )
    yield from _bad_pairs(draw)
    yield from _pair_aborts(draw)
    yield from _pair_updates(draw)


def _bad_pairs(draw):
    """Both packets bad; packets for different sets; either of them first."""
    image = draw.some()
    kinds = [(name, bad) for name, bad in _bad_on(draw, image, 0)]
    asked = [(name, bad) for name, bad in _bad_on(draw, image, 1)]
    for (one, keys), (other, queries) in zip(kinds * 2, asked[::-1] * 2):
        yield Scene(
            name=f"{one}; queries: {other}", image=image,
            packets=(draw.packet(), replace(keys, partner=queries), draw.packet()),
        )
    image = draw.image()
    bad = _mismatches(draw, image)
    if bad:
        yield Scene(name="different sets", image=image, packets=(*bad, draw.packet()))
    for stream, name in enumerate(("keys", "queries")):
        other = 1 - stream
        packets = (*bad[:2], draw.packet(), draw.packet())
        first = packets[0].lengths[stream]
        yield Scene(
            name=f"different sets, {name} first" if bad else f"{name} first", image=image,
            packets=packets,
            events=(Gate(0, other), Await(first, 20, stream), Gate(None, other)),
        )


def _pair_aborts(draw):
    """Soft resets of either stream, of both, and of packets of different pairs."""
    c, image = draw.config, draw.image()
    length = min(3, c.max_tokens)
    for stream in (0, 1):
        every, other = c.wire.inlets[stream].beats, 1 - stream
        total = length * every
        for sent in sorted({0, 1, every, total - 1, total} & {*range(total + 1)}):
            for held in (False, True):  # whether the other stream is there already
                packets = tuple(
                    replace(draw.packet(0, length), partner=draw.queries(0, length))
                    for _ in range(3)
                )
                at = packets[0].lengths[stream] + sent
                before = [Gate(packets[0].lengths[other], other)] if held else []
                yield Scene(
                    name=f"stream {stream} after beat {sent} of {total}"
                    + (", alone" if held else ""),
                    image=image, packets=packets,
                    events=(
                        *before, Gate(at, stream), Await(at, 60, stream), abort(),
                        Gate(None, other), Await(0, 60), Gate(None, stream),
                    ),
                )
    packets = tuple(
        replace(draw.packet(0, length), partner=draw.queries(0, length)) for _ in range(4)
    )
    one, two = packets[0].lengths[0] + 1, sum(p.lengths[1] for p in packets[:2]) + 1
    if length * min(inlet.beats for inlet in c.wire.inlets) > 1:
        yield Scene(
            name="of two pairs at once", image=image, packets=packets,
            events=(
                Gate(one, 0), Gate(two, 1), Await(one, 0), Await(two, 40, 1), abort(),
                *_opened(draw),
            ),
        )


def _pair_updates(draw):
    """A set is replaced between the first beats of a pair; both packets use the old one."""
    c, image = draw.config, draw.image()
    for stream, name in enumerate(("keys", "queries")):
        other = 1 - stream
        packets = tuple(draw.packet(0, min(3, c.max_tokens)) for _ in range(4))
        load = Load(image=draw.image(sets=1), source=0, index=0)
        for ahead in (1, 2):
            first = _upto(packets[:ahead])[stream]
            yield Scene(
                name=f"a set is replaced after {ahead} of {name}", image=image, packets=packets,
                events=(
                    Gate(0, other), Gate(first, stream), Await(first, 4, stream), load,
                    *_opened(draw),
                ),
            )


def _random_pairs(draw):
    """Packets of any lengths; now and then one of the streams stops for a while."""
    while True:
        image, rng = draw.some(), draw.rng
        packets = [
            draw.bad(image) if rng.random() < 0.2 else draw.packet(int(rng.integers(image.sets)))
            for _ in range(10)
        ]
        events: list[Event] = []
        for _ in range(rng.integers(4)):
            stream = int(rng.integers(2))
            at = int(rng.integers(_upto(packets)[stream] + 1))
            wait = Await(0, int(rng.integers(1, 40 * draw.config.cycles_per_token)))
            events += [Gate(at, stream), wait, Gate(None, stream)]
        yield Scene(
            name="pairs", image=image, packets=tuple(packets), events=tuple(events),
            seed=draw.seed(), **draw.stalls(),
        )
# -- queue of sets ---------------------------------------------------------------------------------


def _queued_sets(draw):
    """The bench writes NEXT_SET itself, before, between and after the packets."""
    c, image = draw.config, draw.some()
    depth, many = c.next_set_depth, min(c.next_set_depth, MOST_QUEUED)
    numbers = [i % image.sets for i in range(many + 1)]
    packets = tuple(draw.packet(number, 1) for number in numbers)
    first, second = (sum(len(packet.beats) for packet in packets[:n]) for n in (1, 2))
    opening, *chosen = (_select(selection(c).request(number)) for number in numbers)
    others = [replace(write, data=write.data ^ 1) for write in chosen]
    scene = Scene(name="", image=image, packets=packets, selects=False)
    waits = (Await(0, 100), Read(address=STATUS, want=FREE, mask=IN_FLIGHT | FREE))
    begun = (Gate(first), *waits, opening, Await(first, 20), _level(0))
    yield replace(scene, name="packets wait for their sets", events=(
        *waits, *(event for write in (opening, *chosen) for event in (write, Await(0, 20))),
    ))
    yield replace(scene, name="sets wait for their packets", events=(
        *begun, *chosen, _level(many), Gate(None), Drain(), _level(0),
    ))
    yield replace(scene, name="one after the other", gaps=0.5, seed=draw.seed(), events=(
        *begun, *chosen, Gate(second), Await(second, 20), _level(many - 1), Gate(None), Drain(),
        _level(0),
    ))
    yield replace(scene, name="forgotten", events=(
        *begun, *others, _level(many), _clear(), _level(0), Gate(None), Await(first, 100),
        _level(0), *chosen,
    ))
    rest = [_select(0)] * (depth - many)
    full = (*(replace(write, refused=True) for write in others), _level(depth))
    yield replace(scene, name="full", events=(
        *begun, *chosen, *rest, _level(depth), *full, Gate(second), Await(second, 20),
        _level(depth - 1), _select(0), *full, Gate(None), Drain(), _level(depth + 1 - many),
    ))
    yield replace(scene, name="before a reset", packets=(), events=(*chosen,), cut=True)
    yield replace(
        scene, name="gone after a reset", events=(_level(0), *waits, *begun, Gate(None), *chosen)
    )
    bad = tuple(packet for _, packet in _bad_packets(draw, image))
    good = tuple(draw.packet(0, 1) for _ in bad)
    yield Scene(
        name="bad packets take a set, too", image=image,
        packets=tuple(packet for pair in zip(bad, good) for packet in pair),
    )


MOST_QUEUED = 9
"""Packets that wait for sets, or the reverse, at most."""


def _select(request):
    """Write a packet's number, the context aside, to NEXT_SET."""
    return Write(address=REGISTERS["NEXT_SET"].offset, data=request & 0xFFFFFFFF)


def _clear():
    control: Register = REGISTERS["CONTROL"]
    return Write(address=control.offset, data=control["CLEAR_SETS"].mask)


def _level(sets):
    """So many sets must wait."""
    return Read(address=REGISTERS["NEXT_SET_LEVEL"].offset, want=sets, mask=0xFFFFFFFF)


# -- parameters ------------------------------------------------------------------------------------


def _updates(draw):
    c, image, other = draw.config, draw.image(), draw.image(sets=1)
    load = Load(image=other, source=0, index=0)
    length = min(3, c.max_tokens)
    first = draw.packet(0, length)
    begun = len(first.beats)
    if begun > 1:
        busy = (
            *(Write(address=address, data=0, refused=True) for address in (PARAM_DATA, COMMIT)),
            Read(address=STATUS, want=IN_FLIGHT, mask=IN_FLIGHT | FREE),
        )
        yield Scene(
            name="busy shadow", image=image, packets=(first, draw.packet(), draw.packet()),
            events=(
                Gate(1), Await(1, 2), load, *busy, Gate(begun), Await(begun), Press(1.0), *busy,
                Await(begun, 2 * c.cycles_per_token), *busy, Press(0.0), Gate(None), poll(),
                Write(address=PARAM_ADDRESS, data=0), Write(address=PARAM_DATA, data=0),
            ),
        )
    packets = tuple(draw.packet(0, length) for _ in range(4))
    events: list[Event] = []
    at = 0
    for i, packet in enumerate(packets[:-1]):  # each packet meets another set than the one before
        at += len(packet.beats)
        events += [*_gates(packets[: i + 1]), Await(at)]
        events += [Load(image=draw.image(sets=1), source=0, index=0)]
        events += [*_gates(packets[: i + 2]), Await(at + 1)]
    yield Scene(name="one after the other", image=image, packets=packets,
                events=(*events, *_opened(draw)))
    after = [draw.packet(0, length, pattern=PATTERNS["random"]) for _ in range(3)]
    yield Scene(
        name="words that no memory holds", image=image, packets=(first, *after),
        events=(
            Gate(begun), Load(image=other, source=0, index=0, strays=_strays(c, other)),
            Gate(None),
        ),
    )
    if c.parameter_sets > 1:
        new = min(c.parameter_sets - 1, RESIDENT)
        some = draw.image(sets=new)
        packets = (draw.packet(new), draw.packet(0), draw.packet(new), draw.packet(0))
        at = len(packets[0].beats)
        if selection(c).reaches(new):
            yield Scene(
                name="a set is loaded for the first time", image=some, packets=packets,
                events=(
                    *_gates(packets[:1]), Await(at), Load(image=other, source=0, index=new),
                    *_opened(draw),
                ),
            )
    packets = (draw.packet(0), draw.packet(c.parameter_sets - 1))
    yield Scene(name="no set is loaded", packets=packets)
    yield _thousands(draw)


def _strays(config, image):
    """A bit away from the first word of every region, where there is no other."""
    layout = MemoryMap(config)
    held = {address for address, _ in layout.load_words(image, 0)}
    first = [layout.address(region, 0, 0) for region in layout.regions.values()]
    strays = {address ^ 1 << bit for address in first for bit in range(32)}
    return tuple(sorted(strays - held))


def _thousands(draw):
    """So many packets that every count of them wraps, and updates around it."""
    c, image = draw.config, draw.image()
    short = draw.cut_off(tokens=1) if c.input_beats > 1 else draw.packet(0, 1)
    packets = [short] * THOUSANDS
    for at in range(0, THOUSANDS, THOUSANDS // 8):
        packets[at] = draw.packet(int(draw.rng.integers(image.sets)), 1)
    ends = np.cumsum([packet.lengths for packet in packets], axis=0)
    events: list[Event] = []
    idle = 64 * c.cycles_per_token + 8 * c.flow.transform_cycles + 256  # of packets in flight
    for count in ALTERNATING:  # at rest, which bit of a count is wrong shows
        gates = [Gate(int(end), stream) for stream, end in enumerate(ends[count - 1])]
        taken = [Await(gate.beat, 0, gate.stream) for gate in gates]
        rest = Read(address=STATUS, want=FREE, mask=IN_FLIGHT | FREE)
        load = Load(image=draw.image(sets=1), source=0, index=0)
        events += [*gates, *taken, Await(0, idle), rest, load, poll(), rest, *_opened(draw)]
    for at in (THOUSANDS // 2, THOUSANDS - 2):
        load = Load(image=draw.image(sets=1), source=0, index=0)
        events += [Await(int(ends[at, 0])), load]
    return Scene(
        name="thousands of packets", image=image, packets=(*packets, draw.packet(), draw.packet()),
        events=tuple(events),
    )


def _random_updates(draw):
    c = draw.config
    while True:
        image = draw.image()
        packets = tuple(draw.packet(int(draw.rng.integers(image.sets))) for _ in range(8))
        total = sum(len(packet.beats) for packet in packets)
        events: list[Event] = []
        for sent in sorted(int(n) for n in draw.rng.integers(0, total + 1, 3)):
            index = int(draw.rng.integers(min(image.sets + 1, c.parameter_sets)))
            events += [
                Await(sent, _delay(draw)),
                Load(image=draw.image(sets=1), source=0, index=index),
            ]
        yield Scene(
            name="updates", image=image, packets=packets, events=tuple(events), seed=draw.seed(),
            **draw.stalls(),
        )


# -- everything at once ----------------------------------------------------------------------------


def _scripts(draw):
    """Whatever can go wrong, in any order; resets cut scenes off."""
    c, rng = draw.config, draw.rng
    while True:
        image = draw.some()
        packets = [
            draw.bad(image) if rng.random() < 0.4
            else draw.packet(
                int(rng.integers(image.sets)), draw.affordable if rng.random() < 0.05 else None
            )
            for _ in range(rng.integers(3, 9))
        ]
        packets.append(draw.packet(int(rng.integers(image.sets))))
        total = sum(len(packet.beats) for packet in packets)
        actions: list[tuple[int, Event]] = []
        for _ in range(rng.integers(0, 4)):
            actions.append((int(rng.integers(total + 1)), abort()))
        for _ in range(rng.integers(0, 3)):
            index = int(rng.integers(min(image.sets + 1, c.parameter_sets)))
            load = Load(image=draw.image(sets=1), source=0, index=index)
            actions.append((int(rng.integers(total + 1)), load))
        for register in (ENABLE, ERRORS):
            if rng.random() < 0.5:
                write = Write(address=register, data=int(rng.integers(32)))
                actions.append((int(rng.integers(total + 1)), write))
        events: list[Event] = []
        for sent, action in sorted(actions, key=lambda action: action[0]):
            events += [Await(sent, _delay(draw)), action]
        cut = bool(rng.random() < 0.4)
        if cut:
            sent = int(rng.integers(total + 1))
            events = [event for event in events if not isinstance(event, Await)
                      or event.sent <= sent]
            events.append(Await(sent, _delay(draw, 60)))
        yield Scene(
            name="script", image=image, packets=tuple(packets), events=tuple(events),
            seed=draw.seed(), reset_cycles=int(rng.integers(1, 4)), cut=cut, **draw.stalls(),
        )


PHASES = {
    "registers": PhaseKind(
        about="reset values, access, strobes, refusals, delays, several in flight", share=1,
        directed=_registers,
    ),
    "lengths": PhaseKind(
        about="one token to max_tokens, and one more", share=6, directed=_lengths,
        random=_random_lengths,
    ),
    "extremes": PhaseKind(
        about="all lowest, highest, zero: data and parameters", share=3, directed=_extremes,
    ),
    "images": PhaseKind(
        about="random parameters, every set", share=4, directed=_every_set, random=_images,
    ),
    "stalls": PhaseKind(
        about="gaps and back-pressure from 0 to 0.95", share=5, directed=_stalls,
        random=_random_stalls,
    ),
    "faults": PhaseKind(
        about="bad packets of every kind, their flags and interrupts", share=5,
        directed=_faults, random=_random_faults,
    ),
    "aborts": PhaseKind(
        about="soft resets at every place of a packet", share=3, directed=_aborts,
        random=_random_aborts,
    ),
    "contexts": PhaseKind(
        about="contexts in any order, full, lost, and begun again", share=5, directed=_contexts,
        random=_random_contexts, applies=lambda config: config.flow.has_contexts,
    ),
    "pairs": PhaseKind(
        about="keys and queries of any lengths, either first, bad, aborted, or of different sets",
        share=5, directed=_pairs, random=_random_pairs,
        applies=lambda config: config.flow.has_pairs,
    ),
    "sets": PhaseKind(
        about="sets that wait for packets, and the reverse; none, as many as may be, and one more",
        share=2, directed=_queued_sets, applies=lambda config: config.next_set_depth > 0,
    ),
    "updates": PhaseKind(
        about="parameter sets loaded under load", share=4, directed=_updates,
        random=_random_updates,
    ),
    "scripts": PhaseKind(
        about="all of it in any order, with resets", share=6, directed=lambda draw: iter(()),
        random=_scripts,
    ),
}
"""Every phase but the design's own workload, in order."""
