# SPDX-License-Identifier: Apache-2.0
"""A network in integers where a float network is expected, and how well it predicts."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from ecoformer.errors import EcoformerError
from ecoformer.golden.integer.network import decoder, forward
from ecoformer.golden.learn.data import DataSet, Split
from ecoformer.golden.learn.predictions import IGNORED, flat, measure
from ecoformer.golden.networks.decoder import Decoder
from ecoformer.golden.networks.network import Network
from ecoformer.golden.networks.vit import VisionTransformer
from ecoformer.golden.quantize.decoder import decoder_shape, quantise_decoder
from ecoformer.golden.quantize.evaluation import CALIBRATION_IMAGES
from ecoformer.golden.quantize.network import QuantisedNetwork, network_shape, quantise_network
from ecoformer.progress import SILENT, Progress
from ecoformer.spec.network.decoder import DecoderDesign
from ecoformer.spec.network.image import NetworkImage
from ecoformer.spec.network.load import Design, load_design

__all__ = [
    "FILES", "CheckedNetwork", "IntegerNetwork", "compare", "design_shape",
    "load_integer_network", "quantise",
]

FILES = "network.toml", "network.safetensors"
"""Names of the design and of the image in a folder."""
BATCH = 100
"""Images, or contexts, that are worked on at once."""
CALIBRATION_CONTEXTS, CALIBRATION_TOKENS = 2_000, 32_000
"""Most contexts of text that set scales, and most tokens: a trace of all of them is kept."""


class IntegerNetwork(nn.Module):
    """The integer model of a network, called as the float network is.

    Parameters
    ----------
    design : NetworkDesign or DecoderDesign
    image : NetworkImage
    """

    def __init__(self, design: Design, image: NetworkImage):
        super().__init__()
        self.config = design
        self.image = image

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Scores [B, classes], integers as float64, of uint8 ``images`` [B, channels, S, S].

        Of the tokens of contexts [B, N], what the scores stand for: logits [B, N, vocabulary].
        """
        return self.logits(self.scores(images))

    def scores(self, images: torch.Tensor) -> np.ndarray:
        """The scores as they are, int64 of the same shape."""
        if isinstance(self.config, DecoderDesign):
            return decoder.run(self.config, self.image, images.numpy())
        return forward.run(self.config, self.image, images.numpy())

    def logits(self, scores: np.ndarray) -> torch.Tensor:
        """What ``scores`` stand for, float64; of images as they are."""
        scale = self.config.score_scale if isinstance(self.config, DecoderDesign) else 0
        return torch.from_numpy(scores * (scale or 1.0))


class CheckedNetwork:
    """A network on the chip whose every score is compared with the integer network.

    Parameters
    ----------
    network : IntegerNetwork
    answer : callable
        From images, or the tokens of contexts, as arrays to the scores of the chip.

    Members
    -------
    words, mismatches : int
        Counted over all calls.
    """

    def __init__(self, network: IntegerNetwork, answer: Callable[[np.ndarray], np.ndarray]):
        self.network = network
        self.answer = answer
        self.words = self.mismatches = 0

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        """What the chip answers, as the integer network would."""
        scores, expected = self.answer(images.numpy()), self.network.scores(images)
        self.words += expected.size
        self.mismatches += int((scores != expected).sum())
        return self.network.logits(scores)


def load_integer_network(folder: Path, model: Network | None) -> IntegerNetwork:
    """The network whose two files, :data:`FILES`, ``export --network`` wrote to ``folder``.

    Parameters
    ----------
    folder : Path
    model : VisionTransformer, Decoder or None
        The float network that it must have the shape of; None, where there is only one with
        softmax attention, is refused.

    Raises
    ------
    EcoformerError
        A file is missing, damaged, or does not fit the other; or it is another network.
    """
    design, image = (folder / name for name in FILES)
    if not design.is_file():
        raise EcoformerError(f"{folder}: no {design.name}; write it with 'export --network'")
    if model is None:
        raise EcoformerError("model: it has softmax attention; give one with EcoFormer attention")
    shape = load_design(design)
    if isinstance(shape, DecoderDesign) != isinstance(model, Decoder):
        raise EcoformerError(f"{folder}: a network for other data than the model; export it again")
    for name, value in design_shape(model).items():
        if (own := getattr(shape, name)) != value:
            raise EcoformerError(
                f"{folder}: a network with {name} = {own}, but the model has {value}; export it "
                "from this model"
            )
    return IntegerNetwork(shape, NetworkImage.load(image, shape))


