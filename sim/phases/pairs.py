# SPDX-License-Identifier: Apache-2.0
"""Scenes of pairs of packets, where queries come by themselves."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import product

from ecoformer.sim.phases.bad_packets import bad_on, mismatches
from ecoformer.sim.phases.draw import Draw
from ecoformer.sim.phases.streams import opened, upto
from ecoformer.sim.script import Await, Event, Gate, Load, Scene, abort
from ecoformer.spec.dataflows.cross import AHEAD

__all__ = ["pairs", "random_pairs"]


def pairs(draw: Draw) -> Iterator[Scene]:
    """Of every two lengths, either stream first or stopped, bad, aborted, and updated."""
    c, image = draw.config, draw.image()
    longest = c.max_tokens
    sizes = sorted({1, min(2, longest), longest})
    for keys, queries in product(sizes, sizes):
        packets = tuple(
            replace(draw.packet(user, keys), partner=draw.queries(user, queries))
            for user in (i % image.sets for i in range(3))
        )
        yield Scene(name=f"{keys} keys, {queries} queries", image=image, packets=packets)
    packets = tuple(
        replace(draw.packet(0, keys), partner=draw.queries(0, queries))
        for keys, queries in [(1, longest), (longest, 1)] * 3
    )
    yield Scene(name="long and short in turn", image=image, packets=packets)
    yield Scene(
        name="long and short in turn, under stalls", image=image, packets=packets, gaps=0.6,
        pressure=0.3, seed=draw.seed(),
    )
    for stream, name in enumerate(("keys", "queries")):
        other = 1 - stream
        for kind, length, count in (("a long packet", longest, 1), ("short packets", 1, AHEAD)):
            packets = tuple(
                replace(draw.packet(0, length), partner=draw.queries(0, length))
                for _ in range(AHEAD + 2)
            )
            first = upto(packets[:count])[stream]
            yield Scene(  # that they are taken at all is waited for
                name=f"{name} first, {kind}", image=image, packets=packets,
                events=(Gate(0, other), Await(first, 300, stream), Gate(None, other)),
            )
        packets = tuple(
            replace(draw.packet(0, longest), partner=draw.queries(0, longest)) for _ in range(4)
        )
        middle = upto(packets)[stream] // 2
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
    kinds = [(name, bad) for name, bad in bad_on(draw, image, 0)]
    asked = [(name, bad) for name, bad in bad_on(draw, image, 1)]
    for (one, keys), (other, queries) in zip(kinds * 2, asked[::-1] * 2):
        yield Scene(
            name=f"{one}; queries: {other}", image=image,
            packets=(draw.packet(), replace(keys, partner=queries), draw.packet()),
        )
    image = draw.image()
    bad = mismatches(draw, image)
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
                *opened(draw),
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
            first = upto(packets[:ahead])[stream]
            yield Scene(
                name=f"a set is replaced after {ahead} of {name}", image=image, packets=packets,
                events=(
                    Gate(0, other), Gate(first, stream), Await(first, 4, stream), load,
                    *opened(draw),
                ),
            )


def random_pairs(draw: Draw) -> Iterator[Scene]:
    """Packets of any lengths; now and then one of the streams stops for a while."""
    while True:
        image, rng = draw.some(), draw.rng
        packets = draw.mixed(image, 10, bad=0.2)
        events: list[Event] = []
        for _ in range(rng.integers(4)):
            stream = int(rng.integers(2))
            at = int(rng.integers(upto(packets)[stream] + 1))
            wait = Await(0, int(rng.integers(1, 40 * draw.config.cycles_per_token)))
            events += [Gate(at, stream), wait, Gate(None, stream)]
        yield Scene(
            name="pairs", image=image, packets=tuple(packets), events=tuple(events),
            seed=draw.seed(), **draw.stalls(),
        )
