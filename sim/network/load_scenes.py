# SPDX-License-Identifier: Apache-2.0
"""Parameter packets, good and bad, between the packets of a verification."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from ecoformer.sim.network.loads import BAD_LOADS, Load, bad_load
from ecoformer.sim.network.packets import Packet
from ecoformer.sim.network.scenes import Scene
from ecoformer.sim.network.stimulus import random_image
from ecoformer.spec.network.image import NetworkImage
from ecoformer.spec.network.load import Design
from ecoformer.spec.network.packet import parameter_packet

__all__ = ["LOADS", "make_load_scenes"]

LOADS = "loads"
"""Phase of a loadable network in which parameters are loaded."""
FEW = 6
"""Packets between two loads, at most."""


def make_load_scenes(
    design: Design,
    image: NetworkImage,
    draw: Callable[[int], Sequence[Packet]],
    rng: np.random.Generator,
    *,
    rounds: int = 1,
) -> Iterator[Scene]:
    """Scenes of the phase `LOADS`; behind the last one, parameters are those of ``image``.

    Parameters
    ----------
    draw : function of int
        So many packets of images or tokens.
    """
    good = parameter_packet(design, image)

    def scene(name, packets, loads, stall=0.0, **options):
        seed = int(rng.integers(1 << 31))
        return Scene(LOADS, name, [*packets], stall, stall, seed, loads=tuple(loads), **options)

    def others(*after):
        for number, place in enumerate(after):
            other = random_image(design, int(rng.integers(1 << 31)), extremes=bool(number % 2))
            yield Load(parameter_packet(design, other), other, place)

    for turn in range(rounds):
        for stall in (0.0, 0.3):
            yield scene(
                f"other parameters, stalls {stall:g}, {turn}", draw(3 * FEW),
                others(0, FEW, FEW, 2 * FEW), stall,
            )
        kinds = [*BAD_LOADS, *rng.permutation(BAD_LOADS[:3])]
        bad = [Load(bad_load(good, kind, rng), image, 1 + i) for i, kind in enumerate(kinds)]
        packets = draw(len(kinds) + FEW)
        yield scene(f"bad ones, {turn}", packets, [*bad, Load(good, image, len(bad) + 2)])
        long = Load(bad_load(good, "a byte too long", rng), image)
        yield scene(f"too long, and another at once, {turn}", draw(2), [long, Load(good, image)])
        for stall in (0.0, 0.3):
            limit = int(rng.integers(1, len(good)))  # a byte is taken per cycle at most
            name = f"reset after {limit:,} cycles of a load, {turn}"
            yield scene(name, [], others(0), stall, limit=limit)
            yield scene(f"{name}, then", draw(2), [])
            yield scene(f"{name}, and then", draw(FEW), [Load(good, image, 2)], stall)
        yield scene(f"the same again, {turn}", draw(3 * FEW), [Load(good, image, 2 * FEW)])
