# SPDX-License-Identifier: Apache-2.0
"""From a trained network to the integers of a network image.

What follows a norm, an attention or an activation as a factor is folded into the linear layer
behind it: γ, β and √width of a norm, the scales of values, 1/N of the mean over tokens. What an
integer stands for is set by what calibration images make of it in float.
"""

from dataclasses import dataclass

import numpy as np
import torch

from ecoformer.errors import EcoformerError
from ecoformer.golden.networks.network import Network
from ecoformer.golden.networks.vit import VisionTransformer
from ecoformer.golden.quantize.calibration import calibrate
from ecoformer.golden.quantize.float_trace import float_trace, vectors
from ecoformer.golden.quantize.linear import quantise_linear, quantise_scores
from ecoformer.golden.quantize.scales import clipped_scale, full_scale, to_integers
from ecoformer.golden.recording import Call
from ecoformer.spec.arithmetic import signed_range
from ecoformer.spec.network.design import ACTIVATION_WIDTH, NetworkDesign
from ecoformer.spec.network.image import NetworkImage, attention_name
from ecoformer.spec.parameters import integer_arrays

__all__ = ["QuantisedNetwork", "network_shape", "quantise_network"]

HEADROOM = 1.25
"""Range of numbers between blocks over the largest that calibration images make."""
PIXEL_SCALE = 1 / 255
"""What 1 of a pixel 2p - 255 stands for."""


@dataclass(frozen=True)
class QuantisedNetwork:
    """A network in integers, and what its integers stand for.

    Parameters
    ----------
    design : NetworkDesign
    image : NetworkImage
    scales, offsets : dict of float64 array
        By the names of :func:`float_trace`: a float tensor is about its integers times its scale
        plus its offset, which is 0 where there is none.
    """

    design: NetworkDesign
    image: NetworkImage
    scales: dict[str, np.ndarray]
    offsets: dict[str, np.ndarray]

    def floats(self, name: str, integers: np.ndarray) -> np.ndarray:
        """What ``integers`` [..., outputs] of the tensor ``name`` stand for: float64."""
        return integers * self.scales[name] + self.offsets.get(name, 0)


def network_shape(model: Network) -> dict[str, int]:
    """What ``model`` says of its design: values by the names of :class:`NetworkDesign`.

    Raises
    ------
    EcoformerError
        A network with softmax attention, or with layers that no network on the chip has.
    """
    if not isinstance(model, VisionTransformer):
        raise EcoformerError(
            "model: it is a pyramid, and a network on the chip is a plain vision transformer; "
            "leave family out of [network] and train"
        )
    if model.attention_config is None:
        raise EcoformerError("model: it has softmax attention; train one with EcoFormer attention")
    shape = model.config
    for name, wanted in {"stem": "patches", "mlp_convolution": False}.items():
        if (value := getattr(shape, name)) != wanted:
            raise EcoformerError(
                f"[network] {name} must be {wanted!r} for a network on the chip, not {value!r}; "
                "train such a network"
            )
    same = "image_size", "channels", "patch", "width", "heads", "depth", "classes"
    return {name: getattr(shape, name) for name in same} | {
        "hidden": shape.width * shape.mlp_ratio
    }


def quantise_network(
    design: NetworkDesign, model: VisionTransformer, images: torch.Tensor
) -> QuantisedNetwork:
    """The integers of ``model`` for ``design``.

    Parameters
    ----------
    design : NetworkDesign
        Of the :func:`network_shape` of ``model``.
    model : VisionTransformer
        In evaluation mode.
    images : uint8 Tensor [B, channels, S, S]
        Calibration images, none of them held out.

    Raises
    ------
    EcoformerError
        The attention does not fit, hashes tokens of unit length, or a number does not fit its
        width.
    """
    quantiser = _Quantiser(design, model, images)
    quantiser.run()
    image = NetworkImage(quantiser.arrays)
    try:
        image.check(design)
    except ValueError as error:
        raise EcoformerError(f"model: {error}; it does not fit the network") from error
    return QuantisedNetwork(design, image, quantiser.scales, quantiser.offsets)


