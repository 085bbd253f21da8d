# SPDX-License-Identifier: Apache-2.0
from dataclasses import replace

import numpy as np
import pytest

from ecoformer.errors import EcoformerError
from ecoformer.golden.integer.network.forward import run, trace
from ecoformer.sim.network.compiled import CompiledNetwork
from ecoformer.sim.network.stimulus import random_image, random_pixels
from tests.sim.network.designs import DESIGNS, TINY

IMAGES = 24


@pytest.fixture(scope="module", params=DESIGNS)
def made(request, builds):
    """A small network: its design, its parameters, and a function that opens a fresh copy of it."""
    design = DESIGNS[request.param]
    image = random_image(design, seed=4)
    first = CompiledNetwork.of(design, image, builds)
    return design, image, lambda seed=1: CompiledNetwork(design, first.folder, seed)


@pytest.mark.parametrize("stall", [0.0, 0.4])
def test_scores_are_those_of_the_integer_network(made, stall):
    design, image, opened = made
    pixels = random_pixels(design, 5, IMAGES)
    answers = opened().run(pixels, stall=stall, seed=6)
    assert (answers.scores == run(design, image, pixels)).all()
    assert not answers.bad.any()


def test_a_token_every_k_cycles(made):
    """At full rate every layer is at work on a token of its own."""
    design, _, opened = made
    answers = opened().run(random_pixels(design, 0, IMAGES))
    apart = np.diff(answers.last_out[IMAGES // 2 :])
    least = max(design.tokens * design.cycles_per_token, design.pixels)
    if design.tokens > 1:  # a sequence of one token is too short to hide its second pass
        assert (apart == least).all(), apart
    else:
        assert apart.max() <= 3 * least


def test_heads_that_are_faster_than_the_network_wait_for_all_tokens(builds):
    """An image has more tokens than such heads could take in the time in which they are few."""
    design = replace(TINY, image_size=16, patch=2, channels=3, cycles_per_token=108)
    assert design.engine.cycles_per_token == 64 < design.steady_cycles == 108
    image, pixels = random_image(design, 7), random_pixels(design, 8, 4)
    answers = CompiledNetwork.of(design, image, builds).run(pixels)
    assert (answers.scores == run(design, image, pixels)).all()
    assert (np.diff(answers.last_out[2:]) == design.tokens * 108).all()


def test_bad_images_keep_their_place(made):
    design, image, opened = made
    pixels = random_pixels(design, 7, 6)
    beats = [*pixels.reshape(6, design.channels, -1).transpose(0, 2, 1)]
    packets = [beats[0], beats[1][:-1], beats[2], np.concatenate(beats[3:5]), beats[5]]
    answers = opened().run_packets(packets, stall=0.2, seed=8)
    assert answers.bad.tolist() == [False, True, False, True, False]
    good = run(design, image, pixels[[0, 2, 5]])
    assert (answers.scores[[0, 2, 4]] == good).all()


def test_reset_drops_what_was_in_flight_and_keeps_the_parameters(made):
    design, image, opened = made
    network, pixels = opened(), random_pixels(design, 9, 3)
    network.run(pixels)
    network.reset()
    assert (network.run(pixels).scores == run(design, image, pixels)).all()


def test_bits_before_reset_do_not_matter(made):
    design, image, opened = made
    pixels = random_pixels(design, 10, 2)
    for seed in range(4):
        assert (opened(seed).run(pixels).scores == run(design, image, pixels)).all()


def test_what_every_layer_sends(made):
    design, image, opened = made
    pixels = random_pixels(design, 11, 2)
    for name, tensor in trace(design, image, pixels):
        assert opened().elements(name, pixels).tolist() == tensor.reshape(-1).tolist(), name
    with pytest.raises(EcoformerError, match="no layer 'blocks.9.up'"):
        opened().elements("blocks.9.up", pixels)
