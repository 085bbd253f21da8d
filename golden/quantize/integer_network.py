# SPDX-License-Identifier: Apache-2.0
"""A network in integers where a float network is expected, and how well it classifies."""

from pathlib import Path

import torch
from torch import nn

from ecoformer.errors import EcoformerError
from ecoformer.golden.integer.network.forward import run
from ecoformer.golden.learn.data import ImageData, Split
from ecoformer.golden.networks.network import Network
from ecoformer.golden.networks.vit import VisionTransformer
from ecoformer.golden.quantize.evaluation import CALIBRATION_IMAGES
from ecoformer.golden.quantize.network import QuantisedNetwork, network_shape, quantise_network
from ecoformer.progress import SILENT, Progress
from ecoformer.spec.network.design import NetworkDesign
from ecoformer.spec.network.image import NetworkImage

__all__ = ["FILES", "IntegerNetwork", "compare", "load_integer_network", "quantise"]

FILES = "network.toml", "network.safetensors"
"""Names of the design and of the image in a folder."""
BATCH = 100
"""Images that are worked on at once."""


class IntegerNetwork(nn.Module):
    """The integer model of a network, called as the float network is.

    Parameters
    ----------
    design : NetworkDesign
    image : NetworkImage
    """

    def __init__(self, design: NetworkDesign, image: NetworkImage):
        super().__init__()
        self.config = design
        self.image = image

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Scores [B, classes], integers as float64, of uint8 ``images`` [B, channels, S, S]."""
        return torch.from_numpy(run(self.config, self.image, images.numpy())).double()


def load_integer_network(folder: Path, model: Network | None) -> IntegerNetwork:
    """The network whose two files, :data:`FILES`, ``export --network`` wrote to ``folder``.

    Parameters
    ----------
    folder : Path
    model : VisionTransformer or None
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
    shape = NetworkDesign.load(design)
    for name, value in network_shape(model).items():
        if (own := getattr(shape, name)) != value:
            raise EcoformerError(
                f"{folder}: a network with {name} = {own}, but the model has {value}; export it "
                "from this model"
            )
    return IntegerNetwork(shape, NetworkImage.load(image, shape))


def quantise(design: NetworkDesign, model: VisionTransformer, data: ImageData) -> QuantisedNetwork:
    """``model``, in evaluation mode, in integers; training images of ``data`` calibrate it."""
    return quantise_network(design, model, data.train.images[:CALIBRATION_IMAGES])


def compare(
    quantised: QuantisedNetwork,
    model: VisionTransformer,
    part: Split,
    progress: Progress = SILENT,
) -> dict:
    """How a network in integers compares with the float network it was made of.

    Parameters
    ----------
    quantised : QuantisedNetwork
    model : VisionTransformer
        In evaluation mode.
    part : Split
        Held-out images.
    progress : Progress
        Stages ``float network`` and ``integer network``.

    Returns
    -------
    dict
        ``float_accuracy``; ``accuracy`` of the integer network; on how many images the predictions
        changed, and how many of them became ``right`` and ``wrong``; ``weights``,
        ``residual_width``, and the number of ``parameters``. JSON-ready.
    """
    design, image = quantised.design, quantised.image
    before = _labels(model, part, progress, "float network")
    after = _labels(IntegerNetwork(design, image), part, progress, "integer network")
    were, are = before == part.labels, after == part.labels
    return {
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
def _labels(model: nn.Module, part: Split, progress: Progress, stage: str) -> torch.Tensor:
    """The label that ``model`` gives each image: the first of the largest scores."""
    labels: list[torch.Tensor] = []
    progress.update(stage, 0, len(part))
    for images in part.images.split(BATCH):
        labels.append(model(images).argmax(1))
        progress.update(stage, min(len(labels) * BATCH, len(part)), len(part))
    return torch.cat(labels)