def design_shape(model: Network) -> dict[str, Any]:
    """What ``model`` says of its design: values by name; errors as for `network_shape`."""
    return decoder_shape(model) if isinstance(model, Decoder) else network_shape(model)


def quantise(
    design: Design, model: VisionTransformer | Decoder, data: DataSet,
    like: QuantisedNetwork | None = None,
) -> QuantisedNetwork:
    """``model``, in evaluation mode, in integers; training images of ``data`` calibrate it.

    ``like`` is a network whose scales are taken instead. The design of a decoder comes back with
    the scale of its scores.
    """
    train = data.train
    if isinstance(design, DecoderDesign):
        count = min(CALIBRATION_CONTEXTS, max(1, CALIBRATION_TOKENS // design.positions))
        tokens, labels = (x[:count] for x in (train.images, train.labels))
        quantised = quantise_decoder(design, model, tokens, labels != IGNORED, like)
        scale = float(quantised.scales["scores"])
        return replace(quantised, design=replace(design, score_scale=scale))
    return quantise_network(design, model, train.images[:CALIBRATION_IMAGES], like)


def compare(
    quantised: QuantisedNetwork,
    model: VisionTransformer | Decoder,
    part: Split,
    progress: Progress = SILENT,
) -> dict:
    """How a network in integers compares with the float network it was made of.

    Parameters
    ----------
    quantised : QuantisedNetwork
    model : VisionTransformer or Decoder
        In evaluation mode.
    part : Split
        Held-out images or contexts.
    progress : Progress
        Stages ``float network`` and ``integer network``.

    Returns
    -------
    dict
        ``float_accuracy``; ``accuracy`` of the integer network; on how many images the predictions
        changed, and how many of them became ``right`` and ``wrong``; ``weights``,
        ``residual_width``, and the number of ``parameters``. Of a decoder also
        ``float_perplexity``, ``perplexity`` and ``score_scale``. JSON-ready.
    """
    design, image = quantised.design, quantised.image
    floats = _logits(model, part, progress, "float network")
    integers = _logits(IntegerNetwork(design, image), part, progress, "integer network")
    labels = flat(floats, part.labels)[1]
    before, after = (flat(logits, part.labels)[0].argmax(1) for logits in (floats, integers))
    were, are = before == labels, after == labels
    perplexities = {}
    if isinstance(design, DecoderDesign):
        perplexities = {
            "float_perplexity": measure(floats, part.labels).perplexity,
            "perplexity": measure(integers, part.labels).perplexity,
            "score_scale": design.score_scale,
        }
    return {
        **perplexities,
        "float_accuracy": float(were.double().mean()),
        "accuracy": float(are.double().mean()),
        "changed_predictions": int((before != after).sum()),
        "became_right": int((are & ~were).sum()),
        "became_wrong": int((were & ~are).sum()),
        "weights": str(design.weights),
        "residual_width": design.residual_width,
        "parameters": sum(array.size for array in image.arrays.values()),
    }


@torch.inference_mode()
def _logits(model: nn.Module, part: Split, progress: Progress, stage: str) -> torch.Tensor:
    """The scores [n, classes] that ``model`` gives images; the first of the largest is its label.

    Of contexts [n, positions, classes].
    """
    logits: list[torch.Tensor] = []
    progress.update(stage, 0, len(part))
    for images in part.images.split(BATCH):
        logits.append(model(images))
        progress.update(stage, min(len(logits) * BATCH, len(part)), len(part))
    return torch.cat(logits)
