# SPDX-License-Identifier: Apache-2.0
"""EcoFormer attention in integers (paper section 3.3, equation 9).

    out = ⌊(2^(f+1)·num + den) / (2·den)⌋, saturated;  den ≤ 0: out = 0

Numerators and denominators come from the dataflow (`golden.integer.dataflows`).
"""

import numpy as np

from ecoformer.golden.integer.dataflows import DATAFLOWS
from ecoformer.golden.integer.dataflows.causal import advance, empty_state
from ecoformer.golden.integer.dataflows.linear import State
from ecoformer.golden.integer.hashing import hash_tokens, trace_tokens
from ecoformer.spec.config import Config
from ecoformer.spec.parameters import ParameterImage

__all__ = ["attend", "attend_on", "divide", "empty_state"]


def attend(
    config: Config,
    image: ParameterImage,
    index: int,
    tokens: np.ndarray,
    values: np.ndarray,
    queries: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Attention of whole sequences under parameter set ``index``; under a causal mask, contexts.

    Parameters
    ----------
    tokens : int64 [..., N, D]
        Codes with ``hash = "codes"``. With separate queries q and k side by side, [..., N, 2D].
    values : int64 [..., N, E]
    queries : int64 [..., M, D] or None
        As many separate queries as you like, their codes with ``hash = "codes"``; ``tokens`` are
        the keys alone then, [..., N, D]. ``queries = "cross"`` needs them; a causal mask needs N.

    Returns
    -------
    outputs : int64 [..., M, E]
        Fixed point with ``output_fraction`` fraction bits.
    guarded : int64 [...]
        Tokens per sequence whose denominator was not positive.
    """
    if queries is None:
        codes = config.sides.split(hash_tokens(config, image, index, tokens))
        asking, keys = codes[0], codes[-1]
    else:
        asking, keys = (
            trace_tokens(config, image.side(side), index, part).codes
            for side, part in ((config.sides.query, queries), (config.sides.key, tokens))
        )
    values = np.asarray(values, dtype=np.int64)
    sums = DATAFLOWS[config.mask][config.dataflow]
    numerator, denominator = sums(config, image, index, keys, values, asking)
    return divide(config, numerator, denominator), (denominator <= 0).sum(axis=-1)


def attend_on(
    config: Config,
    image: ParameterImage,
    index: int,
    tokens: np.ndarray,
    values: np.ndarray,
    state: State,
) -> tuple[np.ndarray, np.ndarray, State]:
    """The next tokens of a context under a causal mask: attention with a state in and a state out.

    Pieces of a context, each on the state that the one before left, give the bits of
    :func:`attend` of the whole, whatever the dataflow.

    Parameters
    ----------
    tokens, values
        Same as for :func:`attend`, without ``queries``.
    state : State
        `empty_state` before the first token; stays as it is.

    Returns
    -------
    outputs, guarded
        Same as those of :func:`attend`.
    state : State
    """
    codes = config.sides.split(hash_tokens(config, image, index, tokens))
    numerator, denominator, state = advance(
        config, codes[-1], values, codes[0], image.offset[index], state
    )
    return divide(config, numerator, denominator), (denominator <= 0).sum(axis=-1), state


def divide(config: Config, numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """Quotient rounded half up with ``output_fraction`` bits, saturated; 0 where den ≤ 0."""
    limit = 1 << (config.output_width - 1)
    positive = denominator > 0
    divisor = np.where(positive, denominator, 1)[..., None]
    quotient = ((numerator << (config.output_fraction + 1)) + divisor) // (2 * divisor)
    return np.where(positive[..., None], np.clip(quotient, -limit, limit - 1), 0)
