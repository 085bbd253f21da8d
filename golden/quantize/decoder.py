# SPDX-License-Identifier: Apache-2.0
"""From a trained decoder to the integers of a network image."""

from typing import Any

import numpy as np
import torch

from ecoformer.errors import EcoformerError
from ecoformer.golden.networks.decoder import Decoder
from ecoformer.golden.quantize.float_trace import decoder_trace
from ecoformer.golden.quantize.network import QuantisedNetwork, finish
from ecoformer.golden.quantize.network_layers import Quantiser
from ecoformer.spec.network.decoder import DecoderDesign

__all__ = ["decoder_shape", "quantise_decoder"]


def decoder_shape(model: Decoder) -> dict[str, Any]:
    """What ``model`` says of its design: values by the names of :class:`DecoderDesign`.

    Raises
    ------
    EcoformerError
        A decoder with softmax attention.
    """
    if model.attention_config is None:
        raise EcoformerError("model: it has softmax attention; train one with EcoFormer attention")
    shape = model.config
    same = "vocabulary", "positions", "width", "heads", "depth", "alphabet"
    return {name: getattr(shape, name) for name in same} | {
        "hidden": shape.width * shape.mlp_ratio
    }


def quantise_decoder(
    design: DecoderDesign,
    model: Decoder,
    tokens: torch.Tensor,
    counts: torch.Tensor,
    like: QuantisedNetwork | None = None,
) -> QuantisedNetwork:
    """The integers of ``model`` for ``design``.

    Parameters
    ----------
    design : DecoderDesign
        Of the :func:`decoder_shape` of ``model``.
    model : Decoder
        In evaluation mode.
    tokens : int64 Tensor [B, N]
        Contexts to calibrate on, none of them held out.
    counts : bool Tensor [B, N]
        Which tokens count; the others are padding behind them.
    like : QuantisedNetwork or None
        Whose scales are taken instead of calibrated ones: weights that were rounded for them stay
        what they are.

    Raises
    ------
    EcoformerError
        The attention does not fit, hashes tokens of unit length, or a number does not fit its
        width.
    """
    trace = ((name, tensor[counts][:, None]) for name, tensor in decoder_trace(model, tokens))
    return finish(DecoderQuantiser(design, model, trace, {} if like is None else like.scales))


class DecoderQuantiser(Quantiser):
    """Of a decoder: its embedding beside its positions."""

    entry = "embedding"

    def _constants(self) -> dict[str, np.ndarray]:
        return {"embedding": self.model.embedding.detach().double().numpy(), **super()._constants()}

    @property
    def _tokens_of_a_call(self) -> int:
        return 1
