# SPDX-License-Identifier: Apache-2.0
"""Causal linear attention by codes in integers: every token attends to itself and those before it.

    S_i = S_{i-1} + h_i v_iᵀ,  z and V alike
    num_i = (h_iᵀS_i << g) + C·V_i, or C·v_i    den_i = (h_iᵀz_i << g) + C·i
"""

import numpy as np

from ecoformer.golden.integer.dataflows.linear import State
from ecoformer.golden.integer.dataflows.value_terms import VALUE_TERMS
from ecoformer.spec.config import Config
from ecoformer.spec.parameters import ParameterImage

__all__ = ["advance", "empty_state", "sums"]


def sums(
    config: Config,
    image: ParameterImage,
    index: int,
    keys: np.ndarray,
    values: np.ndarray,
    queries: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Numerators [..., N, E] and denominators [..., N] of ``queries``, as many as ``keys``."""
    state = empty_state(config)
    return advance(config, keys, values, queries, image.offset[index], state)[:2]


def empty_state(config: Config) -> State:
    """State before the first token of a context."""
    return (
        np.zeros((config.code_bits, config.value_dim), dtype=np.int64),
        np.zeros(config.code_bits, dtype=np.int64),
        np.zeros(config.value_dim, dtype=np.int64),
        0,
    )


def advance(
    config: Config,
    keys: np.ndarray,
    values: np.ndarray,
    queries: np.ndarray,
    offset: int,
    state: State,
) -> tuple[np.ndarray, np.ndarray, State]:
    """The next tokens of a context.

    Cutting a sequence into pieces and passing the state on changes no bit.

    Parameters
    ----------
    keys, queries : int64 ±1 [..., N, b]
    values : int64 [..., N, E]
    offset : int
        C of the parameter set.
    state : State
        Before the tokens; stays as it is.

    Returns
    -------
    numerators : int64 [..., N, E]
    denominators : int64 [..., N]
    state : State
        After them.
    """
    S, z, V, n = state
    values, count = np.asarray(values, dtype=np.int64), keys.shape[-2]
    so_far = np.tril(np.ones((count, count), dtype=np.int64))
    among = so_far * (queries @ keys.swapaxes(-1, -2))
    totals = V[..., None, :] + np.cumsum(values, axis=-2)
    term = VALUE_TERMS[config.value_term].term(totals, values)
    numerators = ((queries @ S + among @ values) << config.offset_fraction) + offset * term
    similarity = (queries @ z[..., None])[..., 0] + among.sum(axis=-1)
    denominators = (similarity << config.offset_fraction) + offset * (n + np.arange(1, count + 1))
    after = (
        S + keys.swapaxes(-1, -2) @ values, z + keys.sum(axis=-2), V + values.sum(axis=-2),
        n + count,
    )
    return numerators, denominators, after