class _Quantiser:
    """Arrays of an image layer by layer, along the path of a token."""

    def __init__(self, design, model, images):
        self.design = design
        self.model = model
        self.seen = {
            name: tensor.flatten(0, -2).double().numpy()
            for name, tensor in float_trace(model, images)
        }
        self.arrays: dict[str, np.ndarray] = {}
        self.scales: dict[str, np.ndarray] = {}
        self.offsets: dict[str, np.ndarray] = {}

    def run(self):
        design, model = self.design, self.model
        stem = self._stem()
        blocks = [self._block(number, block) for number, block in enumerate(model.blocks)]
        added = {"stem": stem} | {name: part for parts in blocks for name, part in parts.items()}
        residual = self._residual_scale(added)
        for name, (matrix, bias, zero) in added.items():
            self._linear(name, matrix, bias, residual, zero)
        position = model.position.detach().double().numpy()
        self.arrays["positions"] = to_integers(position, residual, design.residual_width)
        self._norms(residual)
        matrix, bias = self._behind_norm("norm", model.norm, model.classifier)
        numbers, scale = quantise_scores(
            design.linears["classifier"], matrix / design.tokens, bias
        )
        self._keep("classifier", numbers)
        self.scales["scores"] = np.array(scale)
        self.scales["pooled"] = self.scales["norm"]
        self.offsets["pooled"] = self.offsets["norm"] * design.tokens

    # -- layers that add to the residual stream: their inputs first, their scale is common ---------

    def _stem(self):
        convolution = self.model.to_tokens
        kernel = convolution.weight.detach().double().numpy()  # [width, channels, rows, columns]
        matrix = kernel.transpose(2, 3, 1, 0).reshape(-1, self.design.width)
        return matrix * PIXEL_SCALE, convolution.bias.detach().double().numpy(), 0

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
        image = calibrate(design.heads_engine, [layer.core], [[self._call(parts)]], has_host=False)
        for array in integer_arrays(design.heads_engine):
            self.arrays[attention_name(number, array)] = getattr(image, array)
        scales = np.empty(shape)
        for i, side in enumerate(design.attention.sides.all):
            scales[:, i] = getattr(image, f"{side.prefix}token_scale")[:, None]
        values = clipped_scale(parts[:, :, -1].reshape(len(parts), -1), ACTIVATION_WIDTH)
        scales[:, -1] = values.reshape(design.heads, -1)
        projections = [self._behind_norm(f"{name}.norm1", block.norm1, p) for p in vectors(layer)]
        matrix, bias = (
            np.stack([_by_head(p[i], design.heads) for p in projections], axis=-2)
            for i in range(2)
        )
        self._linear(
            f"{name}.vectors", matrix.reshape(len(matrix), -1), bias.reshape(-1), scales.reshape(-1)
        )
        self.scales[f"{name}.attention"] = values / 2.0**design.attention.output_fraction
        return self.scales[f"{name}.attention"]

    def _call(self, parts):
        """The vectors [n, heads, vectors, D] of calibration images as a call of their attention."""
        images = torch.from_numpy(parts).float().unflatten(0, (-1, self.design.tokens))
        vectors = [images[:, :, :, i].transpose(1, 2) for i in range(self.design.vectors)]
        return Call(vectors[0], vectors[-2], vectors[-1])

    def _mlp(self, name, block):
        """First layer and table of an MLP; returns the scale and the zero of what leaves them."""
        activation = _elementwise(block.mlp[1])
        before = self.seen[f"{name}.up"].reshape(-1, 1)
        scale = float(clipped_scale(before, ACTIVATION_WIDTH, activation)[0])
        matrix, bias = self._behind_norm(f"{name}.norm2", block.norm2, block.mlp[0])
        self._linear(f"{name}.up", matrix, bias, scale)
        low, high = signed_range(ACTIVATION_WIDTH)
        table = activation(np.arange(low, high + 1) * scale)
        # The smallest output is the smallest integer: half the integers would else go unused.
        middle = table.min() + (self.seen[f"{name}.activation"].max() - table.min()) / 2
        after = self.seen[f"{name}.activation"].reshape(-1, 1)
        step = float(full_scale(after - middle, ACTIVATION_WIDTH)[0])
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
        names = [name for name in self.seen if name.endswith(("residual1", "residual2"))]
        largest = max(np.abs(self.seen[name]).max() for name in ("stem", *names, *added))
        scale = HEADROOM * largest / signed_range(self.design.residual_width)[1]
        for name, (matrix, _, _) in added.items():
            scale = max(scale, np.abs(matrix).max() / self.design.linears[name].weights.values[-1])
        for name in ("stem", *names, *added):
            self.scales[name] = np.array(scale)
        return float(scale)

    def _norms(self, residual):
        layers = {"norm": self.model.norm}
        for number, block in enumerate(self.model.blocks):
            layers[f"blocks.{number}.norm1"] = block.norm1
            layers[f"blocks.{number}.norm2"] = block.norm2
        for name, layer in layers.items():
            epsilon = round(layer.eps * self.design.width / residual**2)
            least_to_most = 1, self.design.norm.max_epsilon
            self.arrays[f"{name}.epsilon"] = np.clip(np.int64(epsilon), *least_to_most)

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
