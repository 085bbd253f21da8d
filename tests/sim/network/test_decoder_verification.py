# SPDX-License-Identifier: Apache-2.0
"""A right decoder passes every phase; every fault in its Verilog is found and located."""

import re
from functools import cache

import numpy as np
import pytest

from ecoformer.hw.emit.network import emit_network
from ecoformer.sim.network.simulate import simulate_network
from ecoformer.sim.network.stimulus import random_image
from ecoformer.sim.network.subjects import random_stimuli
from ecoformer.sim.network.token_scenes import PHASES, corner_tape, random_tape
from ecoformer.sim.network.verification import verify_network
from ecoformer.spec.folding import Stream
from ecoformer.spec.network.decoder import TokenError
from tests.sim.network.broken import _flip, _pins, _slow, _within
from tests.sim.network.decoders import DECODERS, TINY_DECODER

IMAGE = random_image(TINY_DECODER, 5)
TAPE = random_stimuli(TINY_DECODER, 6, 40)
NETWORK = "ecoformer_network"


@cache
def emitted():
    return emit_network(TINY_DECODER, IMAGE)


def verified(builds, text, **options):
    return verify_network(TINY_DECODER, IMAGE, text, TAPE, build_dir=builds, **options)


def test_a_right_decoder_passes_every_phase(builds):
    result = verified(builds, emitted(), parameter_sets=1)
    assert result.ok, result.mismatches[:3]
    phases = {phase.name: phase for phase in result.phases}
    assert [*phases] == [*PHASES, "parameters"]
    assert all(phase.images and phase.scores for phase in result.phases)
    assert phases["bad"].bad > 20 and phases["resets"].resets == 4
    assert phases["texts"].bad == phases["rate"].bad == 0
    assert result.cycles_per_image == TINY_DECODER.steady_cycles
    assert result.latency > TINY_DECODER.steady_cycles
    elements = sum(TINY_DECODER.vector_elements.values())
    assert phases["texts"].elements == len(TAPE) * elements
    padded = TINY_DECODER.answer_beats * TINY_DECODER.answer_scores
    assert phases["texts"].scores == len(TAPE) * padded == len(TAPE) * 6


@pytest.mark.parametrize("name", DECODERS)
def test_other_decoders_are_right(name, builds):
    design = DECODERS[name]
    image = random_image(design, 4, extremes=True)
    tape = random_stimuli(design, 5, 48)
    result = verify_network(design, image, emit_network(design, image), tape, build_dir=builds)
    assert result.ok, result.mismatches[:3]
    assert result.cycles_per_image == design.steady_cycles


def _put(old, new):
    def change(text):
        assert old in text, old
        return text.replace(old, new)
    return change


def _flip_decimal(memory, row, bit):
    """Flip a bit of a word of 32 bits, which Yosys writes in decimal."""
    def change(text):
        return re.sub(
            rf"(\b{memory}\[{row}\] = 32'd)(\d+)",
            lambda found: f"{found[1]}{int(found[2]) ^ 1 << bit}", text,
        )
    return change


FAULTS = {
    "flipped weight": ("network.block_0.up", _flip("weights", 1, 0), "blocks.0.up", "element"),
    "embedding": (
        "network.embedding", _flip_decimal("embedding_rows", 3, 0), "embedding", "element",
    ),
    "position": (
        "network.embedding", _flip_decimal("positions_rows", 2, 1), "embedding", "element",
    ),
    "answer lost": (
        "", _pins(valid="(answers != 8'd1)", ready="m_axis_tready | answers == 8'd1"), None,
        "answers",
    ),
    "wrong tuser": ("", _pins(user="(answers == 8'd1)"), None, "tuser of the last beat"),
    "wrong tid": ("", _put("assign m_axis_tid = ", "assign m_axis_tid = 2'd1 ^ "), None, "tid"),
    "slow layer": (
        "network.block_0.up", _slow(24), "blocks.0.up", "cycles after the token before",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_found_and_located(fault, builds):
    path, change, layer, what = FAULTS[fault]
    text = _within(emitted(), f"{NETWORK}.{path}" if path else NETWORK, change)
    result = verified(builds, text, phases=("texts", "latency", "rate"))
    found = result.mismatches
    assert found and not result.ok
    assert what in {m.what for m in found} and layer in {m.layer for m in found}
    if what == "element":
        # Nothing that follows from it is blamed, but later tokens meet its state in attention.
        assert {m.layer for m in found} - {"blocks.0.attention"} == {layer}
        assert all(m.got != m.want and m.image is not None and m.token is None for m in found)
    if fault == "embedding":  # the last two of four elements of token 1
        tokens = {int(TAPE.tokens[m.image]) for m in found if m.phase == "texts"}
        assert tokens == {1} and {m.lane for m in found} == {2}
    if fault == "wrong tuser":
        assert {m.image for m in found if m.phase == "texts"} == {1}


def test_random_tapes_have_the_errors_that_are_asked_for():
    from ecoformer.golden.integer.network.contexts import Contexts

    def errors(tape):
        contexts = Contexts(TINY_DECODER, IMAGE)
        rows = zip(tape.tokens.tolist(), tape.contexts.tolist(), tape.begins.tolist())
        return [contexts.take(*row)[0] for row in rows]

    rng = np.random.default_rng(0)
    assert set(errors(random_tape(TINY_DECODER, rng, 200))) == {None}
    assert set(errors(random_tape(TINY_DECODER, rng, 200, 0.3))) == {None, *TINY_DECODER.errors}
    corners = errors(corner_tape(TINY_DECODER))
    assert corners.count(TokenError.TOO_LONG) == 2 and len({*corners}) == 2


def test_a_simulation_measures_rate_and_latency(builds):
    run = simulate_network(TINY_DECODER, emitted(), TAPE, build_dir=builds)
    figures = run.summary()
    assert figures["images"] == len(TAPE) and figures["bad_images"] == 0
    assert run.cycles_per_image == figures["published_cycles_per_image"] == 16
    assert run.latency == verified(builds, emitted(), phases=("latency",)).latency
    assert isinstance(TINY_DECODER.fold("blocks.0.down"), Stream)
    assert 0.9 < run.layers["blocks.0.down"]["steady_busy"] <= 1


@pytest.mark.icarus
def test_icarus_sees_no_undefined_pin(builds):
    tape = random_tape(TINY_DECODER, np.random.default_rng(2), 24, 0.3)
    compiled, icarus = (
        simulate_network(
            TINY_DECODER, emitted(), tape, stall=stall, simulator=name, build_dir=builds
        ) for name, stall in (("compiled", 0.0), ("icarus", 0.3))
    )
    assert icarus.undefined == 0
    assert np.array_equal(compiled.record.beats, icarus.record.beats)
    assert (compiled.record.beats[:, -1] >> 1 & 1).sum() >= 3
