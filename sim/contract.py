# SPDX-License-Identifier: Apache-2.0
"""What must come back from a scene, by the contract of the wire.

It follows from the packets and from the cycles in which the engine took their beats and the
register writes: which set a packet uses, whether it is bad or aborted, and what is counted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from ecoformer.sim.contexts import Answer, History, history
from ecoformer.sim.pairs import PairAnswer
from ecoformer.sim.rows import first_mismatch
from ecoformer.sim.script import Packet, Scene
from ecoformer.sim.selection import selection
from ecoformer.spec.config import Config
from ecoformer.spec.parameters import ParameterImage
from ecoformer.spec.registers import Error

__all__ = ["Answer", "Commit", "Resident", "answer_to", "answers", "packet_error"]

NEVER = float("inf")
Resident = Callable[[int, float], tuple[ParameterImage | None, int]]
"""Image, and set within it, that a packet uses which asks for a set and begins in a cycle; None if
there is no such set."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Commit:
    """A set that was committed: set ``source`` of ``image`` became set ``index`` in ``cycle``."""

    cycle: int
    image: ParameterImage
    source: int
    index: int


def answers(
    config: Config,
    scene: Scene,
    taken: Sequence[np.ndarray],
    commits: list[Commit],
    aborts: list[int],
) -> list[Answer]:
    """Answers to the packets of ``scene``, in order, as far as they follow from what was taken.

    Parameters
    ----------
    taken : list of int64 array [beats]
        Cycle in which each beat of each stream was taken; shorter than the scene's if the scene was
        cut.
    commits : list of Commit
        In order; those of the sets that are there from the first packet on aside.
    aborts : list of int
        Cycles of the soft resets.
    """
    expected, before = [], history(config)
    at = [0] * len(taken)

    def resident(user, begun):
        return _resident(scene, user, begun, commits)

    for packet in scene.packets:
        ends = [start + length for start, length in zip(at, packet.lengths)]
        mine = [one[a:b].tolist() for one, a, b in zip(taken, at, ends)]
        at = ends
        if not all(mine):
            break
        found = answer_to(config, before, packet, resident, mine, aborts)
        if found is not None:
            expected.append(found)
    return expected


def answer_to(
    config: Config,
    before: History,
    packet: Packet,
    resident: Resident,
    taken: Sequence[Sequence[int]] | None = None,
    aborts: Iterable[int] = (),
) -> Answer | None:
    """Answer to one packet, or pair; None if the reset came first and no beat of it follows.

    Parameters
    ----------
    before : History
        What packets left behind; this one adds to it.
    resident : Resident
    taken : list of list of int
        For each stream the cycles in which its beats were taken, perhaps not all; one after the
        other by default.
    aborts : iterable of int
        Cycles of the soft resets.
    """
    cycles = [*map(range, packet.lengths)] if taken is None else taken
    if packet.partner is not None:
        return _answer_to_pair(config, packet, resident, cycles, aborts)
    (mine,) = cycles
    return _answer_to_packet(config, before, packet, resident(packet.user, mine[0]), mine, aborts)


def _answer_to_packet(config, before, packet, resident, taken, aborts):
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


def _answer_to_pair(config, pair, resident, taken, aborts):
    """Answer to two packets, each of which is checked by itself.

    For the same set, both use what the earlier of them found.
    """
    before, begun = History(config), [cycles[0] for cycles in taken]
    found = [resident(one.user, cycle) for one, cycle in zip(pair.streams, begun)]
    errors, causes, tokens = [], [], []
    for one, inlet, cycles, (image, _) in zip(pair.streams, config.wire.inlets, taken, found):
        error, cause = _error(config, before, one, cycles, image is not None, aborts, inlet.beats)
        errors.append(error)
        causes.append(cause)
        reached = one.tokens[: config.max_tokens if image is not None else 0]
        tokens.append(reached)
    if max(causes) == NEVER:
        return None
    used = list(found)
    mismatch = Error.PAIR_MISMATCH if pair.user != pair.partner.user else None
    earlier = int(begun[1] < begun[0])
    if mismatch is None and found[earlier][0] is not None:
        used[1 - earlier] = found[earlier]
    bad = [error for error in (*errors, mismatch) if error is not None]
    (image, index), (asking, asking_index) = used
    keys, queries = tokens
    return PairAnswer(
        config=config, image=image, index=index, asking=asking, asking_index=asking_index,
        tokens=keys, values=pair.values[: len(keys)], queries=queries,
        tag=selection(config).answered(pair.user, pair.asked), error=bad[0] if bad else None,
        cause=max(causes),
    )


def packet_error(
    config: Config,
    beats: int,
    known: bool,
    room: int | None,
    mismatch: int | None = None,
    every: int | None = None,
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
    every : int
        Beats of a token; of one on ``s_axis`` by default.
    """
    every = every or config.input_beats
    if not known:
        return 0, Error.UNKNOWN_SET
    if room is None:
        return 0, Error.CONTEXT_LOST
    most = room * every
    if mismatch is not None and mismatch < most:
        return mismatch, Error.KEEP_MISMATCH
    if beats > most:
        return most, Error.TOO_LONG
    if beats % every:
        return beats - 1, Error.MISALIGNED
    return None


def _resident(scene, user, begun, commits):
    """Image and set within it that a packet for ``user`` uses if it begins in cycle ``begun``."""
    for commit in reversed(commits):
        if commit.index == user and commit.cycle < begun:
            return commit.image, commit.source
    return (scene.image, user) if user < scene.sets else (None, 0)


def _error(config, before, packet, taken, known, aborts, every=None):
    """Error of a packet whose beats were taken in the cycles ``taken``, perhaps not all; its cause.

    A soft reset hits a packet that began before it and was not complete before it, unless it was
    found bad before or in the same cycle.
    """
    count = len(packet.beats)
    mismatch = first_mismatch(config, packet.beats)
    found = packet_error(config, count, known, before.room(packet.asked), mismatch, every)
    when = taken[found[0]] if found and found[0] < len(taken) else NEVER
    end = taken[-1] if len(taken) == count else NEVER
    for cycle in aborts:
        if taken[0] < cycle <= end and cycle < when:
            return Error.ABORTED, cycle
    return (found[1], when) if when < NEVER else (None, end)
