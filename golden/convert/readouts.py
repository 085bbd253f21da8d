# SPDX-License-Identifier: Apache-2.0
"""What is compared of two models' outputs."""

from typing import Any

import torch
from torch.nn.functional import normalize
from torch.utils._pytree import tree_leaves

from ecoformer.errors import EcoformerError

__all__ = ["READOUTS", "embedding", "hidden_states", "readout", "states_and_embedding"]


def readout(output: Any, batch: Any) -> torch.Tensor:
    """The output itself if it is a Tensor, else its logits or last hidden state less padding.

    Of an output with neither, all numbers of every sample, [B, …].
    """
    if isinstance(output, torch.Tensor):
        return output
    for name in ("logits", "last_hidden_state"):
        if (tensor := getattr(output, name, None)) is not None:
            break
    else:
        return _everything(output)
    mask = batch.get(_mask_of(batch)) if isinstance(batch, dict) else None
    if mask is not None and tensor.shape[:2] == mask.shape:
        tensor = tensor * mask[..., None]
    return tensor


def _mask_of(batch):
    """Name of the mask of what the output has a row for; a decoder's tokens if there are any."""
    decodes = any(name.startswith("decoder_") for name in batch)
    return "decoder_attention_mask" if decodes else "attention_mask"


def _everything(output):
    tensors = [
        x for x in tree_leaves(output)
        if isinstance(x, torch.Tensor) and x.is_floating_point() and x.ndim
    ]
    if not tensors:
        raise EcoformerError(f"{type(output).__name__}: no numbers in it to compare")
    return torch.cat([x.flatten(1) if x.ndim > 1 else x[:, None] for x in tensors], 1)


def embedding(output: Any, batch: Any) -> torch.Tensor:
    """Embeddings [B, width] of unit length: the mean of the last hidden state without padding."""
    tokens = readout(output, batch)
    if tokens.ndim != 3:
        raise EcoformerError(f"{type(output).__name__}: no hidden state of every token in it")
    return normalize(tokens.sum(1), dim=-1)


def hidden_states(output: Any, batch: Any) -> torch.Tensor:
    """Directions of every token in every layer: [B, layers·N, width], 0 for padding.

    The batch must request them with ``output_hidden_states=True``. They carry more per sentence
    than the last layer alone, which pays off when all weights are trained.
    """
    states = getattr(output, "hidden_states", None)
    if states is None:
        raise EcoformerError(f"{type(output).__name__}: no hidden_states in it")
    mask = batch["attention_mask"][..., None] if "attention_mask" in batch else 1
    return torch.cat([normalize(layer, dim=-1) * mask for layer in states[1:]], 1)


def states_and_embedding(output: Any, batch: Any) -> torch.Tensor:
    """:func:`hidden_states` and :func:`embedding`, [B, layers·N + 1, width].

    The embeddings of a batch weigh as much as all its layers.
    """
    states = hidden_states(output, batch)
    weight = (states.detach().square().sum() / len(states)).sqrt()
    return torch.cat([states, weight * embedding(output, batch)[:, None]], 1)


READOUTS = {
    "tokens": readout,
    "embedding": embedding,
    "layers": hidden_states,
    "layers-embedding": states_and_embedding,
}
"""What part of a model's output has to agree: all of it, its mean over the tokens, the hidden
states of every layer, or both of these."""
