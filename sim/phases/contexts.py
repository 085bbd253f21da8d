# SPDX-License-Identifier: Apache-2.0
"""Scenes of packets that go on with contexts, under a causal mask."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from ecoformer.sim.contexts import Asked
from ecoformer.sim.phases.addresses import ENABLE, ERRORS
from ecoformer.sim.phases.bad_packets import bad_packets
from ecoformer.sim.phases.draw import Draw
from ecoformer.sim.script import Await, Drain, Gate, Level, Read, Scene, Write, abort
from ecoformer.spec.config import Config
from ecoformer.spec.registers import REGISTERS, Error

__all__ = ["contexts", "random_contexts"]


def contexts(draw: Draw) -> Iterator[Scene]:
    """Begun, continued, interleaved, full, and lost."""
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
    for name, bad in bad_packets(draw, image):
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


def random_contexts(draw: Draw) -> Iterator[Scene]:
    """Many short packets; among them some that are bad."""
    while True:
        image = draw.some()
        packets = draw.mixed(image, 24, bad=0.1)
        yield Scene(
            name="contexts", image=image, packets=tuple(packets), seed=draw.seed(),
            **draw.stalls(),
        )
