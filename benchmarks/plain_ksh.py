"""KSH as one would write it down: heads and bits in loops, labels and residual dense N × N.

What :mod:`golden.learn.ksh` is compared with: results by its tests, time by ``ksh_speed.py``.
"""

import torch

from ecoformer.golden.hashing import sign
from ecoformer.golden.weights import constrain

__all__ = ["dense_labels", "plain_ksh"]

OPTIMIZERS = {
    "sgd": lambda a: torch.optim.SGD([a], lr=5e-4, momentum=0.9, nesterov=True),
    "adam": lambda a: torch.optim.AdamW([a], lr=0.05, weight_decay=1.0),
}


def dense_labels(similarity, pairs=10):
    """Labels [N, N] of one head, symmetric, from its similarities [N, N]."""
    count = min(pairs, len(similarity) // 2)
    order = similarity.argsort(dim=-1, descending=True)
    labels = torch.zeros_like(similarity)
    labels.scatter_(-1, order[:, :count], 1.0).scatter_(-1, order[:, -count:], -1.0)
    return (labels + labels.T) / 2


def plain_ksh(features, similarity, start, config, weights="int8"):
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
    def held(a):
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
                s = torch.sigmoid(features[head] @ held(a))
                pull = residual @ (2 * s - 1)
                a.grad = -4 / (tokens * bits) * (features[head].T @ (pull * s * (1 - s)))
                optimizer.step()
            old, new = (sign(features[head] @ held(w)) for w in (start[head, r], a))
            better = new @ residual @ new > old @ residual @ old
            rows[head, r] = a if better else start[head, r]
            code = new if better else old
            residual = residual - torch.outer(code, code)
        losses.append(residual.square().sum() / (tokens * bits) ** 2)
    return rows, torch.stack(losses)
