# SPDX-License-Identifier: Apache-2.0
"""What must come back from a scene, by the contract of the wire.

It follows from the packets and from the cycles in which the engine took their beats and the
register writes: which set a packet uses, whether it is bad or aborted, and what is counted.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from ecoformer.sim.contexts import Answer, History, history
from ecoformer.sim.rows import first_mismatch
from ecoformer.sim.script import Packet, Scene
from ecoformer.sim.selection import selection
from ecoformer.spec.config import Config
from ecoformer.spec.parameters import ParameterImage
from ecoformer.spec.registers import Error

__all__ = ["Answer", "Commit", "answer_to", "answers", "packet_error"]

NEVER = float("inf")


@dataclass(frozen=True, kw_only=True, eq=False)
class Commit:
    """A set that was committed: set ``source`` of ``image`` became set ``index`` in ``cycle``."""

    cycle: int
    image: ParameterImage
    source: int
    index: int


def answers(
    config: Config, scene: Scene, taken: np.ndarray, commits: list[Commit], aborts: list[int]
) -> list[Answer]:
    """Answers to the packets of ``scene``, in order, as far as they follow from what was taken.

    Parameters
    ----------
    taken : int64 array [beats]
        Cycle in which each beat was taken; shorter than the scene's if the scene was cut.
    commits : list of Commit
        In order; those of the sets that are there from the first packet on aside.
    aborts : list of int
        Cycles of the soft resets.
    """
    expected, at, before = [], 0, history(config)
    for packet in scene.packets:
        mine = taken[at : at + len(packet.beats)].tolist()
        at += len(packet.beats)
        if not mine:
            break
        resident = _resident(scene, packet.user, mine[0], commits)
        found = answer_to(config, before, packet, resident, mine, aborts)
        if found is not None:
            expected.append(found)
    return expected


def answer_to(
    config: Config,
    before: History,
    packet: Packet,
    resident: tuple[ParameterImage | None, int],
    taken: Sequence[int] | None = None,
    aborts: Iterable[int] = (),
) -> Answer | None:
    """Answer to one packet; None if the reset came first and no beat of it follows.

    Parameters
    ----------
    before : History
        What packets left behind; this one adds to it.
    resident : (ParameterImage or None, int)
        Image, and set within it, that the packet uses; None if there is no such set.
    taken : list of int
        Cycles in which its beats were taken, perhaps not all; one after the other by default.
    aborts : iterable of int
        Cycles of the soft resets.
    """
    taken = range(len(packet.beats)) if taken is None else taken
    image, index = resident
    error, cause = _error(config, before, packet, taken, image is not None, aborts)
    tokens = packet.tokens[: config.max_tokens] if image is not None else packet.tokens[:0]
    ends = taken[config.input_beats - 1 :: config.input_beats]
    return before.answer(
        packet.asked, came=sum(end < cause for end in ends) if error is not None else len(ends),
        begun=taken[0], error=error, tokens=tokens, values=packet.values[: len(tokens)],
        finished=error is not None or len(taken) == len(packet.beats), config=config, image=image,
        index=index, tag=selection(config).answered(packet.user, packet.asked), cause=cause,
    )


def packet_error(
    config: Config, beats: int, known: bool, room: int | None, mismatch: int | None = None
) -> tuple[int, Error] | None:
    """Beat that makes a packet bad and its `Error`, or None.

    Parameters
    ----------
    beats : int
        Beats of the packet.
    known : bool
        Whether its parameter set is loaded.
    room : int or None
        Tokens that it may have; None if its context is lost.
    mismatch : int or None
        First beat whose ``tkeep`` is not that of a token; None if there is none.
    """
    if not known:
        return 0, Error.UNKNOWN_SET
    if room is None:
        return 0, Error.CONTEXT_LOST
    most = room * config.input_beats
    if mismatch is not None and mismatch < most:
        return mismatch, Error.KEEP_MISMATCH
    if beats > most:
        return most, Error.TOO_LONG
    if beats % config.input_beats:
        return beats - 1, Error.MISALIGNED
    return None


def _resident(scene, user, begun, commits):
    """Image and set within it that a packet for ``user`` uses if it begins in cycle ``begun``."""
    for commit in reversed(commits):
        if commit.index == user and commit.cycle < begun:
            return commit.image, commit.source
    return (scene.image, user) if user < scene.sets else (None, 0)


def _error(config, before, packet, taken, known, aborts):
    """Error of a packet whose beats were taken in the cycles ``taken``, perhaps not all; its cause.

    A soft reset hits a packet that began before it and was not complete before it, unless it was
    found bad before or in the same cycle.
    """
    count = len(packet.beats)
    mismatch = first_mismatch(config, packet.beats)
    found = packet_error(config, count, known, before.room(packet.asked), mismatch)
    when = taken[found[0]] if found and found[0] < len(taken) else NEVER
    end = taken[-1] if len(taken) == count else NEVER
    for cycle in aborts:
        if taken[0] < cycle <= end and cycle < when:
            return Error.ABORTED, cycle
    return (found[1], when) if when < NEVER else (None, end)
