# SPDX-License-Identifier: Apache-2.0
"""Random packets and images for the scenes of a phase."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import cycle, product
from typing import Any, Self

import numpy as np

from ecoformer.sim.contexts import FRESH, Asked, history
from ecoformer.sim.faults import impossible_faults
from ecoformer.sim.script import Packet
from ecoformer.sim.selection import selection
from ecoformer.sim.stimulus import PATTERNS, random_image
from ecoformer.spec.config import Config
from ecoformer.spec.parameters import ParameterImage

__all__ = ["Draw", "RESIDENT", "STALLS"]

STALLS = (0.0, 0.0, 0.1, 0.4, 0.8, 0.95)
"""Probabilities of a gap and of back-pressure that random scenes draw from."""
RESIDENT = 3
"""Sets that scenes load, at most."""
IMAGES = 6
"""Random images of a phase with the same number of sets."""
SHORT = 5
"""Tokens of most packets, at most."""
FEW_QUERIES = 0.5
"""Share of long packets of keys whose queries are few."""


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

    def stalls(self) -> dict[str, Any]:
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

    def mixed(self, image: ParameterImage, count: int, bad: float) -> list[Packet]:
        """``count`` packets, each of which is :meth:`bad` with a probability of ``bad``."""
        return [
            self.bad(image) if self.rng.random() < bad
            else self.packet(int(self.rng.integers(image.sets)))
            for _ in range(count)
        ]

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
