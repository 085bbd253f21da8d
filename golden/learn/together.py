# SPDX-License-Identifier: Apache-2.0
"""Learning the hashes of all layers together, from what the whole network answers.

A layer's own error counts every token and every value alike; the network's answer counts what is
made of them. So the layers' hashes descend together, straight through their signs, on the squared
error of the logits against those of the network before its attention was replaced. It needs no
labels, and no other weight moves.
"""

from collections.abc import Sequence

import torch

from ecoformer.golden.convert.refine import refine
from ecoformer.golden.learn.distill import DistillConfig
from ecoformer.golden.learn.networks import learn_hashes
from ecoformer.golden.networks.network import Network

__all__ = ["NETWORK", "distil_network"]

NETWORK = "network"
"""Name of this learner."""


def distil_network(
    model: Network,
    teacher: Network | None,
    batches: Sequence[torch.Tensor],
    config: DistillConfig,
    seed: int,
) -> list[float]:
    """Learn all hashes, thresholds and offsets of ``model`` from the logits of ``teacher``.

    They start as drawn: orthogonal rows of a linear hash, random ones of a kernelized hash.

    Parameters
    ----------
    model : VisionTransformer or ImagePyramid
        With EcoFormer attention and shared queries; changed in place.
    teacher : VisionTransformer, ImagePyramid or None
        The network before the swap; when None, ``model`` itself with softmax attention.
    batches : list of uint8 Tensor [B, channels, height, width]
        Training images, at least two batches.
    config : DistillConfig
        ``steps``, ``lr`` and ``held_out`` count.
    seed : int
        The same seed gives the same hashes.

    Returns
    -------
    list of float
        Held-out losses, as :func:`golden.convert.refine.refine` gives them.

    Raises
    ------
    EcoformerError
        Fewer than two batches, or a loss that is not finite.
    """
    attention = model.attention_config
    if attention is None:
        raise ValueError("model must have EcoFormer attention")
    start = "random" if attention.has_kernel else "orthogonal"
    learn_hashes(model, batches[0], seed, learner=start)
    return refine(model, batches, config, seed=seed, original=teacher)
