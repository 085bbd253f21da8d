# SPDX-License-Identifier: Apache-2.0
"""Random rows at right angles: random codes with less noise than independent rows give.

Two tokens at an angle of θ still differ in a share θ/π of the bits, but bits of rows that are
orthogonal repeat each other less, so that their share varies less around it. Source: Ji et al.,
"Super-Bit Locality-Sensitive Hashing", NeurIPS 2012.
"""

import torch

from ecoformer.golden.hashing import HadamardHash, LinearHash
from ecoformer.golden.learn.ksh import KshConfig

__all__ = ["draw_orthogonal", "orthogonal_rows"]


def orthogonal_rows(
    bits: int, features: int, generator: torch.Generator
) -> torch.Tensor:
    """Random unit rows [bits, features], orthogonal in groups of ``features``."""
    groups = []
    for _ in range(-(-bits // features)):
        q, r = torch.linalg.qr(torch.randn(features, features, generator=generator))
        groups.append(q * r.diagonal().sign())  # without the signs q is not uniform
    return torch.cat(groups)[:bits]


@torch.no_grad()
def draw_orthogonal(
    hash: LinearHash, x: torch.Tensor, generator: torch.Generator, config: KshConfig | None = None
) -> torch.Tensor:
    """Draw the rows of ``hash`` as :func:`orthogonal_rows`, with thresholds of 0.

    Without thresholds a code depends on the direction of a token alone, which is what
    :class:`golden.stand_ins.LimitAttention` attends with.

    Parameters
    ----------
    hash : LinearHash
        Changed in place; of a Hadamard hash the signs are drawn.
    x : Tensor [B, H, N, D]
        Tokens; they set the length of the rows only.
    generator : torch.Generator
        Equal generators give equal hashes.
    config
        Says nothing to it.

    Returns
    -------
    Tensor [b, 1, H]
        A loss curve of 0.
    """
    if isinstance(hash, HadamardHash):  # whose rows are orthogonal anyway
        hash.draw(generator)
    else:
        size = hash.code_bits, hash.head_dim
        rows = [orthogonal_rows(*size, generator) for _ in range(hash.heads)]
        hash.projection.copy_(torch.stack(rows))
    hash.threshold.zero_()
    hash.rescale(x)
    return torch.zeros(hash.code_bits, 1, hash.heads)
