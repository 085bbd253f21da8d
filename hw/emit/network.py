# amaranth: UnusedElaboratable=no
# SPDX-License-Identifier: Apache-2.0
"""Verilog of a whole network, and what its manifest says of it."""

from __future__ import annotations

import re
from dataclasses import asdict
from typing import Any

from ecoformer import __version__
from ecoformer.hw.emit.verilog import to_verilog
from ecoformer.hw.engine.datapath import Datapath
from ecoformer.hw.network.block import Block
from ecoformer.hw.network.chain import Chain
from ecoformer.hw.network.decoder import Decoder
from ecoformer.hw.network.network import Network
from ecoformer.hw.network.top import NetworkTop
from ecoformer.spec.network.decoder import DecoderDesign
from ecoformer.spec.network.design import NetworkDesign
from ecoformer.spec.network.identity import as_registers, identity
from ecoformer.spec.network.image import NetworkImage
from ecoformer.spec.network.load import Design
from ecoformer.spec.network.memories import parameter_memories
from ecoformer.spec.network.packet import (
    CHECK_BYTES,
    HEADER_BYTES,
    NO_PARAMETERS,
    LoadAnswer,
    load_cycles,
    parameter_bytes,
    parameter_header,
)
from ecoformer.spec.units import units

__all__ = ["KIND", "NetworkVerilog", "at_full_rate", "emit_network"]

KIND = "network"
"""What the manifest of a network has as its ``kind``."""
MODULE = re.compile(r"^module \\?(\S+)", re.MULTILINE)
MEMORY = re.compile(r"^ *reg \[(\d+):0\] .*\[(\d+):0\];", re.MULTILINE)


def emit_network(
    design: Design, image: NetworkImage, name: str = "ecoformer_network"
) -> str:
    """Synthesizable Verilog-2005 of a whole network with its parameters."""
    return to_verilog(NetworkTop(design, image), name)


def at_full_rate(design: Design) -> bool:
    """Whether packets follow each other every ``design.steady_packet`` cycles exactly.

    If not, an image has too few tokens to hide what an attention core does between two of them, or
    the core takes more than k cycles for a token.
    """
    least = Datapath(design.engine).full_rate_tokens
    return least is not None and design.tokens >= least


class NetworkVerilog:
    """The Verilog of a network, and its manifest.

    Parameters
    ----------
    design : NetworkDesign or DecoderDesign
    image : NetworkImage
        What all memories of parameters hold from power-up on.
    name : str
        Name of the top module.

    Members
    -------
    text : str
    manifest : dict
        JSON-ready: kind, version, fingerprints; the design; pins with direction and width; what a
        beat of every stream is; what a board answers about it; every layer; cycles of an image,
        or of a token.
    """

    def __init__(
        self, design: Design, image: NetworkImage, name: str = "ecoformer_network"
    ):
        top = NetworkTop(design, image)
        self.design = design
        self.text = to_verilog(top, name)
        memories = _memories(self.text)
        layers = _layers(top.network)
        for facts in layers.values():
            inside = f"{name}.network.{facts.pop('path')}"
            facts["memory_bits"] = sum(
                bits for module, bits in memories.items()
                if module == inside or module.startswith(f"{inside}.")
            )
        self.manifest = {
            "name": name,
            "kind": KIND,
            "version": __version__,
            "fingerprint": design.fingerprint,
            "bits_fingerprint": design.bits_fingerprint,
            "design": asdict(design),
            "pins": [
                {"name": pin, "direction": member.flow.name.lower(), "width": member.shape}
                for pin, member in top.signature.members.items()
            ],
            "streams": _streams(design) | (_load_streams(design) if design.loadable else {}),
            "board_registers": as_registers(identity(design, image)),
            "layers": [{"name": layer, **facts} for layer, facts in layers.items()],
            "memory_bits": sum(memories.values()),
            "cycles": {"configured_per_token": design.cycles_per_token},
        }
        if at_full_rate(design):
            self.manifest["cycles"]["per_token"] = design.steady_cycles
            if isinstance(design, NetworkDesign):
                self.manifest["cycles"]["per_image"] = design.cycles_per_image
        if design.loadable:
            self.manifest["cycles"]["load"] = load_cycles(design)


def _streams(design: Design) -> dict[str, Any]:
    """What a beat of the streams of packets and of their answers is."""
    if isinstance(design, DecoderDesign):
        return _streams_of_tokens(design)
    return {
        "s_axis": {
            "packet": "an image, a beat for every pixel in raster order",
            "beats": design.pixels,
            "tdata": [f"channel {channel}, uint8" for channel in range(design.channels)],
        },
        "m_axis": {
            "packet": "the answer to an image, in their order: a beat for every class",
            "beats": design.classes,
            "tdata": f"score, int{8 * design.score_bytes}",
            "tuser": "1 in the only beat of the answer to a bad image, whose tdata is 0"
                     + f"; or {NO_PARAMETERS}: parameters are spoilt" * design.loadable,
        },
    }


def _streams_of_tokens(design):
    context = {"tid": "the context"} if design.context_width else {}
    size, best = 8 * design.score_bytes, f"the best token, uint{8 * design.token_bytes}"
    scores = [f"score {i}, int{size}" for i in range(design.answer_scores)]
    return {
        "s_axis": {
            "packet": "a token, a beat",
            "beats": 1,
            "tdata": f"its number, uint{8 * design.token_bytes}",
            "tuser": "1 where the context is empty before it",
            **context,
        },
        "m_axis": {
            "packet": "the answer to a token, in their order",
            "beats": design.answer_beats,
            "tdata": scores or best,
            "tuser": "1 in the only beat of the answer to an error, whose tdata is its number",
            "errors": {error.name: int(error) for error in design.errors},
            **context,
        },
    }


