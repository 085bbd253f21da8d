# SPDX-License-Identifier: Apache-2.0
"""Blocks of other makers around an engine, beat by beat, as their documents say they behave."""

from typing import NamedTuple

__all__ = ["Beat", "downsize", "frame_fifo", "packets_of", "transfer", "upsize"]


class Beat(NamedTuple):
    """A beat of AXI4-Stream."""

    data: bytes
    keep: tuple[bool, ...]
    user: int
    last: bool


def transfer(memory: bytes, width: int, *, user=0, later=None) -> list[Beat]:
    """What a DMA makes of a piece of memory: whole beats without gaps, the last perhaps partial.

    ``later`` is the ``tuser`` of the beats after the first, if it is not held.
    """
    starts = range(0, len(memory), width)
    beats = []
    for start in starts:
        piece = memory[start : start + width]
        padding = width - len(piece)
        held = user if start == 0 or later is None else later
        beats.append(Beat(piece + bytes(padding), (True,) * len(piece) + (False,) * padding,
                          held, start == starts[-1]))
    return beats


def upsize(beats: list[Beat], ratio: int) -> list[Beat]:
    """Wide beats of ``ratio`` narrow ones; ``tuser`` is that of the last of them."""
    wide = []
    for packet in packets_of(beats):
        for at in range(0, len(packet), ratio):
            group = packet[at : at + ratio]
            missing = (ratio - len(group)) * len(group[0].data)
            wide.append(Beat(
                b"".join(beat.data for beat in group) + bytes(missing),
                sum((beat.keep for beat in group), ()) + (False,) * missing,
                group[-1].user, group[-1].last,
            ))
    return wide


def downsize(beats: list[Beat], ratio: int) -> list[Beat]:
    """Narrow beats; those without data are left out, and ``tlast`` moves to the last with any."""
    narrow = []
    for beat in beats:
        size = len(beat.data) // ratio
        pieces = [
            Beat(beat.data[at : at + size], beat.keep[at : at + size], beat.user, False)
            for at in range(0, len(beat.data), size) if any(beat.keep[at : at + size])
        ]
        narrow += [*pieces[:-1], pieces[-1]._replace(last=beat.last)]
    return narrow


def frame_fifo(beats: list[Beat], *, mask=1, value=1) -> list[Beat]:
    """Whole packets, but those that are bad: ``tuser`` on their last beat is ``value`` in ``mask``.

    Mask and value are 1 by default.
    """
    return [
        beat for packet in packets_of(beats) if packet[-1].user & mask != value for beat in packet
    ]


def packets_of(beats: list[Beat]) -> list[list[Beat]]:
    """Beats of each packet."""
    packets, packet = [], []
    for beat in beats:
        packet.append(beat)
        if beat.last:
            packets.append(packet)
            packet = []
    assert not packet
    return packets
