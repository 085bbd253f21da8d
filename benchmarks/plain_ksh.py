# SPDX-License-Identifier: Apache-2.0
"""KSH as one would write it down: heads and bits in loops, labels and residual dense N × N.

The reference of `ecoformer.golden.learn.ksh`: for results in its tests, for time in `ksh_speed`.
"""

import torch

from ecoformer.golden.hashing import sign
from ecoformer.golden.learn.ksh import KshConfig
from ecoformer.golden.weights import constrain

__all__ = ["dense_labels", "plain_ksh"]

OPTIMIZERS = {
    "sgd": lambda a: torch.optim.SGD([a], lr=5e-4, momentum=0.9, nesterov=True),
    "adam": lambda a: torch.optim.AdamW([a], lr=0.05, weight_decay=1.0),
}


def dense_labels(similarity: torch.Tensor, pairs: int = 10) -> torch.Tensor:
    """Labels [N, N] of one head, symmetric, from its similarities [N, N]."""
    count = min(pairs, len(similarity) // 2)
    order = similarity.argsort(dim=-1, descending=True)
    labels = torch.zeros_like(similarity)
    labels.scatter_(-1, order[:, :count], 1.0).scatter_(-1, order[:, -count:], -1.0)
    return (labels + labels.T) / 2


def plain_ksh(
    features: torch.Tensor, similarity: torch.Tensor, start: torch.Tensor, config: KshConfig,
    weights: str = "int8",
) -> tuple[torch.Tensor, torch.Tensor]:
    """Rows of A and the signed loss left at the end.

    Parameters
    ----------
    features : Tensor [H, N, f]
        Centred features of one image.
    similarity : Tensor [H, N, N]
    start : Tensor [H, b, f]
        Where each row begins.
    config : KshConfig

    Returns
    -------
    rows : Tensor [H, b, f]
    loss : Tensor [H]
        Squared distance of b·labels from the sum of the codes' products, over (N·b)².
    """
    def constrained(a):
        return a if weights == "int8" else constrain(a, weights)

    rows, losses = torch.empty_like(start), []
    heads, bits, _ = start.shape
    tokens = features.shape[1]
    for head in range(heads):
        residual = bits * dense_labels(similarity[head], config.pairs)
        for r in range(bits):
            a = start[head, r].clone()
            optimizer = OPTIMIZERS[config.optimizer](a)
            for _ in range(config.iterations):
                s = torch.sigmoid(features[head] @ constrained(a))
                pull = residual @ (2 * s - 1)
                a.grad = -4 / (tokens * bits) * (features[head].T @ (pull * s * (1 - s)))
                optimizer.step()
            old, new = (sign(features[head] @ constrained(w)) for w in (start[head, r], a))
            better = new @ residual @ new > old @ residual @ old
            rows[head, r] = a if better else start[head, r]
            code = new if better else old
            residual = residual - torch.outer(code, code)
        losses.append(residual.square().sum() / (tokens * bits) ** 2)
    return rows, torch.stack(losses)
