# SPDX-License-Identifier: Apache-2.0
"""Cycles, latency and lanes of a network, in every simulator."""

import pytest

from ecoformer.errors import EcoformerError
from ecoformer.golden.integer.network.forward import run
from ecoformer.hw.emit.network import emit_network
from ecoformer.sim.network.busy import busy_bits
from ecoformer.sim.network.simulate import simulate_network
from ecoformer.sim.network.stimulus import random_image, random_pixels
from tests.sim.network.designs import TINY

IMAGE = random_image(TINY, 5)
PIXELS = random_pixels(TINY, 8, 20)


@pytest.fixture(scope="module")
def text():
    return emit_network(TINY, IMAGE)


def answers(record):
    """Scores of a record, sign-extended."""
    unused = 64 - 8 * TINY.score_bytes
    return (record.beats[:, 0] << unused >> unused).reshape(-1, TINY.classes)


def test_figures_of_a_steady_network(text, builds):
    done = simulate_network(TINY, text, PIXELS, build_dir=builds)
    assert (answers(done.record) == run(TINY, IMAGE, PIXELS)).all()
    assert done.cycles_per_image == TINY.cycles_per_image
    assert done.layers.keys() == busy_bits(TINY).keys()
    for name, layer in done.layers.items():
        assert 0 < layer["busy"] < layer["steady_busy"] <= 1, name
    # Sixteen multiplications in sixteen cycles: every lane is at work all the time.
    for part in ("out", "up", "down"):
        assert done.layers[f"blocks.0.{part}"]["steady_useful"] == 1
    whole = TINY.cycles_per_image
    classifier = TINY.fold("classifier")
    assert done.layers["classifier"]["steady_busy"] == pytest.approx(classifier.steps / whole)


def test_one_image_has_no_steady_part(text, builds):
    done = simulate_network(TINY, text, PIXELS[:1], build_dir=builds)
    figures = done.summary()
    assert figures["cycles_per_image"] is None
    assert all(layer["steady_busy"] is None for layer in figures["layers"].values())


@pytest.mark.parametrize("simulator", [
    pytest.param("icarus", marks=pytest.mark.icarus), "verilator",
])
def test_other_simulators_see_the_same_cycles(simulator, text, builds):
    some = PIXELS[:6]
    fast = simulate_network(TINY, text, some, build_dir=builds)
    done = simulate_network(TINY, text, some, build_dir=builds, simulator=simulator)
    assert (answers(done.record) == run(TINY, IMAGE, some)).all()
    assert done.latency == fast.latency
    first = done.record.first_in[0] - fast.record.first_in[0]
    assert (done.record.last_out - first == fast.record.last_out).all()
    assert done.layers == fast.layers
    assert done.undefined == (0 if simulator == "icarus" else None)
    stalled = simulate_network(
        TINY, text, some, build_dir=builds, simulator=simulator, stall=0.4, seed=3
    )
    assert (answers(stalled.record) == run(TINY, IMAGE, some)).all()
    assert stalled.record.cycles > done.record.cycles


@pytest.mark.icarus
def test_an_undefined_pin_is_counted(text, builds):
    broken = text.replace("assign m_axis_tuser = ", "assign m_axis_tuser = 1'bx ^ ")
    with pytest.raises(EcoformerError, match="silent after 0 of 2 answers; a pin is undefined in"):
        simulate_network(TINY, broken, PIXELS[:2], build_dir=builds, simulator="icarus")


@pytest.mark.icarus
def test_waves_are_recorded(text, builds, tmp_path):
    waves = tmp_path / "waves.fst"
    simulate_network(
        TINY, text, PIXELS[:1], build_dir=builds, simulator="icarus", waves=waves
    )
    assert waves.stat().st_size > 1_000
    with pytest.raises(EcoformerError, match="compiled records no waves"):
        simulate_network(TINY, text, PIXELS[:1], build_dir=builds, waves=waves)
