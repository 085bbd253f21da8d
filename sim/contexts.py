# SPDX-License-Identifier: Apache-2.0
"""What packets leave behind in an engine: nothing, or the contexts that later ones continue.

What the two kinds of engine ask of a bench is here and nowhere else.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import Any, NamedTuple

import numpy as np

from ecoformer.golden.integer.attention import attend, attend_on, empty_state
from ecoformer.golden.integer.dataflows.linear import State
from ecoformer.golden.integer.hashing import hash_tokens
from ecoformer.sim.rows import answer_rows, error_row
from ecoformer.spec.config import Config
from ecoformer.spec.parameters import ParameterImage
from ecoformer.spec.registers import Error

__all__ = ["FRESH", "Answer", "Asked", "Continued", "History", "history"]

GOING_ON = 0.75
"""Share of the packets of a random workload that go on with their context, if they can."""
BLIND = 0.5
"""Share of random packets that go on with a context which may be lost."""


class Asked(NamedTuple):
    """The context of a packet, and whether the packet begins it."""

    context: int = 0
    begin: bool = True


FRESH = Asked()
"""What every packet asks for where there are no contexts."""


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
        What the answer carries beside its data, the error bit aside (`sim.selection`).
    tokens, values : int64 array [N, D], [N, E]
        Whole tokens of the packet; of a bad one, those that reach the hash unit.
    error : Error or None
    cause : float
        Cycle that made an error of it, or in which its last beat was taken.
    finished : bool
        Whether it ends; else a reset came before, and only its first tokens may be answered.
    """

    config: Config
    image: ParameterImage | None
    index: int
    tag: int
    tokens: np.ndarray
    values: np.ndarray
    error: Error | None
    cause: float = 0
    finished: bool = True

    @property
    def _loaded(self) -> ParameterImage:
        if self.image is None:
            raise ValueError("A packet without a set has neither codes nor results")
        return self.image

    @property
    def answered(self) -> int:
        """Tokens that are answered: of a bad packet none."""
        return len(self.tokens) if self.error is None else 0

    @property
    def since(self) -> float:
        """Cycle after which its tokens may be answered."""
        return self.cause

    @cached_property
    def _attended(self) -> tuple[np.ndarray, int]:
        if not self.answered:
            return np.zeros((0, self.config.value_dim), np.int64), 0
        return self._attend()

    def _attend(self):
        outputs, guarded = attend(self.config, self._loaded, self.index, self.tokens, self.values)
        return outputs, int(guarded)

    @property
    def outputs(self) -> np.ndarray:
        """Results of the tokens that are answered: int64 [n, E]."""
        return self._attended[0]

    @property
    def guarded(self) -> int:
        """Tokens among them whose denominator was not positive."""
        return self._attended[1]

    @property
    def codes(self) -> list[np.ndarray]:
        """Codes of the tokens that are hashed, for each stream: int64 [n, b] for its sides."""
        return [self._codes(0, self.image, self.index, self.tokens)]

    def _codes(self, stream, image, index, tokens):
        if not len(tokens):
            return np.zeros((0, 0), np.int64)
        return hash_tokens(self.config, image, index, tokens, self.config.wire.inlets[stream])

    @property
    def beats(self) -> np.ndarray:
        """Rows of the answer, uint8 [n, row]: results, then one of zeros for an error."""
        failed = int(self.error is not None)
        return np.concatenate([
            answer_rows(self.config, self.outputs), error_row(self.config)[:failed]
        ])


@dataclass(frozen=True, kw_only=True, eq=False)
class ContextAnswer(Answer):
    """Answer to a packet of a context: its tokens are answered as they come, up to an error.

    Parameters
    ----------
    before : State
        State of the context before the packet.
    begun : float
        Cycle in which its first beat was taken.
    """

    before: State
    begun: float

    @property
    def answered(self) -> int:
        return len(self.tokens)

    @property
    def since(self) -> float:
        return self.begun

    @cached_property
    def _advanced(self):
        return attend_on(
            self.config, self._loaded, self.index, self.tokens, self.values, self.before
        )

    def _attend(self):
        outputs, guarded, _ = self._advanced
        return outputs, int(guarded)

    @property
    def after(self) -> State:
        """State of the context after the packet."""
        return self._advanced[2] if self.answered else self.before


