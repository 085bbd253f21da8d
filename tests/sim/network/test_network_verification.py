# SPDX-License-Identifier: Apache-2.0
"""A right network passes every phase; every fault in its Verilog is found and located."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from ecoformer.hw.emit.network import emit_network
from ecoformer.sim.network.scenes import PHASES, corner_images
from ecoformer.sim.network.stimulus import random_image, random_pixels
from ecoformer.sim.network.verification import verify_network
from tests.sim.network.broken import FAULTS, broken
from tests.sim.network.designs import TINY

IMAGE = random_image(TINY, 5)
PIXELS = random_pixels(TINY, 6, 5)


@cache
def emitted():
    return emit_network(TINY, IMAGE)


def verified(builds, text, **options):
    return verify_network(TINY, IMAGE, text, PIXELS, build_dir=builds, **options)


def test_a_right_network_passes_every_phase(builds):
    result = verified(builds, emitted(), parameter_sets=1)
    assert result.ok, result.mismatches[:3]
    phases = {phase.name: phase for phase in result.phases}
    assert [*phases] == [*PHASES, "parameters"]
    assert all(phase.images and phase.scores for phase in result.phases)
    assert phases["bad"].bad and phases["resets"].resets == 4
    assert result.cycles_per_image == TINY.cycles_per_image
    assert result.latency > TINY.cycles_per_image
    # Every element of every layer of every image.
    layers = 4 * sum((4, 4, 8, 4, 4, 4, 4, 4, 4, 4, 4, 4)) + 4 + 3
    assert phases["images"].elements == len(PIXELS) * layers
    assert phases["images"].scores == len(PIXELS) * TINY.classes


WHERE = {
    "flipped weight": ("blocks.0.up", "element"),
    "wrong shift": ("blocks.0.down", "element"),
    "swapped element": ("stem", "element"),
    "answer lost": (None, "answers"),
    "wrong tlast": (None, "beats of an answer"),
    "wrong tuser": (None, "tuser of the last beat"),
    "slow layer": ("blocks.0.up", "cycles after the token before"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_found_and_located(fault, builds):
    result = verified(builds, broken(emitted(), fault), phases=("images", "latency", "rate"))
    assert not result.ok
    layer, what = WHERE[fault]
    found = result.mismatches
    assert layer in {m.layer for m in found}
    assert what in {m.what for m in found}
    if what == "element":
        # Nothing is blamed but the layer that is wrong, and what is said of it is true.
        assert {m.layer for m in found} == {layer}
        assert all(m.got != m.want and m.image is not None for m in found)
        assert all(m.token in range(4) and m.lane in range(4) for m in found)
    if fault == "flipped weight":
        assert {m.lane for m in found} == {0}
    if fault == "swapped element":  # the second element of the second token
        assert {(m.token, m.lane) for m in found} == {(1, 1)}
    if fault == "wrong tuser":
        assert {m.image for m in found} == {1}
    if fault == "slow layer":
        assert {m.what for m in found if m.phase == "rate"} == {"cycles between two answers"}
        assert {m.layer for m in found} == {None, layer}


def test_a_fault_after_a_reset_is_found(builds):
    """The first answer after a reset is wrong."""
    text = emitted().replace(
        "assign m_axis_tuser = ", "assign m_axis_tuser = (again & first) ^ "
    ).replace(
        "assign rst = ~ aresetn;",
        "assign rst = ~ aresetn;\n  reg again = 1'b0, seen = 1'b0, first;\n"
        "  always @(posedge aclk) begin\n"
        "    if (m_axis_tvalid & m_axis_tready) seen <= 1'b1;\n"
        "    if (m_axis_tvalid & m_axis_tready & m_axis_tlast) first <= 1'b0;\n"
        "    if (rst) begin again <= seen; first <= 1'b1; end\n  end",
    )
    assert verified(builds, text, phases=("images", "stalls", "bad")).ok
    result = verified(builds, text, phases=("images", "resets"))
    assert {m.phase for m in result.mismatches} == {"resets"}
    assert all("tuser" in m.what for m in result.mismatches)


def test_the_same_seed_says_the_same(builds):
    one, same = (
        verified(builds, broken(emitted(), "flipped weight"), seed=3).as_dict() for _ in range(2)
    )
    for result in (one, same):
        for phase in result["phases"]:
            del phase["seconds"]
    assert one == same and one["mismatches"]


def test_corner_images():
    design = replace(TINY, image_size=4, channels=3, attention=replace(TINY.attention))
    images = corner_images(design)
    assert images.shape == (9, 3, 4, 4) and images.dtype == np.uint8
    assert len({image.tobytes() for image in images}) == 9
