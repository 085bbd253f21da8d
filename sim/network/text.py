# SPDX-License-Identifier: Apache-2.0
"""Texts through the compiled Verilog of a decoder: tokens in, scores out."""

from collections.abc import Callable, Sequence

import numpy as np

from ecoformer.errors import EcoformerError
from ecoformer.sim.network.answers import answers_of
from ecoformer.sim.network.compiled import CompiledNetwork
from ecoformer.sim.network.packets import token_packets
from ecoformer.sim.network.record import NetworkRecord, State
from ecoformer.spec.network.decoder import DecoderDesign
from ecoformer.spec.network.tape import Tape

__all__ = ["record_of", "rtl_answers", "scores_of", "tape_of"]


def tape_of(rows: Sequence[tuple[int, int, bool]]) -> Tape:
    """A tape of tokens, contexts and whether they begin."""
    tokens, contexts, begins = (np.array(column) for column in zip(*rows, strict=True))
    return Tape(tokens, contexts, begins)


def record_of(network: CompiledNetwork, design: DecoderDesign, tape: Tape) -> NetworkRecord:
    """What happens while ``tape`` is sent.

    Raises
    ------
    EcoformerError
        The network falls silent, or answers more than it was asked.
    """
    record = network.play(token_packets(design, tape))
    if record.state != State.DONE:
        raise EcoformerError(
            f"network: {record.state.name.lower()} after {len(record.last_out)} of {len(tape)} "
            "answers"
        )
    return record


def rtl_answers(
    design: DecoderDesign, network: CompiledNetwork
) -> Callable[[Sequence[tuple[int, int, bool]]], np.ndarray]:
    """Scores int64 [rows, vocabulary] of tokens, as `golden.quantize.writing` asks for them.
    """
    return lambda rows: answers_of(design, record_of(network, design, tape_of(rows)))


def scores_of(
    design: DecoderDesign, network: CompiledNetwork, tokens: np.ndarray
) -> np.ndarray:
    """Scores int64 [B, N, vocabulary] of whole contexts of ``tokens`` [B, N], which take turns."""
    answer, scores = rtl_answers(design, network), []
    for first in range(0, len(tokens), design.contexts):
        own = tokens[first : first + design.contexts]
        rows = [(int(token), context, place == 0)
                for place, column in enumerate(own.T) for context, token in enumerate(column)]
        turns = answer(rows).reshape(*own.T.shape, design.vocabulary)
        scores.append(turns.swapaxes(0, 1))
    return np.concatenate(scores)
