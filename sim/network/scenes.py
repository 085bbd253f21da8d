# SPDX-License-Identifier: Apache-2.0
"""What a verification plays on a network, phase by phase."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from ecoformer.sim.network.loads import Load
from ecoformer.sim.network.packets import BAD, Packet, bad_packet, packets_of, with_bad_ones
from ecoformer.spec.network.design import NetworkDesign

__all__ = ["PHASES", "Scene", "corner_images", "make_scenes"]

PHASES = ("images", "extremes", "stalls", "latency", "bad", "resets", "rate")
"""Names of all phases of one set of parameters, in their order."""
AT_ONCE = 16
"""Images of a scene: what their layers send is held in memory."""
MOST_INSIDE = 32
"""About how many tokens are in a shared block and around it, beside two images."""
STALLS = ((0.3, 0.0), (0.0, 0.3), (0.5, 0.5), (0.9, 0.0), (0.0, 0.9))
"""Gaps and back-pressure of the scenes of a phase."""


@dataclass(frozen=True)
class Scene:
    """Packets that are sent, and how.

    Parameters
    ----------
    phase, name : str
    packets : list of Packet
        Their images are numbers of the verification's images.
    gaps, pressure : float
        Probability of a gap before a beat, and of back-pressure on one.
    seed : int
        Of the stalls.
    limit : int or None
        Cycles after which a reset comes.
    rate : bool
        Whether answers must come at exactly the rate of the network.
    latency : bool
        Whether its images, each sent alone, must all take equally long.
    loads : tuple of Load
        Parameter packets that are sent beside them.
    """

    phase: str
    name: str
    packets: list[Packet]
    gaps: float = 0.0
    pressure: float = 0.0
    seed: int = 0
    limit: int | None = None
    rate: bool = False
    latency: bool = False
    loads: tuple[Load, ...] = ()


def corner_images(design: NetworkDesign) -> np.ndarray:
    """Images uint8 [n, channels, S, S] at the ends of what there is.

    Black, white, one channel of each, a chessboard and its negative, and single pixels in corners.
    """
    side, channels = design.image_size, design.channels
    rows, columns = np.indices((side, side))
    chess = ((rows + columns) % 2 * 255).astype(np.uint8)
    plain = [np.full((channels, side, side), value, np.uint8) for value in (0, 255)]
    boards = [np.broadcast_to(board, (channels, side, side)) for board in (chess, 255 - chess)]
    colours = []
    for channel in range(channels if channels > 1 else 0):
        colours.append(np.zeros((channels, side, side), np.uint8))
        colours[-1][channel] = 255
    corners = []
    for row, column in ((0, 0), (-1, -1)):
        corners.append(np.zeros((channels, side, side), np.uint8))
        corners[-1][:, row, column] = 255
    return np.stack([*plain, *boards, *colours, *corners])


def make_scenes(
    design: NetworkDesign,
    pixels: np.ndarray,
    extremes: np.ndarray,
    *,
    phases: Sequence[str] = PHASES,
    rounds: int = 1,
    stall: float = 0.0,
    seed: int = 0,
) -> Iterator[Scene]:
    """The scenes of ``phases``, in the order of `PHASES`.

    Parameters
    ----------
    pixels, extremes : uint8 arrays [n, channels, S, S]
        Images; those of ``extremes`` are numbered behind those of ``pixels``.
    rounds : int
        How often everything random is repeated.
    stall : float
        Of the phase ``images``.
    """
    rng = np.random.default_rng([seed, 1])
    given = packets_of(design, pixels)
    corners = [
        Packet(packet.beats, packet.image + len(given))
        for packet in packets_of(design, extremes) if packet.image is not None
    ]
    deep = 2 * design.depth + 6
    """Images that fill the pipeline, and as many as are then looked at."""
    if design.rolled:  # as many as there are tokens in a block and in the memory around it
        deep += MOST_INSIDE // design.tokens

    def drawn(count):
        return [given[i] for i in rng.integers(0, len(given), count)]

    def fresh():
        return int(rng.integers(1 << 31))

    makers = {
        "images": lambda: (
            Scene("images", f"images {start}…{start + len(part) - 1}", part, stall, stall, fresh())
            for start in range(0, len(given), AT_ONCE) if (part := given[start : start + AT_ONCE])
        ),
        "extremes": lambda: [Scene("extremes", "extremes", corners)],
        "stalls": lambda: (
            Scene(
                "stalls", f"gaps {gaps:g}, back-pressure {pressure:g}",
                drawn(4 if max(gaps, pressure) < 0.9 else 2), gaps, pressure, fresh(),
            )
            for _ in range(rounds) for gaps, pressure in STALLS
        ),
        "latency": lambda: [Scene("latency", "one at a time", drawn(3), latency=True)],
        "bad": lambda: _bad_scenes(design, rng, drawn, fresh, rounds),
        "resets": lambda: _resets(design, rng, drawn, fresh, rounds),
        "rate": lambda: [Scene("rate", "a long row", drawn(2 * deep), rate=True)],
    }
    for phase in PHASES:
        if phase in phases:
            yield from makers[phase]()


def _bad_scenes(design, rng, drawn, fresh, rounds):
    for turn in range(rounds):
        for stall in (0.0, 0.3):
            mixed = with_bad_ones(design, drawn(len(BAD) + 1), rng)
            yield Scene("bad", f"bad ones between, {turn}", mixed, stall, stall, fresh())
        several = [bad_packet(design, kind, rng) for kind in (*BAD, *BAD)]
        row = [*filter(None, several), *drawn(2)]
        yield Scene("bad", f"bad ones in a row, {turn}", row, seed=fresh())


def _resets(design, rng, drawn, fresh, rounds):
    """A reset while images are in flight; the scene behind it shows that nothing is left."""
    span = (design.depth + 4) * design.cycles_per_image + 2 * design.pixels
    for turn in range(4 * rounds):
        packets = with_bad_ones(design, drawn(4), rng)
        stall = 0.0 if turn % 2 else 0.2
        limit = int(rng.integers(1, span))
        name = f"reset after {limit:,} cycles"
        yield Scene("resets", name, packets, stall, stall, fresh(), limit=limit)
        yield Scene("resets", f"{name}, then", drawn(2), stall, stall, fresh())
