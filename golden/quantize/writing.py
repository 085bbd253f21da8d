# SPDX-License-Identifier: Apache-2.0
"""A host that lets a decoder write: draws every character from its scores, and sends it back."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from ecoformer.golden.integer.network.contexts import Contexts
from ecoformer.spec.network.decoder import DecoderDesign
from ecoformer.spec.network.image import NetworkImage

__all__ = ["Row", "Writer", "integer_answers"]

Row = tuple[int, int, bool]
"""What is sent for a character: its token, its context, and whether it begins that."""


@dataclass
class Writer:
    """Writes texts in all contexts of a decoder at once.

    Parameters
    ----------
    design : DecoderDesign
    answer : callable
        From rows to scores, int64 [rows, vocabulary].
    scale : float
        What 1 of a score stands for, over the temperature; 0: the best token is taken.
    seed : int
        Of what is drawn.
    start : sequence of int
        Tokens with which every text begins.

    Members
    -------
    texts : list of list of int
        Tokens of the texts that have ended, by the mark or because their context is full.
    rows : list of Row
        All that was sent.
    scores : list of int64 array [contexts, vocabulary]
        What was answered.
    """

    design: DecoderDesign
    answer: Callable[[Sequence[Row]], np.ndarray]
    scale: float
    seed: int = 0
    start: Sequence[int] = ()
    texts: list[list[int]] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
    scores: list[np.ndarray] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._rng = np.random.default_rng(self.seed)
        self._written: list[list[int]] = [[] for _ in range(self.design.contexts)]

    @property
    def mark(self) -> int:
        """Token that begins every context and ends a text."""
        return self.design.vocabulary - 1

    def step(self, contexts: int) -> None:
        """Send the next character to each of the first ``contexts``, and take theirs back."""
        writing = self._written[:contexts]
        rows = [(text[-1] if text else self.mark, context, not text)
                for context, text in enumerate(writing)]
        scores = self.answer(rows)
        self.rows += rows
        self.scores.append(scores)
        for text, own in zip(writing, scores, strict=True):
            self._take(text, own)

    def write(self, count: int) -> list[list[int]]:
        """The first ``count`` texts that end."""
        while len(self.texts) < count:
            self.step(min(count - len(self.texts), self.design.contexts))
        return self.texts[:count]

    def _take(self, text, scores):
        """The next token of a text; the text is put away where it ends."""
        place = len(text)
        text.append(self.start[place] if place < len(self.start) else self._choose(scores))
        if text[-1] == self.mark or len(text) == self.design.positions:
            self.texts.append(text.copy())
            text.clear()

    def _choose(self, scores):
        if not self.scale:
            return int(scores.argmax())
        weights = np.exp((scores - scores.max()) * self.scale)
        return int(self._rng.choice(len(weights), p=weights / weights.sum()))


def integer_answers(
    design: DecoderDesign, image: NetworkImage
) -> Callable[[Sequence[Row]], np.ndarray]:
    """Answers of the integer network, for a :class:`Writer`."""
    contexts = Contexts(design, image)

    def answer(rows: Sequence[Row]) -> np.ndarray:
        scores = []
        for token, context, begins in rows:
            error, tensors = contexts.take(token, context, begins)
            assert error is None, error
            scores.append(tensors["scores"])
        return np.array(scores)

    return answer
