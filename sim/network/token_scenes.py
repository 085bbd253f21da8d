# SPDX-License-Identifier: Apache-2.0
"""What a verification plays on a decoder, phase by phase.

Every scene begins the contexts that it uses, so none depends on those before it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from ecoformer.sim.network.packets import token_packets
from ecoformer.sim.network.scenes import STALLS, Scene
from ecoformer.spec.network.decoder import DecoderDesign
from ecoformer.spec.network.tape import Tape

__all__ = ["PHASES", "corner_tape", "make_scenes", "random_tape"]

PHASES = ("texts", "extremes", "stalls", "latency", "bad", "resets", "rate")
"""Names of all phases of one set of parameters, in their order."""
AT_ONCE = 256
"""Tokens of a scene."""
FEW = 24
"""Tokens of a scene with stalls or errors."""
BAD_SHARE = 0.3
"""Share of the tokens of a scene of errors that are meant to be errors."""
LONGEST = 40
"""Tokens of the longest context that is made full of purpose."""
MOST_NUMBERS = 300
"""Tokens of the vocabulary that are each sent once."""


def random_tape(
    design: DecoderDesign, rng: np.random.Generator, count: int, bad: float = 0.0
) -> Tape:
    """``count`` random tokens of random contexts, of which a share ``bad`` are errors.

    A context begins where it is new, full, or by chance. Errors are numbers of no token, contexts
    that were not begun or that there are not, and tokens beyond the last position.
    """
    lengths: dict[int, int] = {}
    rows = []
    contexts = rng.permutation(design.contexts)[: max(1, min(design.contexts, count // 4))]
    for _ in range(count):
        token, context = int(rng.integers(design.vocabulary)), int(rng.choice(contexts))
        length = lengths.get(context, 0)
        begin = length in (0, design.positions) or rng.random() < 0.5 / design.positions
        if rng.random() < bad:
            token, context, begin = _spoilt(design, rng, token, context, begin)
        fine = token < design.vocabulary and context < design.contexts
        length = 1 if begin else lengths.get(context, 0) + 1
        known = begin or 1 < length <= design.positions
        lengths[context] = length if fine and known else 0
        rows.append((token, context, begin))
    return _tape(rows)


def _spoilt(design, rng, token, context, begin):
    """A token that is an error if the design has room for one on its pins."""
    kinds = ["not begun", "number", "context", "not begun"]
    kind = kinds[int(rng.integers(len(kinds)))]
    if kind == "number" and design.vocabulary < 1 << 8 * design.token_bytes:
        return int(rng.integers(design.vocabulary, 1 << 8 * design.token_bytes)), context, begin
    if kind == "context" and design.contexts < 1 << design.context_width:
        return token, int(rng.integers(design.contexts, 1 << design.context_width)), begin
    return token, context, False


def corner_tape(design: DecoderDesign) -> Tape:
    """Every token of the vocabulary alone, or its ends; and the longest contexts, one of which is
    too long.
    """
    ends = np.unique(np.linspace(0, design.vocabulary - 1, MOST_NUMBERS).astype(int))
    last = design.contexts - 1
    rows = [(int(token), place % design.contexts, True) for place, token in enumerate(ends)]
    for token in (0, design.vocabulary - 1):
        length = min(design.positions, LONGEST) + 1
        rows += [(token, last, place == 0) for place in range(length)]
    return _tape(rows)


def make_scenes(
    design: DecoderDesign,
    tape: Tape,
    *,
    phases: Sequence[str] = PHASES,
    rounds: int = 1,
    stall: float = 0.0,
    seed: int = 0,
) -> Iterator[Scene]:
    """The scenes of ``phases``, in the order of `PHASES`.

    Parameters
    ----------
    tape : Tape
        Tokens of the phase ``texts``.
    rounds : int
        How often everything random is repeated.
    stall : float
        Of the phase ``texts``.
    """
    rng = np.random.default_rng([seed, 1])
    deep = 40 * design.depth + 60
    """Tokens that fill the pipeline, and as many as are then looked at."""

    def scene(phase, name, tape, gaps=0.0, pressure=0.0, **options):
        packets = token_packets(design, tape)
        seed = int(rng.integers(1 << 31))
        return Scene(phase, name, [*packets], gaps, pressure, seed, **options)

    def resets():
        for turn in range(4 * rounds):
            drops = 0.0 if turn % 2 else 0.2
            limit = int(rng.integers(1, 2 * FEW * design.cycles_per_token))
            name = f"reset after {limit:,} cycles"
            yield scene("resets", name, random_tape(design, rng, FEW), drops, drops, limit=limit)
            # Of a context that was begun before the reset, nothing is left.
            lost = Tape(np.zeros(1, int), np.zeros(1, int), np.zeros(1, bool))
            yield scene("resets", f"{name}, then", lost)
            yield scene("resets", f"{name}, and then", random_tape(design, rng, FEW // 2))

    makers = {
        "texts": lambda: (
            scene("texts", f"tokens {start}…", tape[start : start + AT_ONCE], stall, stall)
            for start in range(0, len(tape), AT_ONCE)
        ),
        "extremes": lambda: [scene("extremes", "extremes", corner_tape(design))],
        "stalls": lambda: (
            scene(
                "stalls", f"gaps {gaps:g}, back-pressure {pressure:g}",
                random_tape(design, rng, 3 * FEW), gaps, pressure,
            )
            for _ in range(rounds) for gaps, pressure in STALLS
        ),
        "latency": lambda: [scene("latency", "one at a time", _alone(design, rng), latency=True)],
        "bad": lambda: (
            scene(
                "bad", f"errors, stalls {drops:g}, {turn}",
                random_tape(design, rng, 4 * FEW, BAD_SHARE), drops, drops,
            )
            for turn in range(rounds) for drops in (0.0, 0.3)
        ),
        "resets": resets,
        "rate": lambda: [
            scene("rate", "a long row", random_tape(design, rng, deep), rate=True)
        ],
    }
    for phase in PHASES:
        if phase in phases:
            yield from makers[phase]()


def _alone(design, rng):
    """A context, token by token."""
    length = min(design.positions, 4)
    tokens = rng.integers(0, design.vocabulary, length).tolist()
    return _tape([(token, 0, place == 0) for place, token in enumerate(tokens)])


def _tape(rows):
    tokens, contexts, begins = (np.array(column) for column in zip(*rows, strict=True))
    return Tape(tokens, contexts, begins.astype(bool))
