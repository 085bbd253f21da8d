# SPDX-License-Identifier: Apache-2.0
"""The table of what a decoder writes, and the decoder that it is of."""

from benchmarks.characters import EXAMPLE, compare
from ecoformer.golden.quantize.writing import Writer
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


def test_the_example_fits_its_design():
    design = DecoderDesign.load(EXAMPLE / "network.toml")
    NetworkImage.load(EXAMPLE / "network.safetensors", design)
    assert (design.vocabulary, design.positions, design.width, design.heads, design.depth,
            design.hidden) == (27, 16, 16, 4, 1, 64)
    assert design.steady_cycles == 32 and len(design.alphabet) == 26
