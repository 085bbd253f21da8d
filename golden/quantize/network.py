# SPDX-License-Identifier: Apache-2.0
"""From a trained network to the integers of a network image."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from ecoformer.errors import EcoformerError
from ecoformer.golden.networks.network import Network
from ecoformer.golden.networks.vit import VisionTransformer
from ecoformer.golden.quantize.float_trace import float_trace
from ecoformer.golden.quantize.network_layers import Quantiser
from ecoformer.spec.network.design import NetworkDesign
from ecoformer.spec.network.image import NetworkImage

__all__ = ["PIXEL_SCALE", "QuantisedNetwork", "finish", "network_shape", "quantise_network"]

PIXEL_SCALE = 1 / 255
"""What 1 of a pixel 2p - 255 stands for."""


@dataclass(frozen=True)
class QuantisedNetwork:
    """A network in integers, and what its integers stand for.

    Parameters
    ----------
    design : Transformer
    image : NetworkImage
    scales, offsets : dict of float64 array
        By the names of :func:`float_trace`: a float tensor is about its integers times its scale
        plus its offset, which is 0 where there is none.
    """

    design: Any
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
    design: NetworkDesign,
    model: VisionTransformer,
    images: torch.Tensor,
    like: QuantisedNetwork | None = None,
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
    like : QuantisedNetwork or None
        Whose scales are taken instead of calibrated ones: weights that were rounded for them stay
        what they are.

    Raises
    ------
    EcoformerError
        The attention does not fit, hashes tokens of unit length, or a number does not fit its
        width.
    """
    trace = float_trace(model, images)
    return finish(VisionQuantiser(design, model, trace, {} if like is None else like.scales))


def finish(quantiser: Quantiser) -> QuantisedNetwork:
    """Run ``quantiser``; an EcoformerError where a number does not fit its width."""
    quantiser.run()
    image = NetworkImage(quantiser.arrays)
    try:
        image.check(quantiser.design)
    except ValueError as error:
        raise EcoformerError(f"model: {error}; it does not fit the network") from error
    return QuantisedNetwork(quantiser.design, image, quantiser.scales, quantiser.offsets)


class VisionQuantiser(Quantiser):
    """Of a vision transformer: its stem, positions, and the mean over its tokens."""

    entry = "stem"

    def run(self) -> None:
        super().run()
        self.scales["pooled"] = self.scales["norm"]
        self.offsets["pooled"] = self.offsets["norm"] * self.design.tokens

    def _first_layers(self):
        convolution = self.model.to_tokens
        kernel = convolution.weight.detach().double().numpy()  # [width, channels, rows, columns]
        matrix = kernel.transpose(2, 3, 1, 0).reshape(-1, self.design.width)
        bias = convolution.bias.detach().double().numpy()
        return {"stem": (matrix * PIXEL_SCALE, bias, 0)}
