"""EcoFormer attention in integers, linear and quadratic form (paper section 3.3, equation 9).

    S = Σ_j h_j v_jᵀ    z = Σ_j h_j    V = Σ_j v_j, or the token's own value v_i
    num = (hᵀS << g) + C·V    den = (hᵀz << g) + C·n
    out = ⌊(2^(f+1)·num + den) / (2·den)⌋, saturated;  den ≤ 0: out = 0
"""

import numpy as np

from ecoformer.golden.integer.hashing import EXPONENTIAL, hash_tokens

__all__ = ["accumulate", "attend", "divide", "query", "similarity_sums", "softmax_sums"]


def attend(config, image, index, tokens, values, queries=None):
    """Attention of whole sequences under parameter set ``index``.

    Parameters
    ----------
    config : Config
    image : ParameterImage
    index : int
    tokens : int64 [..., N, D]
        Queries and keys share them; codes with ``hash = "codes"``.
    values : int64 [..., N, E]
    queries : (int, int64 [..., M, D]) or None
        Parameter set and tokens of separate queries. No engine of this version takes them.

    Returns
    -------
    outputs : int64 [..., M, E]
        Fixed point with ``output_fraction`` fraction bits.
    guarded : int64 [...]
        Tokens per sequence whose denominator was not positive.
    """
    codes = hash_tokens(config, image, index, tokens)
    asking = codes if queries is None else hash_tokens(config, image, *queries)
    if config.dataflow == "softmax":
        scale, shift = image.scale[index], image.shift[index]
        numerator, denominator = softmax_sums(codes, values, scale, shift, asking)
    elif config.dataflow == "xnor":
        offset = image.offset[index]
        numerator, denominator = similarity_sums(config, codes, values, offset, asking)
    else:
        state = accumulate(codes, values)
        numerator, denominator = query(config, asking, state, image.offset[index], values)
    return divide(config, numerator, denominator), (denominator <= 0).sum(axis=-1)


def accumulate(codes, values):
    """State of sequences: S [..., b, E], z [..., b], V [..., E], n (keys seen)."""
    values = np.asarray(values, dtype=np.int64)
    return codes.swapaxes(-1, -2) @ values, codes.sum(-2), values.sum(-2), codes.shape[-2]


def query(config, codes, state, offset, values=None):
    """Numerators [..., N, E] and denominators [..., N] of every token from the state.

    ``values`` [..., N, E] of the querying tokens are needed for ``value_term = "own"`` only.
    """
    S, z, V, n = state
    g = config.offset_fraction
    V = V[..., None, :] if config.value_term == "sum" else np.asarray(values, dtype=np.int64)
    numerator = ((codes @ S) << g) + offset * V
    denominator = ((codes @ z[..., None])[..., 0] << g) + offset * n
    return numerator, denominator


def similarity_sums(config, codes, values, offset, queries=None):
    """The same from pairwise similarities ``2·popcount(xnor) - b``: the quadratic form."""
    queries = codes if queries is None else queries
    equal = (queries > 0)[..., :, None, :] == (codes > 0)[..., None, :, :]
    similarity = (2 * equal.sum(-1) - codes.shape[-1]) << config.offset_fraction
    count = codes.shape[-2]
    own = np.eye(count, dtype=np.int64) if config.value_term == "own" else 1
    numerator = (similarity + offset * own) @ np.asarray(values, dtype=np.int64)
    return numerator, similarity.sum(-1) + offset * count


def softmax_sums(tokens, values, scale, shift, queries=None):
    """Numerators [..., N, E] and denominators [..., N] of softmax attention.

    ::

        s_ij = x_i·x_j                  u_ij = min(⌊(max_j s_ij - s_ij)·scale / 2^shift⌋, 2047)
        w_ij = ⌊511·exp(-u_ij/256) + 1/2⌋       num = Σ_j w_ij·v_j      den = Σ_j w_ij
    """
    queries = tokens if queries is None else queries
    scores = queries @ tokens.swapaxes(-1, -2)
    arguments = (scores.max(-1, keepdims=True) - scores) * scale >> shift
    weights = EXPONENTIAL[np.minimum(arguments, len(EXPONENTIAL) - 1)]
    return weights @ np.asarray(values, dtype=np.int64), weights.sum(-1)


def divide(config, numerator, denominator):
    """Quotient rounded half up with ``output_fraction`` bits, saturated; 0 where den ≤ 0."""
    limit = 1 << (config.output_width - 1)
    positive = denominator > 0
    divisor = np.where(positive, denominator, 1)[..., None]
    quotient = ((numerator << (config.output_fraction + 1)) + divisor) // (2 * divisor)
    return np.where(positive[..., None], np.clip(quotient, -limit, limit - 1), 0)
