# SPDX-License-Identifier: Apache-2.0
"""The layers of a network in integers, along the path of a token.

What follows a norm, an attention or an activation as a factor is folded into the linear layer
behind it: γ, β and √width of a norm, the scales of values, 1/N of the mean over tokens.
"""

from collections.abc import Iterable
from typing import Any

import numpy as np
import torch

from ecoformer.golden.quantize.calibration import calibrate
from ecoformer.golden.quantize.float_trace import vectors
from ecoformer.golden.quantize.linear import quantise_linear, quantise_scores
from ecoformer.golden.quantize.scales import clipped_scale, full_scale, to_integers
from ecoformer.golden.recording import Call
from ecoformer.spec.arithmetic import signed_range
from ecoformer.spec.network.image import attention_name
from ecoformer.spec.network.transformer import ACTIVATION_WIDTH, Transformer
from ecoformer.spec.parameters import integer_arrays

__all__ = ["Quantiser"]

HEADROOM = 1.25
"""Range of numbers between blocks over the largest that calibration images make."""
CALIBRATED = ("vectors", "up", "activation")
"""Tensors whose scales depend on more than the largest number."""


class Quantiser:
    """Arrays of an image, layer by layer; subclasses know the first and the last layer.

    Parameters
    ----------
    design : Transformer
    model : Module
        Has ``blocks``, ``norm``, ``position`` and ``classifier``.
    trace : iterable of (str, Tensor)
        Every tensor [B, N, …] of the float network on calibration data, by name.
    given : dict of float64 array
        Scales that are taken as they are, by their names in ``scales``.

    Members
    -------
    arrays : dict of int64 array
        Of the network image, once :meth:`run` has ended.
    scales, offsets : dict of float64 array
        What integers stand for (:class:`golden.quantize.network.QuantisedNetwork`).
    """

    entry: str
    """The tensor that enters the first block."""

    def __init__(
        self,
        design: Transformer,
        model: Any,
        trace: Iterable[tuple[str, torch.Tensor]],
        given: dict[str, np.ndarray],
    ):
        self.design = design
        self.model = model
        self.seen: dict[str, np.ndarray] = {}
        self.largest: dict[str, float] = {}
        for name, tensor in trace:
            self.largest[name] = float(tensor.abs().max())
            if name.endswith(CALIBRATED):  # the others would only take memory
                self.seen[name] = tensor.flatten(0, -2).double().numpy()
        self.given = given
        self.arrays: dict[str, np.ndarray] = {}
        self.scales: dict[str, np.ndarray] = {}
        self.offsets: dict[str, np.ndarray] = {}

    def run(self) -> None:
        """Quantise every layer."""
        design, model = self.design, self.model
        added = self._first_layers()
        for number, block in enumerate(model.blocks):
            added |= self._block(number, block)
        residual = self._residual_scale(added)
        self.scales |= {
            name: np.array(residual) for name in self.largest
            if "residual" in name or name == self.entry
        }
        for name, (matrix, bias, zero) in added.items():
            self._linear(name, matrix, bias, residual, zero)
        for name, constants in self._constants().items():
            self.arrays[name] = to_integers(constants, residual, design.residual_width)
        self._norms(residual)
        matrix, bias = self._behind_norm("norm", model.norm, model.classifier)
        numbers, scale = quantise_scores(
            design.linears["classifier"], matrix / design.pooled_tokens, bias
        )
        self._keep("classifier", numbers)
        self.scales["scores"] = np.array(scale)

    # -- what differs from network to network ------------------------------------------------------

    def _first_layers(self) -> dict[str, tuple[np.ndarray, np.ndarray, int]]:
        """Matrix, bias and zero of linear layers before the first block, by name."""
        return {}

    def _constants(self) -> dict[str, np.ndarray]:
        """Tables that are added to tokens, by name."""
        return {"positions": self.model.position.detach().double().numpy()}

    @property
    def _tokens_of_a_call(self) -> int:
        """Tokens of a sequence on calibration data."""
        return self.design.tokens

    # -- layers that add to the residual stream: their inputs first, their scale is common ---------

    def _block(self, number, block):
        """Quantise the layers within a block; returns those that add to its tokens."""
        name = f"blocks.{number}"
        outputs = self._attention(number, block)
        hidden, zero = self._mlp(name, block)
        return {
            f"{name}.out": (*_folded(block.attention.out, outputs), 0),
            f"{name}.down": (*_folded(block.mlp[-1], hidden), zero),
        }

    def _attention(self, number, block):
        """Vectors and hashes of a block; returns the scale of every output of its attention."""
        design, name, layer = self.design, f"blocks.{number}", block.attention
        shape = design.heads, design.vectors, design.head_dim
        parts = self.seen[f"{name}.vectors"].reshape(-1, *shape)
        scales = self._vector_scales(f"{name}.vectors", parts)
        token_scales = {
            f"{side.prefix}token_scale": scales[:, i, 0].astype(np.float32)
            for i, side in enumerate(design.attention.sides.all)
        }
        image = calibrate(
            design.heads_engine, [layer.core], [[self._call(parts)]], token_scales
        )
        for array in integer_arrays(design.heads_engine):
            self.arrays[attention_name(number, array)] = getattr(image, array)
        projections = [self._behind_norm(f"{name}.norm1", block.norm1, p) for p in vectors(layer)]
        matrix, bias = (
            np.stack([_by_head(p[i], design.heads) for p in projections], axis=-2)
            for i in range(2)
        )
        self._linear(
            f"{name}.vectors", matrix.reshape(len(matrix), -1), bias.reshape(-1), scales.reshape(-1)
        )
        values = scales[:, -1].reshape(-1)
        self.scales[f"{name}.attention"] = values / 2.0**design.attention.output_fraction
        return self.scales[f"{name}.attention"]

    def _vector_scales(self, name, parts):
        """Scales [heads, vectors, D]: one for the tokens of a head, one for each of its values."""
        scales = np.empty(parts.shape[1:])
        if name in self.given:
            scales[:] = self.given[name].reshape(scales.shape)
            return scales
        tokens, values = parts[:, :, :-1], parts[:, :, -1]
        by_head = tokens.transpose(0, 3, 1, 2).reshape(-1, scales[:, :-1, 0].size)
        of_tokens = clipped_scale(by_head, ACTIVATION_WIDTH).reshape(len(scales), -1)
        scales[:, :-1] = of_tokens[..., None]
        of_values = clipped_scale(values.reshape(len(parts), -1), ACTIVATION_WIDTH)
        scales[:, -1] = of_values.reshape(len(scales), -1)
        return scales

    def _call(self, parts):
        """The vectors [n, heads, vectors, D] of calibration images as a call of their attention."""
        images = torch.from_numpy(parts).float().unflatten(0, (-1, self._tokens_of_a_call))
        vectors = [images[:, :, :, i].transpose(1, 2) for i in range(self.design.vectors)]
        return Call(vectors[0], vectors[-2], vectors[-1])

    def _mlp(self, name, block):
        """First layer and table of an MLP; returns the scale and the zero of what leaves them."""
        activation = _elementwise(block.mlp[1])
        before = self.seen[f"{name}.up"].reshape(-1, 1)
        scale = self._given(
            f"{name}.up", lambda: clipped_scale(before, ACTIVATION_WIDTH, activation)[0]
        )
        matrix, bias = self._behind_norm(f"{name}.norm2", block.norm2, block.mlp[0])
        self._linear(f"{name}.up", matrix, bias, scale)
        low, high = signed_range(ACTIVATION_WIDTH)
        table = activation(np.arange(low, high + 1) * scale)
        # The smallest output is the smallest integer: half the integers would else go unused.
        middle = table.min() + (self.seen[f"{name}.activation"].max() - table.min()) / 2
        after = self.seen[f"{name}.activation"].reshape(-1, 1)
        step = self._given(
            f"{name}.activation", lambda: full_scale(after - middle, ACTIVATION_WIDTH)[0]
        )
        zero = round(middle / step)
        self.arrays[f"{name}.table"] = np.clip(np.rint(table / step) - zero, low, high).astype(
            np.int64
        )
        self.scales[f"{name}.activation"] = np.array(step)
        self.offsets[f"{name}.activation"] = np.array(zero * step)
        return step, zero

    def _behind_norm(self, name, norm, layer):
        """Matrix and bias of a linear layer from the integers of the norm before it."""
        scale = np.sqrt(self.design.width) / 2.0**self.design.norm.fraction
        gamma, beta = (p.detach().double().numpy() for p in (norm.weight, norm.bias))
        self.scales[name], self.offsets[name] = gamma * scale, beta
        matrix, bias = _folded(layer, gamma * scale)
        return matrix, bias + beta @ _folded(layer, np.ones(len(beta)))[0]

    # -- the residual stream -----------------------------------------------------------------------

    def _residual_scale(self, added):
        """The scale of numbers between blocks: they fit, and so do the weights that make them."""
        return self._given(self.entry, lambda: self._least_residual_scale(added))

    def _least_residual_scale(self, added):
        names = [name for name in self.largest if "residual" in name]
        largest = max(self.largest[name] for name in {self.entry, *names, *added})
        scale = HEADROOM * largest / signed_range(self.design.residual_width)[1]
        for name, (matrix, _, _) in added.items():
            scale = max(scale, np.abs(matrix).max() / self.design.linears[name].weights.values[-1])
        return scale

    def _norms(self, residual):
        layers = {"norm": self.model.norm}
        for number, block in enumerate(self.model.blocks):
            layers[f"blocks.{number}.norm1"] = block.norm1
            layers[f"blocks.{number}.norm2"] = block.norm2
        for name, layer in layers.items():
            epsilon = round(layer.eps * self.design.width / residual**2)
            least_to_most = 1, self.design.norm.max_epsilon
            self.arrays[f"{name}.epsilon"] = np.clip(np.int64(epsilon), *least_to_most)

    def _given(self, name, calibrated):
        return float(self.given[name] if name in self.given else calibrated())

    def _linear(self, name, matrix, bias, scale, zero=0):
        shape = self.design.linears[name]
        self._keep(name, quantise_linear(shape, matrix, bias, scale, zero))
        self.scales[name] = np.asarray(scale)

    def _keep(self, name, numbers):
        self.arrays |= {f"{name}.{part}": array for part, array in numbers.items()}


def _folded(layer, scale):
    """Matrix [inputs, outputs] and bias of a linear layer of inputs in units of ``scale``."""
    weight, bias = (p.detach().double().numpy() for p in (layer.weight, layer.bias))
    return weight.T * np.broadcast_to(scale, weight.shape[1])[:, None], bias


def _by_head(array, heads):
    """Outputs [..., width] as [..., heads, D]."""
    return array.reshape(*array.shape[:-1], heads, -1)


def _elementwise(layer):
    """A layer of PyTorch as a function of numpy arrays."""
    return lambda values: layer(torch.from_numpy(np.asarray(values))).numpy()
