# SPDX-License-Identifier: Apache-2.0
"""Where a network comes from: its name, a shape file, a configuration, or a trained model."""

from dataclasses import dataclass, fields
from pathlib import Path

from ecoformer.errors import EcoformerError
from ecoformer.golden.energy.named import NETWORKS, PyramidNetwork
from ecoformer.golden.energy.shapes import Network, Stage
from ecoformer.inputs import parse_json, read_text
from ecoformer.presets import find_config
from ecoformer.spec.config import Config
from ecoformer.spec.config_file import TABLES, read_toml

__all__ = ["Source", "find", "from_configuration", "from_model", "from_shapes"]

CODE_BITS, ANCHORS = 16, 25
"""The paper's b and m, used where the origin gives none."""


@dataclass(frozen=True)
class Source:
    """A network, and what its origin says about its attention.

    Parameters
    ----------
    network : Network or PyramidNetwork
    code_bits, anchors : int
        Bits b of a code and support samples m of the hash.
    engine : Config
        Gives widths to the honest accounting.
    """

    network: Network | PyramidNetwork
    code_bits: int = CODE_BITS
    anchors: int = ANCHORS
    engine: Config = Config()


def find(name: str | Path) -> Source:
    """The `Source` of a network's name or file.

    Parameters
    ----------
    name : str
        A key of :data:`golden.energy.named.NETWORKS` in any case, a preset, or the path of a shape
        file or configuration (.toml, .json) or of a trained model (.pt).

    Raises
    ------
    EcoformerError
        Unknown name, no such file, or a file of another kind.
    """
    for known, network in NETWORKS.items():
        if known.lower() == str(name).lower():
            return Source(network)
    path = find_config(name)
    readers = {".toml": _read_toml, ".json": _read_json, ".pt": from_model}
    if path.suffix not in readers:
        raise EcoformerError(
            f"{name}: unknown network; known: {', '.join(NETWORKS)}, or a shape file or "
            "configuration (.toml, .json) or a trained model (.pt)"
        )
    if not path.is_file():
        raise EcoformerError(f"{path}: no such file; known networks: {', '.join(NETWORKS)}")
    return readers[path.suffix](path)


def from_shapes(path: str | Path, raw: dict) -> Source:
    """The `Source` of the content ``raw`` of a shape file: fields of `Network`, list of stages."""
    path = Path(path)
    _refuse_unknown(path, raw, Network, "")
    stages = raw.get("stages")
    if not isinstance(stages, list) or not all(isinstance(stage, dict) for stage in stages):
        raise EcoformerError(f"{path}: stages must be a list of tables [[stages]]")
    built = []
    for number, stage in enumerate(stages, 1):
        where = f"[[stages]] {number}: "
        _refuse_unknown(path, stage, Stage, where)
        built.append(_build(path, where, Stage, stage))
    values = {"name": path.stem, **raw, "stages": tuple(built)}
    if not isinstance(values["name"], str):
        raise EcoformerError(f"{path}: name must be a string, not {values['name']!r}")
    return Source(_build(path, "", Network, values))


def from_configuration(path: str | Path) -> Source:
    """The `Source` of a network and its attention in a configuration; needs torch."""
    from ecoformer.golden.attention_config import read_attention
    from ecoformer.golden.networks.network import read_network
    from ecoformer.golden.networks.pyramid_config import PyramidConfig

    attention, engine = read_attention(path)
    shape, name = read_network(path), Path(path).stem
    network = (
        PyramidNetwork(name=name, config=shape) if isinstance(shape, PyramidConfig)
        else _vision_transformer(name, shape)
    )
    return Source(network, attention.code_bits, attention.anchors, engine or Config())


def from_model(path: str | Path) -> Source:
    """The `Source` of a model file that ``train`` or ``import`` wrote; needs torch."""
    from ecoformer.golden.networks.pyramid_file import holds_pyramid, load_pyramid
    from ecoformer.golden.networks.vit import load_model

    if holds_pyramid(path):
        pyramid = load_pyramid(path)
        network = PyramidNetwork(name=Path(path).stem, config=pyramid.config)
        return Source(network, pyramid.ecoformer.code_bits, pyramid.ecoformer.anchors)
    model = load_model(path)
    network = _vision_transformer(Path(path).stem, model.config)
    attention = model.attention_config
    if attention is None:
        return Source(network)
    return Source(network, attention.code_bits, attention.anchors)


def _vision_transformer(name, shape):
    """Shape of a :class:`golden.networks.vit.VisionTransformer` with EcoFormer in every block."""
    patches = shape.stem == "patches"
    kernel, stride = (2 * shape.patch - 1, shape.patch) if patches else (3, 2)
    *stem, width = shape.stem_widths
    before = [Stage(width=w, depth=0, heads=1, patch=kernel, stride=stride) for w in stem]
    return Network(
        name=name, image_size=shape.image_size, channels=shape.channels, classes=shape.classes,
        stages=(*before, Stage(
            width=width, depth=shape.depth, heads=shape.heads, mlp_ratio=shape.mlp_ratio,
            patch=kernel, stride=stride, norm=True, mlp_convolution=shape.mlp_convolution,
        )),
    )


def _read_toml(path):
    raw = read_toml(path)
    if "network" in raw:
        return from_configuration(path)
    if raw.keys() & set(TABLES):
        raise EcoformerError(f"{path}: a configuration without a table [network]; add it")
    return from_shapes(path, raw)


def _read_json(path):
    try:
        raw = parse_json(read_text(path))
    except ValueError as error:
        raise EcoformerError(f"{path}: not a JSON file ({error}); correct it") from error
    if not isinstance(raw, dict):
        raise EcoformerError(f"{path}: must hold an object with stages, not {type(raw).__name__}")
    return from_shapes(path, raw)


def _refuse_unknown(path, given, cls, where):
    known = [f.name for f in fields(cls)]
    if unknown := sorted(set(given) - set(known)):
        raise EcoformerError(
            f"{path}: {where}unknown key: {', '.join(unknown)}; known: {', '.join(known)}"
        )


def _build(path, where, cls, values):
    try:
        return cls(**values)
    except (TypeError, ValueError) as error:
        why = str(error).removeprefix(f"{cls.__name__}.__init__() ")
        raise EcoformerError(f"{path}: {where}{why}") from error

