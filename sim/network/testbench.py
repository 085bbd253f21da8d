# SPDX-License-Identifier: Apache-2.0
"""The self-checking testbench in plain Verilog that every network comes with, and its vectors."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ecoformer.sim.network.answers import answer_of
from ecoformer.sim.network.packets import Packet
from ecoformer.sim.network.scenes import Scene
from ecoformer.sim.network.stimulus import random_image
from ecoformer.sim.network.subjects import Stimuli, packets_with_bad_ones, subject_of
from ecoformer.sim.network.testbench_text import LOAD_TEXTS, TEXT
from ecoformer.spec.network.decoder import DecoderDesign
from ecoformer.spec.network.image import NetworkImage
from ecoformer.spec.network.load import Design
from ecoformer.spec.network.packet import parameter_packet

__all__ = ["LOAD_VECTORS", "write_testbench"]

LOAD_VECTORS = ("parameters.hex", "loaded.hex")
"""Vectors of a loadable network: a parameter packet, and what is answered once it is loaded."""

SLACK = 4_096
"""Cycles beyond those of the images, for latencies."""


def write_testbench(
    folder: Path,
    design: Design,
    image: NetworkImage,
    stimuli: Stimuli,
    *,
    name: str,
    seed: int = 0,
) -> None:
    """Write ``folder/tb/tb_<name>.v`` and ``folder/vectors/``.

    The testbench sends images uint8 [B, channels, S, S] with bad ones between them, or the tokens
    of a tape and others behind them with errors, resets the network while some are in flight, and
    sends all of them again; to a loadable network with other parameters, which it loads.

    Parameters
    ----------
    name : str
        Top module of the network.
    seed : int
        Of the bad images, of random gaps, and of the other parameters.
    """
    vectors = folder / "vectors"
    vectors.mkdir(exist_ok=True)
    (folder / "tb").mkdir(exist_ok=True)
    rng = np.random.default_rng(seed)
    sent = packets_with_bad_ones(design, stimuli, rng)
    side, _ = _sides(design)
    files = {
        f"{_what(design)}.hex": _hex(_beats(design, sent), 8 * sent[0].beats.shape[1] + side),
        "expected.hex": _expected(design, image, stimuli, sent),
    }
    if design.loadable:
        other = random_image(design, seed + 1)
        lines = [f"{byte:02x}" for byte in parameter_packet(design, other)], _expected(
            design, other, stimuli, sent
        )
        files |= zip(LOAD_VECTORS, lines, strict=True)
    for file, lines in files.items():
        (vectors / file).write_text("\n".join(lines) + "\n", encoding="utf-8")
    beats, answers, loaded = (len(lines) for lines in [*files.values(), []][:3])
    text = _testbench(design, name, beats, answers, len(sent), seed, loaded)
    (folder / "tb" / f"tb_{name}.v").write_text(text, encoding="utf-8")


def _what(design):
    """What is sent."""
    return "tokens" if isinstance(design, DecoderDesign) else "images"


def _expected(design, image, stimuli, sent):
    """Every beat of the answers to packets, by the parameters of ``image``."""
    subject = subject_of(design, image, stimuli)
    scene, want = subject.expect(Scene("testbench", "testbench", [*sent]))
    width = 8 * design.answer_bytes + 2 + design.context_width
    return _hex(_answers(design, scene.packets, want["scores"]), width)


def _testbench(design, name, beats, answers, packets, seed, loaded):
    # In no stage of the pipeline does an image wait longer than for a few others.
    per_image = 4 * design.steady_packet + 16 * design.input_beats
    stages = 8 * (design.depth + 2)
    quiet = stages * per_image + SLACK
    words = {
        "NAME": name,
        **_pins(design),
        "ANSWER": 8 * design.answer_bytes,
        "INPUTS": beats,
        "OUTPUTS": answers,
        # Late enough that images are in every stage, or all of them have been sent.
        "RESET_AT": max(1, beats - (design.input_beats + 1) // 2),
        "QUIET": quiet,
        "LIMIT": 2 * (packets + stages) * per_image + 2 * quiet + 4 * loaded,
        "SEED": f"32'h{(seed * 2654435761 + 1) % 2**32 or 1:08x}",
    }
    loads = {word: text if design.loadable else "" for word, text in LOAD_TEXTS.items()}
    words = {**loads, "LOADED": loaded, "LOW": "4'b0000" if design.loadable else "2'b00", **words}
    text = TEXT
    for word, value in words.items():
        text = text.replace(f"@{word}@", str(value))
    return text


def _sides(design):
    """Bits of a beat beside its data: going in, and of the context."""
    return 1 + design.context_width, design.context_width


def _pins(design):
    """What the text says of pins that depend on the network: going in one side bit, and tid."""
    tid = design.context_width
    what, side = _what(design), "s_axis_tlast" if _what(design) == "images" else "s_axis_tuser"
    sides, outsides = [side], ["m_axis_tuser", "m_axis_tlast"]
    if tid:
        sides.insert(0, "s_axis_tid")
        outsides.insert(0, "m_axis_tid")
    bits = f"[{tid - 1}:0] "
    outputs = [*outsides, "m_axis_tdata"]
    return {
        "WHAT": what,
        "Some": what.capitalize(),
        "DATA": 8 * (design.channels if what == "images" else design.token_bytes),
        "SIDE": _sides(design)[0],
        "OUTSIDE": 2 + tid,
        "SIDES": f"\n  reg {side};" + (f"\n  reg {bits}s_axis_tid;" if tid else ""),
        "OUTSIDES": f"\n  wire {bits}m_axis_tid;" if tid else "",
        "PORTS": " ".join(f".{pin}({pin})," for pin in sides[::-1]),
        "OUTPORTS": ", .m_axis_tid(m_axis_tid)" if tid else "",
        "IN": "{" + ", ".join([*sides, "s_axis_tdata"]) + "}",
        "OUT": "{" + ", ".join(outputs) + "}",
        "OUTNAMES": "{" + ", ".join(pin.removeprefix("m_axis_") for pin in outputs) + "}",
    }


def _beats(design, packets: Sequence[Packet]):
    """From the top: tid and tuser of a token, or tlast; data."""
    tokens = _what(design) == "tokens"
    for packet in packets:
        for beat, mark in zip(packet.beats, packet.marks.tolist(), strict=True):
            side = mark >> 1 if tokens else mark
            yield side << 8 * len(beat) | int.from_bytes(beat.tobytes(), "little")


def _answers(design, packets, scores):
    """From the top: tid, tuser, tlast, data."""
    width, size = 8 * design.answer_bytes, 8 * design.score_bytes
    for packet in packets:
        tid = packet.context << width + 2
        if packet.image is None:
            yield tid | 0b11 << width | packet.error
            continue
        numbers, at_once = answer_of(design, scores[packet.image]), design.answer_scores or 1
        for place, beat in enumerate(numbers.reshape(-1, at_once).tolist()):
            last = place == design.answer_beats - 1
            data = sum((n & (1 << size) - 1) << size * i for i, n in enumerate(beat))
            yield tid | last << width | data


def _hex(numbers, width):
    return [f"{number:0{-(-width // 4)}x}" for number in numbers]
