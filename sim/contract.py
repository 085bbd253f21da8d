# SPDX-License-Identifier: Apache-2.0
"""What must come back from a scene, by the contract of the wire.

It follows from the packets and from the cycles in which the engine took their beats and the
register writes: which set a packet uses, whether it is bad or aborted, and what is counted.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ecoformer.golden.integer.attention import attend
from ecoformer.golden.integer.hashing import hash_tokens
from ecoformer.sim.script import Scene
from ecoformer.sim.selection import selection
from ecoformer.spec.config import Config
from ecoformer.spec.parameters import ParameterImage
from ecoformer.spec.registers import Error

__all__ = ["Answer", "Commit", "answers", "packet_error"]

NEVER = float("inf")


@dataclass(frozen=True, kw_only=True, eq=False)
class Answer:
    """What one packet must be answered with.

    Parameters
    ----------
    config : Config
    image : ParameterImage or None
        Holds the set that the packet uses; None if there is no such set, and then no token is used.
    index : int
        That set within ``image``.
    tag : int
        Set number in ``m_axis_tuser``.
    tokens, values : int64 array [N, D], [N, E]
        Whole tokens of the packet; of a bad one, those that reach the hash unit.
    error : Error or None
    cause : float
        Cycle that made an error of it, or in which its last beat was taken.
    """

    config: Config
    image: ParameterImage | None
    index: int
    tag: int
    tokens: np.ndarray
    values: np.ndarray
    error: Error | None
    cause: float = 0

    @property
    def _loaded(self) -> ParameterImage:
        if self.image is None:
            raise ValueError("A packet without a set has neither codes nor results")
        return self.image

    @cached_property
    def _attended(self) -> tuple[np.ndarray, int]:
        outputs, guarded = attend(self.config, self._loaded, self.index, self.tokens, self.values)
        return outputs, int(guarded)

    @property
    def outputs(self) -> np.ndarray:
        """Results of a good packet: int64 [N, E]."""
        return self._attended[0]

    @property
    def guarded(self) -> int:
        """Tokens of a good packet whose denominator was not positive."""
        return self._attended[1]

    @property
    def codes(self) -> np.ndarray:
        """Codes of the tokens, at least one, that are hashed: int64 [n, b] for every side."""
        return hash_tokens(self.config, self._loaded, self.index, self.tokens)


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
    expected, at = [], 0
    for packet in scene.packets:
        mine = taken[at : at + len(packet.beats)].tolist()
        at += len(packet.beats)
        if not mine:
            break
        answer = _answer(config, scene, packet, mine, commits, aborts)
        if answer is not None:
            expected.append(answer)
    return expected


def packet_error(config: Config, beats: int, known: bool) -> tuple[int, Error] | None:
    """Beat that makes a packet bad and its `Error`, or None.

    Parameters
    ----------
    beats : int
        Beats of the packet.
    known : bool
        Whether its parameter set is loaded.
    """
    if not known:
        return 0, Error.UNKNOWN_SET
    if beats > config.max_tokens * config.input_beats:
        return config.max_tokens * config.input_beats, Error.TOO_LONG
    if beats % config.input_beats:
        return beats - 1, Error.MISALIGNED
    return None


def _answer(config, scene, packet, taken, commits, aborts):
    image, index = _resident(scene, packet.user, taken[0], commits)
    error, cause = _error(config, packet, taken, image is not None, aborts)
    if error is None and len(taken) < len(packet.beats):
        return None  # the reset came first
    tokens = packet.tokens[: config.max_tokens] if image is not None else packet.tokens[:0]
    return Answer(
        config=config, image=image, index=index, tag=selection(config).answered(packet.user),
        tokens=tokens, values=packet.values[: len(tokens)], error=error, cause=cause,
    )


def _resident(scene, user, begun, commits):
    """Image and set within it that a packet for ``user`` uses if it begins in cycle ``begun``."""
    for commit in reversed(commits):
        if commit.index == user and commit.cycle < begun:
            return commit.image, commit.source
    return (scene.image, user) if user < scene.sets else (None, 0)


def _error(config, packet, taken, known, aborts):
    """Error of a packet whose beats were taken in the cycles ``taken``, perhaps not all; its cause.

    A soft reset hits a packet that began before it and was not complete before it, unless it was
    found bad before or in the same cycle.
    """
    count = len(packet.beats)
    found = packet_error(config, count, known)
    when = taken[found[0]] if found and found[0] < len(taken) else NEVER
    end = taken[-1] if len(taken) == count else NEVER
    for cycle in aborts:
        if taken[0] < cycle <= end and cycle < when:
            return Error.ABORTED, cycle
    return (found[1], when) if when < NEVER else (None, end)
