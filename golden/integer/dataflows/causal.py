# SPDX-License-Identifier: Apache-2.0
"""Causal linear attention by codes in integers: every token attends to the tokens so far.

    S_i = S_{i-1} + h_i v_iᵀ,  z and V alike
    num_i = (h_iᵀS_i << g) + C·V_i, or C·v_i    den_i = (h_iᵀz_i << g) + C·i
"""

import numpy as np

from ecoformer.golden.integer.dataflows.linear import State
from ecoformer.golden.integer.dataflows.value_terms import VALUE_TERMS
from ecoformer.spec.config import Config

__all__ = ["empty_state", "stream"]


def empty_state(config: Config) -> State:
    """State before the first token of a context."""
    return (
        np.zeros((config.code_bits, config.value_dim), dtype=np.int64),
        np.zeros(config.code_bits, dtype=np.int64),
        np.zeros(config.value_dim, dtype=np.int64),
        0,
    )


def stream(
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
    keys, queries : int64 ±1 [N, b]
    values : int64 [N, E]
    offset : int
        C of the parameter set.
    state : State
        Before the tokens; stays as it is.

    Returns
    -------
    numerators : int64 [N, E]
    denominators : int64 [N]
    state : State
        After them.
    """
    S, z, V, n = state
    values = np.asarray(values, dtype=np.int64)
    so_far = np.tril(np.ones((len(keys), len(keys)), dtype=np.int64))
    among = so_far * (queries @ keys.T)
    sums = np.cumsum(values, axis=0)
    term = VALUE_TERMS[config.value_term].term
    totals = np.stack([term(V + sums[i], values[i : i + 1])[0] for i in range(len(keys))])
    numerators = ((queries @ S + among @ values) << config.offset_fraction) + offset * totals
    counts = n + np.arange(1, len(keys) + 1)
    denominators = ((queries @ z + among.sum(axis=1)) << config.offset_fraction) + offset * counts
    after = S + keys.T @ values, z + keys.sum(axis=0), V + sums[-1], n + len(keys)
    return numerators, denominators, after
