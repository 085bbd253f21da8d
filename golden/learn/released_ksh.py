# SPDX-License-Identifier: Apache-2.0
"""KSH exactly as the released code learns it (github.com/ziplab/EcoFormer), beside our own.

Ours (:mod:`golden.learn.ksh`) differs, each time for a reason:

====================  ==========================  ==================================================
point                 released                    ours, and why
====================  ==========================  ==================================================
labels                of unit tokens x̂·x̂ᵀ         of x·xᵀ, which softmax attention is made of
bandwidth σ           of each image and head      of a head over the batch, as hardware has it
anchors               one permutation for all     one of each head: no token is an anchor of all
a row is kept         if the loss summed over     per head: heads do not know each other
                      all heads fell
loss                  averaged over heads         per head: its step does not shrink with more heads
bits while learning   a tie is -1, yet 0 later    a tie is +1, as in hardware
length of a row       as it comes                 mean square of y is 1, for the gradient's window
optimizer             SGD                         a choice; SGD learns least in as many steps
====================  ==========================  ==================================================
"""

import numpy as np
import torch
from torch.nn.functional import normalize

from ecoformer.golden.hashing import KernelHash, check_tokens
from ecoformer.golden.learn.ksh import GreedyBits, KshConfig, PairLabels

__all__ = ["learn_released"]


@torch.no_grad()
def learn_released(
    hash: KernelHash,
    x: torch.Tensor,
    generator: torch.Generator,
    config: KshConfig | None = None,
) -> torch.Tensor:
    """Learn the projection, anchors and thresholds of ``hash`` as released.

    Rows start where ``hash`` has them: at N(0, 1) in a new one, as found when it learns again.

    Parameters
    ----------
    hash : KernelHash
        Changed in place; its σ is frozen afterwards if ``bandwidth`` is ``calibrated``.
    x : Tensor [B, H, N, D]
        Tokens; N must be at least the number of anchors.
    generator : torch.Generator
        Draws the permutation whose first tokens of the first image are anchors of all heads.
    config : KshConfig or None
        ``iterations`` and ``pairs`` count; 100 and 10, as released, when None.

    Returns
    -------
    Tensor [b, iterations + 1, H]
        Loss of every bit before each step and after the last, each head's share of the mean.

    Raises
    ------
    ValueError
        Fewer tokens than anchors, tokens of a head that are all equal, or not finite.
    """
    config = config or KshConfig()
    images, heads, tokens, _ = x.shape
    count = hash.anchors.shape[1]
    if tokens < count:
        raise ValueError(f"tokens must be at least as many as the {count} anchors, not {tokens}")
    check_tokens(x.transpose(0, 1).flatten(1, 2))
    units = normalize(x, dim=-1)
    hash.anchors.copy_(units[0][:, torch.randperm(tokens, generator=generator)[:count]])
    features = hash.sequence_features(x)
    features = (features - features.mean((0, 2))[:, None]).transpose(0, 1)  # [H, B, N, m]
    labels = PairLabels.of_tokens(units, config.pairs)

    flat = features.reshape(heads, images * tokens, count).numpy()
    learner = _ReleasedBits(flat, labels, hash.code_bits, hash.weights)
    sgd = KshConfig(optimizer="sgd", iterations=config.iterations)
    curve = np.empty((hash.code_bits, config.iterations + 1, heads), np.float32)
    for r in range(hash.code_bits):
        start = hash.projection[:, r].numpy().copy()
        a, curve[r] = learner.descend(start, sgd)
        hash.projection[:, r] = torch.from_numpy(learner.keep_better(a, start))
    hash.calibrate(x)
    return torch.from_numpy(curve)


class _ReleasedBits(GreedyBits):
    """Greedy bits with one loss for all heads."""

    def __init__(self, features, labels, bits, weights):
        super().__init__(features, labels, bits, weights)
        self.scale /= np.float32(len(features))

    def signs(self, y):
        return np.where(y > 0, 1, -1)

    def improved(self, before, after):
        return np.full(after.shape, after.sum() > before.sum())
