# SPDX-License-Identifier: Apache-2.0
"""The host that lets a decoder generate, and the table that it makes."""

from benchmarks.characters import END, Generator, compare
from benchmarks.train_characters import EXAMPLE
from ecoformer.sim.network.compiled import CompiledNetwork
from ecoformer.sim.network.stimulus import random_image
from ecoformer.spec.network.decoder import DecoderDesign
from ecoformer.spec.network.image import NetworkImage
from tests.golden.integer.network.decoders import DECODERS

DESIGN = DECODERS["two lanes"]


def test_generated_characters_are_compared(builds):
    image = random_image(DESIGN, 3)
    network = CompiledNetwork.of(DESIGN, image, builds)
    for greedy in (False, True):
        generator = Generator(DESIGN, network, 1e-4, greedy, seed=1)
        row = compare(generator, image, 100)
        assert row[:4] == ["the best" if greedy else "drawn", "102", "0 of 2,754", "0 of 2,754"]
        assert row[4] == f"{DESIGN.steady_cycles:.1f}" and int(row[5]) > 100
        # Contexts take turns, and each begins with the mark that ends words.
        assert [context for _, context, _ in generator.rows[:6]] == [0, 1, 2, 0, 1, 2]
        assert all((token == END) == begins for token, _, begins in generator.rows)
        assert max(map(len, generator.words)) <= DESIGN.positions
    other = random_image(DESIGN, 4)
    row = compare(Generator(DESIGN, network, 1e-4, False, seed=1), other, 30)
    assert not row[2].startswith("0 ") and not row[3].startswith("0 ")


def test_the_example_fits_its_design():
    design = DecoderDesign.load(EXAMPLE / "network.toml")
    NetworkImage.load(EXAMPLE / "network.safetensors", design)
    assert (design.vocabulary, design.positions, design.width, design.heads, design.depth,
            design.hidden) == (27, 16, 16, 4, 1, 64)
    assert design.steady_cycles == 32
