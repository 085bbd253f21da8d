# SPDX-License-Identifier: Apache-2.0
"""The table of what a decoder writes, and the decoders that it is of."""

from dataclasses import replace

import pytest

from benchmarks.characters import EXAMPLES, compare
from ecoformer.golden.quantize.writing import Writer
from ecoformer.presets import find_config
from ecoformer.sim.network.compiled import CompiledNetwork
from ecoformer.sim.network.stimulus import random_image
from ecoformer.sim.network.text import rtl_answers
from ecoformer.spec.network.decoder import DecoderDesign
from ecoformer.spec.network.image import NetworkImage
from tests.golden.integer.network.decoders import DECODERS

DESIGN = DECODERS["two lanes"]


def test_written_characters_are_compared(builds):
    image = random_image(DESIGN, 3)
    network = CompiledNetwork.of(DESIGN, image, builds)
    row = compare(writer_on(network), network, image, 100)
    assert row[:3] == ["102", "0 of 2,754", "0 of 2,754"]
    assert row[3] == f"{DESIGN.steady_cycles:.1f}" and int(row[4]) > 100
    row = compare(writer_on(network), network, random_image(DESIGN, 4), 30)
    assert not row[1].startswith("0 ") and not row[2].startswith("0 ")


def writer_on(network):
    return Writer(DESIGN, rtl_answers(DESIGN, network), 1e-4, seed=1)


@pytest.mark.parametrize("name, shape, cycles", [
    ("characters", (27, 16, 16, 4, 1, 64), 32),
    ("moby-dick", (84, 128, 64, 4, 3, 256), 1_920),
])
def test_an_example_fits_its_preset(name, shape, cycles):
    design = DecoderDesign.load(EXAMPLES[name] / "network.toml")
    NetworkImage.load(EXAMPLES[name] / "network.safetensors", design)
    assert (design.vocabulary, design.positions, design.width, design.heads, design.depth,
            design.hidden) == shape
    assert design.steady_cycles == cycles and len(design.alphabet) == design.vocabulary - 1
    preset = replace(design, alphabet="", score_scale=0.0)
    assert preset == DecoderDesign.load(find_config(name))