def _load_streams(design):
    """What a beat of the streams of parameter packets and of their answers is."""
    return {
        "s_axis_load": {
            "packet": "all parameters: header, memories row by row, CRC-32",
            "beats": HEADER_BYTES + parameter_bytes(design) + CHECK_BYTES,
            "tdata": "a byte",
            "host_link_user": design.host_streams.load_user,
            "header": parameter_header(design).hex(),
            "memories": [
                {"name": memory.name, "rows": memory.count, "row_bytes": memory.row_bytes}
                for memory in parameter_memories(design)
            ],
        },
        "m_axis_load": {
            "packet": "the answer to a parameter packet",
            "beats": 1,
            "tdata": "one of these numbers",
            "answers": {answer.name: int(answer) for answer in LoadAnswer},
        },
    }


def _memories(text):
    """Bits of the memories of every module."""
    found: dict[str, int] = {}
    starts = list(MODULE.finditer(text))
    ends = [*(start.start() for start in starts[1:]), len(text)]
    for start, end in zip(starts, ends, strict=True):
        body = text[start.start() : end]
        bits = sum((int(w) + 1) * (int(d) + 1) for w, d in MEMORY.findall(body))
        if bits:
            found[start[1]] = bits
    return found


def _layers(network: Network | Decoder) -> dict[str, dict[str, Any]]:
    """Every layer by name, along the path of a token, and the path of its module."""
    d, k = network.design, network.design.cycles_per_token
    blocks = {
        f"{name}.{part}": layer
        for name, block in network.hardware.items()
        for part, layer in _of_block(network, name, block).items()
    }
    if network.shared:
        blocks = {"ring": _layer("ring", "blocks.ring", d.width, None), **blocks}
    for layer in blocks.values():
        layer["cycles"] = d.block_cycles
    norm = _norm("norm", network.norm, d)
    if isinstance(network, Decoder):
        embedding, answers = network.embedding, network.answers
        layers = {
            "embedding": _layer(
                "embedding", "embedding", embedding.beats, embedding.latency, lanes=d.lanes
            ),
            **blocks,
            "norm": norm,
            "classifier": _linear(network, "classifier", "classifier"),
            "answers": _layer("answers", "answers", d.answer_beats, answers.latency, lanes=d.lanes),
        }
    else:
        layers = _of_images(network, blocks, norm)
    for layer in layers.values():
        layer.setdefault("cycles", k)
    return layers


def _of_images(network, blocks, norm):
    d = network.design
    area, width, image = d.channels * d.kernel**2, d.width, d.cycles_per_token * d.tokens
    return {
        "patches": _layer("patches", "patches", area, network.patches.latency),
        "stem": _linear(network, "stem", "stem"),
        "positions": _layer("positions", "positions", width, network.positions.latency),
        **blocks,
        "norm": norm,
        "pool": _layer("pool", "pool", width, network.pool.latency),
        "classifier": _linear(network, "classifier", "classifier", image),
        "scores": _layer("scores", "scores", d.classes, None, image),
    }


def _of_block(network: Chain, name: str, block: Block) -> dict[str, dict[str, Any]]:
    path = "blocks.block" if network.shared else name.replace("blocks.", "block_")
    d, lanes = network.design, network.design.lanes
    width, hidden = d.beats(d.width), d.beats(d.hidden)

    def layer(kind, part, steps, component):
        return _layer(kind, f"{path}.{part}", steps, component.latency, lanes=lanes)

    def linear(part):
        return _linear(network, f"{name}.{part}", f"{path}.{part}")

    def norm(number):
        return _norm(f"{path}.norm{number}", block.norms[number - 1], d)

    first, second = block.residuals
    return {
        "norm1": norm(1),
        "vectors": linear("vectors"),
        "attention": _attention(d, block, f"{path}.heads"),
        "out": linear("out"),
        "residual1": layer("residual", "residual1", width, first),
        "norm2": norm(2),
        "up": linear("up"),
        "activation": layer("table", "activation", hidden, block.activation),
        "down": linear("down"),
        "residual2": layer("residual", "residual2", width, second),
    }


def _layer(kind, path, steps, latency, cycles=None, lanes=1):
    """A layer that works on ``lanes`` elements a cycle."""
    layer = {
        "kind": kind, "lanes": lanes, "multipliers": 0, "steps": steps, "weight_bits": 0,
        "latency": latency, "path": path,
    }
    return layer | ({} if cycles is None else {"cycles": cycles})


def _norm(path, norm, design):
    layer = _layer("norm", path, design.beats(design.width), norm.latency, lanes=design.lanes)
    return layer | {"multipliers": norm.multipliers}


def _linear(network, name, path, cycles=None):
    layer = network.linears[name]
    shape = layer.shape
    return _layer("linear", path, layer.fold.steps, layer.latency, cycles) | {
        "lanes": layer.fold.lanes,
        "multipliers": layer.fold.lanes if shape.multiplies else 0,
        "weight_bits": layer.weights.size * shape.weights.bits,
    }


def _attention(design, block, path):
    """All heads, which work side by side; those of their units that take longest have the steps."""
    of_a_head = units(design.engine)
    k = design.engine.cycles_per_token
    return _layer("attention", path, max(unit.steps for unit in of_a_head.values()), None) | {
        "lanes": design.heads * sum(unit.lanes for unit in of_a_head.values()),
        "multipliers": design.heads * sum(u.lanes for u in of_a_head.values() if u.multiplies),
        "latency": design.waits * k + block.heads.latency,
        "heads": design.heads,
        "units": {name: asdict(unit) for name, unit in of_a_head.items()},
    }
