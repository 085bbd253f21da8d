# SPDX-License-Identifier: Apache-2.0
"""A packet, or pair of packets, of every kind that is bad."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from ecoformer.sim.phases.draw import Draw
from ecoformer.sim.script import Packet
from ecoformer.spec.parameters import ParameterImage

__all__ = ["bad_on", "bad_packets", "mismatches"]


def bad_packets(draw: Draw, image: ParameterImage) -> Iterator[tuple[str, Packet]]:
    """One of every kind, by name; of pairs, with either packet bad."""
    for stream, prefix in enumerate(("", "queries: ")[: len(draw.config.wire.inlets)]):
        for name, bad in bad_on(draw, image, stream):
            yield prefix + name, draw.pair_of(bad, stream)


def bad_on(draw: Draw, image: ParameterImage, stream: int) -> Iterator[tuple[str, Packet]]:
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


def mismatches(draw: Draw, image: ParameterImage) -> list[Packet]:
    """Pairs of good packets for different sets, where there are pairs and sets."""
    sets = range(image.sets)
    return [
        draw.pair_of(draw.on(stream)(other), stream, user)
        for stream in range(1, len(draw.config.wire.inlets))
        for user in sets for other in sets if user != other
    ]
