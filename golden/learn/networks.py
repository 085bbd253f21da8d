# SPDX-License-Identifier: Apache-2.0
"""The hashes of every layer of a network, learned or drawn in one pass."""

import torch

from ecoformer.golden.hashing import Hash, KernelHash
from ecoformer.golden.learn.ksh import KshConfig, learn_hash
from ecoformer.golden.learn.orthogonal import draw_orthogonal
from ecoformer.golden.learn.released_ksh import learn_released
from ecoformer.golden.networks.network import Network
from ecoformer.golden.recording import observed

__all__ = ["LEARNERS", "draw_hash", "learn_hashes"]

@torch.no_grad()
def draw_hash(
    hash: Hash, x: torch.Tensor, generator: torch.Generator, config: KshConfig | None = None
) -> torch.Tensor:
    """Draw the rows of ``hash`` at random and calibrate it on ``x``; what learning must beat.

    ``config`` says nothing to it. The curve that it returns, [b, 1, H], is 0.
    """
    if isinstance(hash, KernelHash):
        hash.draw_anchors(x[0], generator)
    hash.draw(generator)
    hash.calibrate(x)
    hash.rescale(x)
    return torch.zeros(hash.code_bits, 1, hash.heads)


LEARNERS = {
    "ksh": learn_hash, "released": learn_released, "random": draw_hash,
    "orthogonal": draw_orthogonal,
}
"""Learns one hash from its tokens, by name."""


def learn_hashes(
    model: Network,
    images: torch.Tensor,
    seed: int = 0,
    config: KshConfig | None = None,
    learner: str = "ksh",
) -> list[torch.Tensor]:
    """Learn the hash of every EcoFormer layer of ``model`` in one forward pass of ``images``.

    Each layer learns when the pass reaches it, so its tokens come from layers already replaced, and
    its labels from the similarity of the tokens of the current model.

    Parameters
    ----------
    model : VisionTransformer or ImagePyramid
        Changed in place; with shared queries.
    images : uint8 Tensor [B, channels, height, width]
        Training images.
    seed : int
        The same seed gives the same hashes.
    config : KshConfig or None
        Hyper-parameters.
    learner : str
        A key of :data:`LEARNERS`.

    Returns
    -------
    list of Tensor [b, iterations + 1, H]
        Loss curves, one per layer.
    """
    generator = torch.Generator().manual_seed(seed)
    learn = LEARNERS[learner]
    layers = {layer.layer: layer for layer in model.attention_layers()}
    curves = []

    def observer(layer, q, k, v, key_mask):
        if q is not k or key_mask is not None:
            raise ValueError("KSH needs shared queries and sequences of equal length")
        curves.append(learn(layers[layer].hash, k, generator, config))

    with torch.no_grad(), observed([*layers.values()], observer):
        model(images)
    return curves
