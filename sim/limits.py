# SPDX-License-Identifier: Apache-2.0
"""How long an engine may take, and how much it may say: what ends a bench in any case."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from operator import gt

from ecoformer.spec.config import Config

__all__ = ["LEAST_POLLS", "Limits", "quiet_cycles", "usual_cycles"]

ACCESS_CYCLES = 16
"""Cycles of a register access without delays, at most."""
READ_CYCLES = 8
"""Cycles of a read, at least."""
LEAST_POLLS = 16
"""Reads of STATUS before the shadow of an engine at rest counts as stuck."""
RARE = 40
"""A stall of more than RARE / (1 - p) cycles happens with a probability below 10^-17."""


@dataclass(frozen=True)
class Limits:
    """Bounds that no working engine exceeds.

    Parameters
    ----------
    cycles : int
        From the first cycle to the last answer.
    patience : int
        Without a beat.
    beats : int
        Results.
    """

    cycles: int
    patience: int
    beats: int

    @property
    def polls(self) -> int:
        """Reads of STATUS after which the shadow counts as stuck."""
        return max(LEAST_POLLS, self.cycles // READ_CYCLES)

    @classmethod
    def of(
        cls,
        config: Config,
        lengths: Iterable[tuple[int, ...]],
        gaps: float,
        pressure: float,
        accesses: int = 0,
    ) -> Limits:
        """Limits for packets of ``lengths`` beats on each stream, and a number of accesses.

        Parameters
        ----------
        gaps, pressure : float
            Probability of a cycle without an input beat, and of one that accepts no output beat.
        """
        lengths = list(lengths)
        longest = tuple(map(max, zip(*lengths))) or (0,)
        patience = quiet_cycles(config, longest, gaps, pressure)
        alone = usual_cycles(config, lengths, gaps, pressure) + len(lengths) * _overhead(config)
        return cls(
            cycles=int(2 * alone) + patience + ACCESS_CYCLES * accesses,
            patience=patience,
            beats=sum(_answer_beats(config, length) for length in lengths),
        )


def usual_cycles(
    config: Config, lengths: Iterable[tuple[int, ...]], gaps: float, pressure: float
) -> float:
    """Mean cycles that packets of ``lengths`` beats take one after the other, without latency.

    A packet of N tokens takes N·k cycles to hash and accumulate and as many to be queried; each of
    its queries takes N cycles in a quadratic core. A beat takes 1 / (1 - p) cycles if it is stalled
    with probability p. With several streams, the last one queries.
    """
    return sum(_packet_cycles(config, length, gaps, pressure) for length in lengths)


def quiet_cycles(config: Config, beats: tuple[int, ...], gaps: float, pressure: float) -> int:
    """Cycles that may pass without a beat while packets of at most ``beats`` are in flight."""
    k, tokens = config.cycles_per_token, _tokens(config, beats)
    query = config.flow.query_cycles(tokens[0])
    silent = max(tokens) * k + tokens[-1] * query + _overhead(config)
    return silent + math.ceil(RARE / (1 - gaps)) + math.ceil(RARE / (1 - pressure))


def _packet_cycles(config, beats, gaps, pressure):
    tokens, k = _tokens(config, beats), config.cycles_per_token
    # Beats beyond the last token are discarded.
    received = max(max(tokens) * k, max(beats) / (1 - gaps))
    longest = (config.max_tokens * inlet.beats for inlet in config.wire.inlets)
    if any(map(gt, beats, longest)) and config.flow.passes > 1:
        return received  # too long, and answered by one beat
    output = config.output_beats / (1 - pressure)
    return received + tokens[-1] * max(config.flow.query_cycles(tokens[0]), output)


def _answer_beats(config, beats):
    early = int(config.flow.has_contexts)  # tokens before an error, then the error
    return max(1, _tokens(config, beats)[-1] * config.output_beats + early)


def _tokens(config, beats):
    """Tokens of a packet on each stream."""
    return [
        min(-(-count // inlet.beats), config.max_tokens)
        for count, inlet in zip(beats, config.wire.inlets)
    ]


def _overhead(config):
    """Cycles of the pipeline, of the transform of a table, and until all contexts are cleared."""
    return (
        64 * config.cycles_per_token + 2 * config.flow.transform_cycles + 256 + 2 * config.contexts
    )