class History:
    """Packets that are sequences of their own: nothing is left behind.

    Parameters
    ----------
    config : Config
    """

    def __init__(self, config: Config):
        self.config = config

    def room(self, asked: Asked) -> int | None:
        """Tokens that a packet may have; None if its context is lost."""
        return self.config.max_tokens

    def draw(self, rng: np.random.Generator, tokens: int) -> Asked:
        """A random context that has room for so many tokens, begun if it must be."""
        return FRESH

    def note(self, asked: Asked, tokens: int) -> None:
        """A good packet of so many tokens is sent, whatever its answer."""

    def ask(self, rng: np.random.Generator) -> Asked:
        """Any context for a random packet, good or bad."""
        return FRESH

    def lost(self) -> list[Asked]:
        """What a packet could ask for to go on with a context that is lost: one, or none."""
        return []

    def answer(
        self, asked: Asked, *, came: int, begun: float, error: Error | None, tokens: np.ndarray,
        values: np.ndarray, finished: bool = True, **known: Any,
    ) -> Answer | None:
        """Answer to the next packet, and what it leaves behind; None if no beat follows from it.

        Parameters
        ----------
        asked : Asked
        came : int
            Whole tokens that came before an error, if there is one.
        begun : float
            Cycle in which the first beat was taken.
        tokens, values : int64 array [N, D], [N, E]
            Whole tokens of the packet, as many as it may have.
        known : dict
            The other parameters of an `Answer`.
        """
        if not finished:
            return None
        return Answer(tokens=tokens[:came], values=values[:came], error=error, **known)


class Continued(History):
    """Packets that continue contexts, and lose them with an error."""

    def __init__(self, config: Config):
        super().__init__(config)
        self.states: dict[int, State] = {}
        self.counts: dict[int, int] = {}

    def room(self, asked: Asked) -> int | None:
        longest, (context, begin) = self.config.max_tokens, asked
        if context >= self.config.contexts or not (begin or context in self.counts):
            return None
        return longest if begin else longest - self.counts[context]

    def draw(self, rng: np.random.Generator, tokens: int) -> Asked:
        context = int(rng.integers(self.config.contexts))
        goes_on = bool(rng.random() < GOING_ON)
        room = self.room(Asked(context, False))
        return Asked(context, not (goes_on and room is not None and tokens <= room))

    def note(self, asked: Asked, tokens: int) -> None:
        context, begin = asked
        self.counts[context] = tokens + (0 if begin else self.counts[context])

    def ask(self, rng: np.random.Generator) -> Asked:
        last = (1 << self.config.wire.tid_width) - 1  # perhaps there is no such context
        context = int(rng.choice([0, 0, 0, min(1, last), min(1, last), last]))
        return Asked(context, bool(rng.random() >= BLIND))

    def lost(self) -> list[Asked]:
        contexts = (i for i in range(self.config.contexts) if i not in self.counts)
        return [Asked(context, False) for context in islice(contexts, 1)]

    def answer(
        self, asked: Asked, *, came: int, begun: float, error: Error | None, tokens: np.ndarray,
        values: np.ndarray, finished: bool = True, **known: Any,
    ) -> Answer | None:
        context, begin = asked
        before = None if begin else self.states.get(context)
        answer = ContextAnswer(
            tokens=tokens[:came], values=values[:came], error=error, finished=finished,
            before=empty_state(self.config) if before is None else before, begun=begun, **known,
        )
        if error is None:
            self.states[context] = answer.after
            self.note(asked, answer.answered)
        else:
            self.states.pop(context, None)
            self.counts.pop(context, None)
        return answer


def history(config: Config) -> History:
    """What packets leave behind in an engine of ``config`` that was just reset."""
    return Continued(config) if config.flow.has_contexts else History(config)
