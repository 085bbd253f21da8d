"""Hash of a token in integers, one function per family.

``rbf``, the kernelized hash (paper section 3.2; Gaussian kernel of KSH):

    p_j = x·a_j                                   dot products with the scaled anchors
    1/‖x‖ = ρ[t] / 2^(10 + e),  t = ⌊1024·‖x‖²/4^e⌋,  4^(e-1) ≤ ‖x‖² < 4^e
    u_j = bias_j - ⌊⌊2^5·p_j / 2^e⌋·ρ[t] / 2^shift⌋, limited to 0…2047
    κ_j = ⌊511·exp(-u_j/256) + 1/2⌋                by table
    h_r = +1 where Σ_j A[r,j]·κ_j ≥ threshold[r]   (ties are +1)

``linear``:

    h_r = +1 where Σ_d W[r,d]·x_d ≥ threshold[r]   (ties are +1)

``codes``: the tokens are the codes. ``none``: the tokens are compared themselves.
"""

from dataclasses import dataclass

import numpy as np

from ecoformer.spec.arithmetic import (
    DOT_FRACTION,
    KERNEL_INDEX_BITS,
    ROOT_INDEX_BITS,
    exponential_table,
    reciprocal_root_table,
)

__all__ = ["HashTrace", "hash_tokens", "trace_tokens"]

ROOT = np.array(reciprocal_root_table(), dtype=np.int64)
EXPONENTIAL = np.array(exponential_table(), dtype=np.int64)


@dataclass(frozen=True)
class HashTrace:
    """Every stage of the hash, for locating a difference; None where a family has no such stage.

    Parameters
    ----------
    codes : int64 [..., N, b]
        ±1.
    projection : int64 [..., N, b]
        Σ_j A[r,j]·κ_j or Σ_d W[r,d]·x_d.
    kernel : int64 [..., N, m]
        κ_j, 0…511.
    dots : int64 [..., N, m]
        x·a_j.
    norm : int64 [..., N]
        ‖x‖².
    """

    codes: np.ndarray
    projection: np.ndarray | None = None
    kernel: np.ndarray | None = None
    dots: np.ndarray | None = None
    norm: np.ndarray | None = None


def hash_tokens(config, image, index, tokens):
    """Codes of tokens under one parameter set.

    Parameters
    ----------
    config : Config
    image : ParameterImage
    index : int
    tokens : int64 [..., N, D]
        The codes themselves, ±1 [..., N, b], with ``hash = "codes"``.

    Returns
    -------
    int64 ±1 [..., N, b]
    """
    return trace_tokens(config, image, index, tokens).codes


def trace_tokens(config, image, index, tokens):
    """As :func:`hash_tokens`, with every stage on the way: `HashTrace`."""
    tokens = np.asarray(tokens, dtype=np.int64)
    return FAMILIES[config.hash](image, index, tokens)


def _rbf(image, index, tokens):
    norm = (tokens * tokens).sum(axis=-1)
    exponent = (bit_length(norm) + 1) >> 1
    root = ROOT[(norm << ROOT_INDEX_BITS) >> (2 * exponent)]

    dots = tokens @ image.anchors[index].T
    scaled = (dots << DOT_FRACTION) >> exponent[..., None]
    cosine = (scaled * root[..., None]) >> image.shift[index]
    argument = np.clip(image.bias[index] - cosine, 0, (1 << KERNEL_INDEX_BITS) - 1)
    kernel = EXPONENTIAL[argument]

    return HashTrace(*_project(image, index, kernel), kernel, dots, norm)


def _linear(image, index, tokens):
    return HashTrace(*_project(image, index, tokens))


def _codes(image, index, tokens):
    return HashTrace(tokens)


FAMILIES = {"rbf": _rbf, "linear": _linear, "codes": _codes, "none": _codes}


def _project(image, index, vector):
    projection = vector @ image.projection[index].T
    return np.where(projection >= image.threshold[index], 1, -1), projection


def bit_length(numbers):
    """Bits of each non-negative int64 below 2^32; 0 has none."""
    length = np.zeros_like(numbers)
    for step in (16, 8, 4, 2, 1):
        high = (numbers >> step) > 0
        length += high * step
        numbers = np.where(high, numbers >> step, numbers)
    return length + numbers
