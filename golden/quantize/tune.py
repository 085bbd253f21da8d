# SPDX-License-Identifier: Apache-2.0
"""Training the linear weights of a network to be what the chip holds.

The forward pass sees the weights that quantisation would make of them, with the scales that it
found; gradients pass the rounding straight through (Bengio et al., arXiv 1308.3432, §2.3). Norms
are folded into the layers behind them first, so that those alone are trained. Activations stay
float.
"""

from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from torch import nn
from torch.nn.utils.parametrize import register_parametrization, remove_parametrizations

from ecoformer.golden.learn.data import DataSet
from ecoformer.golden.learn.fit import Fitter
from ecoformer.golden.learn.parallel import one_thread
from ecoformer.golden.learn.recipe import TrainingConfig
from ecoformer.golden.networks.vit import VisionTransformer
from ecoformer.golden.quantize.float_trace import vectors
from ecoformer.golden.quantize.integer_network import quantise
from ecoformer.golden.quantize.linear import quantise_linear
from ecoformer.golden.quantize.network import PIXEL_SCALE, QuantisedNetwork
from ecoformer.golden.weights import round_weights
from ecoformer.progress import SILENT, Progress
from ecoformer.spec.network.layers import LinearShape
from ecoformer.spec.network.load import Design
from ecoformer.spec.network.transformer import Transformer

__all__ = ["fold_norms", "release", "tune", "with_blocks_on_grids"]


Model = TypeVar("Model", bound=Any)


class OnGrid(nn.Module):
    """Weights as a layer on the chip has them.

    The shift of an output is that of the weights at the beginning and stays: all of its weights
    would double, or halve, with every change.

    Parameters
    ----------
    shape : LinearShape
    weights : Tensor [outputs, …]
        At the beginning.
    inputs : float64 array [inputs] or number
        What 1 of every integer input stands for.
    outputs : float64 array [outputs] or number
        The same of every output.
    """

    def __init__(
        self,
        shape: LinearShape,
        weights: torch.Tensor,
        inputs: float | np.ndarray,
        outputs: float | np.ndarray,
    ):
        super().__init__()
        self.shape = shape
        inputs = np.broadcast_to(inputs, shape.inputs)[:, None]
        matrix = weights.detach().flatten(1).double().numpy().T * inputs
        shift = quantise_linear(shape, matrix, np.zeros(shape.outputs), outputs)["shift"]
        unit = (outputs / 2.0**shift / inputs).T.reshape(weights.shape)
        self.register_buffer("unit", torch.from_numpy(unit).to(weights.dtype), persistent=False)

    def forward(self, weights: torch.Tensor) -> torch.Tensor:
        """``weights`` at what is left of them; gradients pass straight through."""
        rounded = round_weights(weights.detach() / self.unit, self.shape.format.value) * self.unit
        return weights + (rounded - weights).detach()


def tune(
    design: Design,
    model: Model,
    data: DataSet,
    training: TrainingConfig,
    epochs: int,
    folder: Path,
    progress: Progress = SILENT,
) -> QuantisedNetwork:
    """``model`` in integers after its linear weights were trained for ``epochs`` epochs.

    Parameters
    ----------
    design : NetworkDesign or DecoderDesign
    model : VisionTransformer or Decoder
        In evaluation mode; stays as it is.
    data : DataSet
        Trains and calibrates on training images, or contexts.
    training : TrainingConfig
        Of the network; the first of its ``tune_lrs`` is the peak learning rate.
    epochs : int
    folder : Path
        Of the checkpoint.
    progress : Progress
        Stage ``chip``.

    Raises
    ------
    EcoformerError
        As for :func:`golden.quantize.network.quantise_network`; a loss that is not finite.
    """
    tuned = fold_norms(model)
    start = quantise(design, tuned, data)
    layers = with_blocks_on_grids(design, tuned, start)
    if isinstance(tuned, VisionTransformer):
        weights = tuned.to_tokens.weight
        stem = OnGrid(design.linears["stem"], weights, PIXEL_SCALE, start.scales["stem"])
        register_parametrization(tuned.to_tokens, "weight", stem)
        layers.append(tuned.to_tokens)
    fitter = Fitter(data, training, folder, progress)
    settings = {"design": design.bits_fingerprint}
    with one_thread():
        fitter.fit("chip", tuned, epochs, training.tune_lrs[0], stream=1, settings=settings)
    release(layers)
    return quantise(design, tuned, data, like=start)


@torch.no_grad()
def fold_norms(model: Model) -> Model:
    """A network that computes the same, whose norms have γ = 1 and β = 0 and are not trained."""
    copy = deepcopy(model)
    followers = [(copy.norm, [copy.classifier])]
    for block in copy.blocks:
        followers.append((block.norm1, vectors(block.attention)))
        followers.append((block.norm2, [block.mlp[0]]))
    for norm, layers in followers:
        for layer in layers:
            layer.bias += layer.weight @ norm.bias
            layer.weight *= norm.weight
        norm.weight.fill_(1)
        norm.bias.zero_()
        norm.requires_grad_(False)
    return copy


def with_blocks_on_grids(
    design: Transformer, model: Any, quantised: QuantisedNetwork
) -> list[nn.Module]:
    """Let every linear layer of the blocks have its weights on its grid; returns them."""
    scales, linears = quantised.scales, design.linears
    layers: list[nn.Module] = []

    def hold(layer, name, inputs, outputs):
        shape = replace(linears[name], outputs=len(layer.weight))
        grid = OnGrid(shape, layer.weight, inputs, outputs)
        register_parametrization(layer, "weight", grid)
        layers.append(layer)

    for number, block in enumerate(model.blocks):
        name, attention = f"blocks.{number}", block.attention
        of_vectors = scales[f"{name}.vectors"].reshape(design.heads, design.vectors, -1)
        for i, layer in enumerate(vectors(attention)):
            outputs = of_vectors[:, i].reshape(-1)
            hold(layer, f"{name}.vectors", scales[f"{name}.norm1"], outputs)
        hold(attention.out, f"{name}.out", scales[f"{name}.attention"], scales[f"{name}.out"])
        hold(block.mlp[0], f"{name}.up", scales[f"{name}.norm2"], scales[f"{name}.up"])
        hold(block.mlp[-1], f"{name}.down", scales[f"{name}.activation"], scales[f"{name}.down"])
    return layers


def release(layers: list[nn.Module]) -> None:
    """Leave weights that were held on their grid as they are there."""
    for layer in layers:
        remove_parametrizations(layer, "weight", leave_parametrized=True)
