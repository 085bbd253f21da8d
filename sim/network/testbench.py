# SPDX-License-Identifier: Apache-2.0
"""The self-checking testbench in plain Verilog that every network comes with, and its vectors."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ecoformer.golden.integer.network.forward import run
from ecoformer.sim.network.packets import Packet, packets_of, with_bad_ones
from ecoformer.sim.network.testbench_text import TEXT
from ecoformer.spec.network.design import NetworkDesign
from ecoformer.spec.network.image import NetworkImage

__all__ = ["write_testbench"]

SLACK = 4_096
"""Cycles beyond those of the images, for latencies."""


def write_testbench(
    folder: Path,
    design: NetworkDesign,
    image: NetworkImage,
    pixels: np.ndarray,
    *,
    name: str,
    seed: int = 0,
) -> None:
    """Write ``folder/tb/tb_<name>.v`` and ``folder/vectors/``.

    The testbench sends ``pixels`` uint8 [B, channels, S, S] with bad images between them, resets
    the network while images are in flight, and sends all of them again.

    Parameters
    ----------
    name : str
        Top module of the network.
    seed : int
        Of the bad images and of random gaps.
    """
    vectors = folder / "vectors"
    vectors.mkdir(exist_ok=True)
    (folder / "tb").mkdir(exist_ok=True)
    packets = with_bad_ones(design, packets_of(design, pixels), np.random.default_rng(seed))
    scores = run(design, image, pixels)
    files = {
        "images.hex": _hex(_beats(packets), 8 * design.channels + 1),
        "expected.hex": _hex(_answers(design, packets, scores), 8 * design.score_bytes + 2),
    }
    for file, lines in files.items():
        (vectors / file).write_text("\n".join(lines) + "\n", encoding="utf-8")
    beats, answers = (len(lines) for lines in files.values())
    text = _testbench(design, name, beats, answers, len(packets), seed)
    (folder / "tb" / f"tb_{name}.v").write_text(text, encoding="utf-8")


def _testbench(design, name, beats, answers, packets, seed):
    # In no stage of the pipeline does an image wait longer than for a few others.
    per_image = 4 * design.cycles_per_image + 16 * design.pixels
    stages = 8 * (design.depth + 2)
    quiet = stages * per_image + SLACK
    words = {
        "NAME": name,
        "DATA": 8 * design.channels,
        "ANSWER": 8 * design.score_bytes,
        "INPUTS": beats,
        "OUTPUTS": answers,
        # Late enough that images are in every stage, or all of them have been sent.
        "RESET_AT": max(1, beats - design.pixels // 2),
        "QUIET": quiet,
        "LIMIT": 2 * (packets + stages) * per_image + 2 * quiet,
        "SEED": f"32'h{(seed * 2654435761 + 1) % 2**32 or 1:08x}",
    }
    text = TEXT
    for word, value in words.items():
        text = text.replace(f"@{word}@", str(value))
    return text


def _beats(packets: Sequence[Packet]):
    for packet in packets:
        for place, pixel in enumerate(packet.beats):
            last = place == len(packet.beats) - 1
            yield last << (8 * len(pixel)) | int.from_bytes(pixel.tobytes(), "little")


def _answers(design, packets, scores):
    """From the top: tuser, tlast, data."""
    width = 8 * design.score_bytes
    for packet in packets:
        if packet.image is None:
            yield 0b11 << width
            continue
        for place, score in enumerate(scores[packet.image].tolist()):
            last = place == design.classes - 1
            yield last << width | score & (1 << width) - 1


def _hex(numbers, width):
    return [f"{number:0{-(-width // 4)}x}" for number in numbers]
