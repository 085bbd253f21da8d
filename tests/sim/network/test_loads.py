# SPDX-License-Identifier: Apache-2.0
"""Loads of parameters: a right network passes, and every fault in its Verilog is found."""

import re
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from ecoformer.golden.integer.network.forward import run
from ecoformer.hw.emit.network import emit_network
from ecoformer.sim.network.compiled import CompiledNetwork
from ecoformer.sim.network.load_scenes import LOADS
from ecoformer.sim.network.loads import Load
from ecoformer.sim.network.packets import packets_of
from ecoformer.sim.network.record import State
from ecoformer.sim.network.stimulus import random_image, random_pixels
from ecoformer.sim.network.subjects import phases_of, random_stimuli
from ecoformer.sim.network.verification import verify_network
from ecoformer.spec.network.packet import LoadAnswer, load_cycles, parameter_packet
from tests.sim.network.broken import NETWORK
from tests.sim.network.decoders import DECODERS, TINY_DECODER
from tests.sim.network.designs import DESIGNS, TINY

IMAGES, TOKENS = (replace(design, loadable=True) for design in (TINY, TINY_DECODER))
OTHERS = {**DESIGNS, **DECODERS}
SOON = ("fast", "softmax", "one by one")
"""Of every kind one, which is not among the heaviest; the others are full."""


@cache
def emitted(design):
    return emit_network(design, random_image(design, 5))


def verified(builds, design, text=None, **options):
    return verify_network(
        design, random_image(design, 5), text or emitted(design), random_stimuli(design, 6, 6),
        build_dir=builds, **options,
    )


@pytest.mark.parametrize("design", [IMAGES, TOKENS], ids=["images", "tokens"])
def test_a_right_network_passes_every_phase(design, builds):
    result = verified(builds, design)
    assert result.ok, result.mismatches[:3]
    assert [phase.name for phase in result.phases] == [*phases_of(design)]
    (phase,) = (phase for phase in result.phases if phase.name == LOADS)
    assert phase.loads > 20 and phase.bad > 10 and phase.scores and phase.elements
    assert all(not other.loads for other in result.phases if other is not phase)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[pytest.mark.full] * (name not in SOON)) for name in OTHERS],
)
def test_networks_of_other_shapes_are_loaded(name, builds):
    design = replace(OTHERS[name], loadable=True)
    result = verified(builds, design, phases=[phases_of(design)[0], LOADS])
    assert result.ok, result.mismatches[:3]


def test_the_phase_is_there_only_if_parameters_can_be_loaded():
    assert LOADS in phases_of(IMAGES) and LOADS not in phases_of(TINY)


def _every(pattern, new):
    """Change every match of a pattern within a module."""
    def change(text):
        changed, count = re.subn(pattern, new, text, flags=re.MULTILINE)
        assert count, pattern
        return changed

    return change


def _module(path, change):
    """Change the text of a module."""
    def whole(text):
        start = re.search(rf"^module \\?{re.escape(NETWORK + path)}[ (]", text, re.M).start()
        end = text.index("endmodule", start)
        return text[:start] + change(text[start:end]) + text[end:]

    return whole


FAULTS = {
    "a checksum that is always right": (
        IMAGES, ".loader.crc", _every(r"assign match_detected = .*;", "assign match_detected = 1;"),
    ),
    "parameters that count as whole": (
        IMAGES, ".network", _every(r"\.whole\(whole\)", ".whole(1'b1)"),
    ),
    "tokens with spoilt parameters": (
        TOKENS, ".network", _every(r"\.whole\(whole\)", ".whole(1'b1)"),
    ),
    "contexts that outlive a load": (
        TOKENS, ".network.embedding.contexts", _every(r"load__start \?", "1'b0 ?"),
    ),
    "a load while images are in the network": (
        IMAGES, ".gate", _every(r"assign idle = .*;", "assign idle = 1'b1;"),
    ),
    "images that enter during a load": (
        IMAGES, ".gate", _every(r"assign open = .*;", "assign open = 1'b1;"),
    ),
    "a reset that mends parameters": (
        IMAGES, ".loader", _every(
            r"assign whole = (.*);",
            r"assign whole = \1 | mend;\n  reg mend; always @(posedge clk)"
            r" mend <= rst | (mend & ~load__start);",
        ),
    ),
    "a bit that is written wrong": (
        IMAGES, ".network.block_0.up", _every(r"(weights\[.*\] <= load__data)", r"\1 ^ 8'h40"),
    ),
}
"""Design, module below the top, and how its text is changed."""


def _text(design, path, change):
    text = emitted(design)
    return _module(path, change)(text)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_found(fault, builds):
    design, path, change = FAULTS[fault]
    text = _text(design, path, change)
    assert text != emitted(design)
    result = verified(builds, design, text, phases=[LOADS])
    assert result.mismatches, fault
    assert {mismatch.phase for mismatch in result.mismatches} == {LOADS}


def test_scores_are_those_of_what_was_loaded(builds):
    """By hand: two sets of parameters, one after the other, with images before and behind them."""
    one, other = (random_image(IMAGES, seed) for seed in (5, 9))
    pixels = random_pixels(IMAGES, 6, 6)
    network = CompiledNetwork.of_verilog(IMAGES, emitted(IMAGES), builds)
    loads = [Load(parameter_packet(IMAGES, image), image, 2 + 2 * n)
             for n, image in enumerate((other, one))]
    record = network.play(packets_of(IMAGES, pixels), loads=loads)
    assert record.state == State.DONE and not record.violations
    scores = record.beats[:, 0].reshape(6, -1) << 32 >> 32
    images, entered = (one, other, one), [event.entered for event in record.loads]
    assert len(entered) == 2 and 2 <= entered[0] < entered[1] <= 6
    for image, start, end in zip(images, [0, *entered], [*entered, 6]):
        np.testing.assert_array_equal(scores[start:end], run(IMAGES, image, pixels)[start:end])
    assert (run(IMAGES, one, pixels) != run(IMAGES, other, pixels)).any()
    for event in record.loads:
        assert event.answer == LoadAnswer.LOADED
        assert event.answer_cycle - event.cycle == load_cycles(IMAGES)
        assert event.entered == event.answered
