# SPDX-License-Identifier: Apache-2.0
"""A network of any kind, for images or for text: its table, its weights, its file."""

from pathlib import Path

import torch

from ecoformer.errors import EcoformerError, first_line
from ecoformer.golden.attention_config import LEARNED, AttentionConfig
from ecoformer.golden.kinds import kind_of
from ecoformer.golden.networks.decoder import Decoder, DecoderConfig
from ecoformer.golden.networks.image_pyramid import ImagePyramid, make_image_pyramid
from ecoformer.golden.networks.model_file import read_model, write_model
from ecoformer.golden.networks.pyramid import make_pyramid
from ecoformer.golden.networks.pyramid_config import PyramidConfig
from ecoformer.golden.networks.pyramid_file import holds_pyramid, load_pyramid, save_pyramid
from ecoformer.golden.networks.vit import NetworkConfig, VisionTransformer
from ecoformer.spec.config_file import read_table, read_toml
from ecoformer.spec.network.decoder import DecoderDesign

__all__ = [
    "Network", "Shape", "check_network", "kind_of_attention", "load_network", "make_network",
    "read_network", "save_network",
]

Network = VisionTransformer | ImagePyramid | Decoder
Shape = NetworkConfig | PyramidConfig | DecoderConfig
KINDS = {"network": (NetworkConfig, VisionTransformer), "decoder": (DecoderConfig, Decoder)}
"""Networks made of blocks: the classes of shape and network, by the table of a file."""


def read_network(path: str | Path) -> Shape:
    """The table [network] of a configuration; a ``family`` makes it that of a pyramid.

    A table [decoder] in its place describes a decoder on the chip, and its float network.

    Raises
    ------
    EcoformerError
        Unreadable file, unknown key, wrong type or impossible value.
    """
    tables = read_toml(path)
    if DecoderDesign.table in tables:
        return _read_decoder(path, tables)
    table = tables.get("network", {})
    is_pyramid = isinstance(table, dict) and "family" in table
    if is_pyramid:
        return read_table(path, "network", PyramidConfig)
    return read_table(path, "network", NetworkConfig)


def _read_decoder(path, tables):
    if "network" in tables:
        raise EcoformerError(
            f"{path}: [network] is for images and [decoder] for text; keep one of them"
        )
    design = DecoderDesign.load(path)
    try:
        return DecoderConfig.of(design)
    except ValueError as error:
        raise EcoformerError(f"{path}: [decoder] {error}") from error


def kind_of_attention(shape: Shape) -> str:
    """Kind of attention, a key of :data:`golden.kinds.KINDS`, that a network of ``shape`` has."""
    return kind_of(Decoder.mask_kind, False) if isinstance(shape, DecoderConfig) else LEARNED


def check_network(shape: Shape, attention: AttentionConfig) -> None:
    """Refuse, with an EcoformerError, a network that cannot be trained with ``attention``."""
    if not isinstance(shape, PyramidConfig):
        return
    if "ecoformer" not in shape.attention:
        raise EcoformerError(
            f"[network] attention must be 'ecoformer' in a stage, not {list(shape.attention)}; "
            "correct the configuration"
        )
    if not attention.shares_queries:
        raise EcoformerError(
            f"[network] family must be left out with queries = {attention.queries!r}: pyramids "
            "share queries and keys; correct the configuration"
        )
    try:
        with torch.device("meta"):
            image = torch.empty(1, shape.channels, shape.image_size, shape.image_size)
            make_pyramid(shape.softmax_form)(image)
    except (RuntimeError, ValueError) as error:  # of a kernel or a window
        raise EcoformerError(
            f"[network] image_size must leave whole tokens in every stage, not be "
            f"{shape.image_size} ({first_line(error)}); correct the configuration"
        ) from error


def make_network(shape: Shape) -> Network:
    """The network of ``shape`` with softmax attention and random weights."""
    if isinstance(shape, PyramidConfig):
        return make_image_pyramid(shape)
    return Decoder(shape) if isinstance(shape, DecoderConfig) else VisionTransformer(shape)


def save_network(model: Network, path: Path) -> None:
    """Write ``model`` to ``path``; atomic."""
    if isinstance(model, ImagePyramid):
        save_pyramid(model.pyramid, path)
    else:
        write_model(model, "decoder" if isinstance(model, Decoder) else "network", path)


def load_network(path: str | Path) -> Network:
    """The network of a file that :func:`save_network` or ``import`` wrote, in evaluation mode.

    Raises
    ------
    EcoformerError
        No such file, damaged, or not a model file.
    """
    if Path(path).is_file() and holds_pyramid(path, "model file", "train"):
        return ImagePyramid(load_pyramid(path)).eval()
    return read_model(path, KINDS)
