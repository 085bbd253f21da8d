# SPDX-License-Identifier: Apache-2.0
"""Several engines behind one pair of ports; what one engine must do, they do, is in test_engine."""

import re
from dataclasses import replace

import numpy as np
import pytest

from ecoformer.hw.emit.manifest import manifest
from ecoformer.sim.rtl import Rtl
from ecoformer.sim.simulate import simulate
from ecoformer.sim.stimulus import random_image, random_workload
from ecoformer.sim.verify import compare
from ecoformer.spec.config import Config
from ecoformer.spec.wire import pack_sequence
from tests.emitted import emitted
from tests.sim.fault_scripts import Packet, Scene, judge, play, random_script, run_scripts

CONFIG = Config(
    head_dim=3, value_dim=2, code_bits=4, anchors=3, max_tokens=24, cycles_per_token=8, engines=2,
    parameter_sets=3, bus_bytes=4, tuser_width=2,
)
SEVERAL = [
    CONFIG,
    replace(CONFIG, engines=3, value_dim=1, bus_bytes=2, output_width=8),  # a beat every cycle
]


def shown(config):
    return f"{config.engines} engines, {config.bus_bytes} bytes"


def of_lengths(config, rng, lengths, sets=None):
    drawn = [random_workload(config, rng, 1, lengths=int(n), sets=sets) for n in lengths]
    return type(drawn[0]).from_sequences(one for part in drawn for one in part.sequences())


def run(config, builds, image, workload, *, text=None, simulator="compiled", **options):
    text = text or emitted(config, name="ecoformer_engine")
    return simulate(
        config, text, image, workload, build_dir=builds, simulator=simulator, **options
    )


@pytest.mark.parametrize("config", SEVERAL, ids=shown)
@pytest.mark.parametrize("length", [1, 2, 13, 24])
def test_equal_lengths_take_a_share_of_k_cycles_from_the_second_packet_on(config, length, builds):
    rng, n = np.random.default_rng(0), config.engines
    image = random_image(config, rng)
    workload = of_lengths(config, rng, [length] * 10 * n)
    result = run(config, builds, image, workload)
    assert compare(config, image, workload, result).ok
    first = result.stamps["first_out"]
    turn = length * config.cycles_per_token
    assert (first[1 + n :] - first[1:-n] == turn).all()
    assert result.cycles_per_token == config.steady_cycles == config.cycles_per_token / n
    # Two turns more at most: one that is accumulated first, and one to get out of step.
    assert result.busy_cycles <= 12 * turn + manifest(config)["cycles"]["isolated_overhead"]


@pytest.mark.parametrize("config", SEVERAL, ids=shown)
def test_mixed_lengths_are_near_the_best_schedule_of_each_engine(config, builds):
    rng = np.random.default_rng(1)
    image = random_image(config, rng)
    workload = of_lengths(config, rng, rng.integers(1, 25, 120))
    result = run(config, builds, image, workload)
    assert compare(config, image, workload, result).ok
    assert result.bound_cycles <= result.busy_cycles <= 1.15 * result.bound_cycles


@pytest.mark.parametrize("config", SEVERAL, ids=shown)
def test_an_isolated_sequence_takes_the_cycles_of_the_formula(config, builds):
    rng, facts = np.random.default_rng(2), manifest(config)["cycles"]
    image = random_image(config, rng)
    for length in (1, 2, config.max_tokens):
        workload = of_lengths(config, rng, [length])
        result = run(config, builds, image, workload)
        assert compare(config, image, workload, result).ok
        overhead = facts["isolated_overhead"]
        assert result.busy_cycles == 2 * length * config.cycles_per_token + overhead
    assert facts["per_token"] == config.steady_cycles


@pytest.mark.parametrize("config", SEVERAL, ids=shown)
def test_every_guarded_token_is_counted(config, builds):
    """Also those that engines divide in the same cycle: packets of a length, many of them bad."""
    rng = np.random.default_rng(3)
    image = random_image(config, rng)
    image = replace(image, offset=np.zeros_like(image.offset))
    workload = of_lengths(config, rng, [8] * 60)
    result = run(config, builds, image, workload)
    assert compare(config, image, workload, result).ok
    assert result.registers["DENOMINATOR"] > workload.lengths.sum() / 16


def break_hash(text):
    return text.replace(".o__payload(trace_code)", ".o__payload(hashed)", 1).replace(
        "assign trace_valid", "wire [3:0] hashed;\n  assign trace_code = hashed ^ 4'h4;\n"
        "  assign trace_valid", 1,
    )


def break_results(text):
    """The lowest bit of an element of every word that the worker takes."""
    return re.sub(r"\? (\\o__payload\S* )", r"? (\1 ^ 1'b1)", text, count=1)


@pytest.mark.parametrize(
    "module, spoil, stage",
    [("worker_1.datapath", break_hash, "hash"), ("worker_1", break_results, "attention")],
    ids=["hash", "attention"],
)
def test_what_one_engine_does_wrong_is_located_in_its_packets(module, spoil, stage, builds):
    rng = np.random.default_rng(4)
    image = random_image(CONFIG, rng)
    workload = of_lengths(CONFIG, rng, [3, 5, 1, 2, 7, 12, 4], sets=2)
    text = emitted(CONFIG, name="ecoformer_engine")
    head = rf"module \ecoformer_engine.engine.datapath.{module} ("
    start = text.index(head)
    end = text.index("endmodule", start)
    broken = text[:start] + spoil(text[start:end]) + text[end:]
    assert broken != text
    faults = {3: "truncated", 4: "unknown_set"}
    good = run(CONFIG, builds, image, workload, simulator="icarus", faults=faults)
    assert compare(CONFIG, image, workload, good).ok
    bad = run(CONFIG, builds, image, workload, text=broken, simulator="icarus", faults=faults)
    found = compare(CONFIG, image, workload, bad).mismatches
    places = {(m.sequence, m.token) for m in found if m.stage == stage}
    # The 4th packet ends in the second of its two tokens; the hash sees only the first.
    lengths = {1: 5, 5: 12} | ({3: 1} if stage == "hash" else {})
    assert places == {(i, token) for i, count in lengths.items() for token in range(count)}
    if stage == "hash":
        assert {m.what for m in found if m.stage == stage} >= {"code bit 2"}
        assert {m.stage for m in found} <= {"hash", "register"}


@pytest.mark.parametrize(
    "config", [CONFIG, replace(CONFIG, engines=3, dataflow="xnor", tuser_width=0)],
    ids=["two", "three, quadratic"],
)
def test_after_any_faults_the_next_packet_is_exact(config, builds):
    rng = np.random.default_rng(5)
    image = random_image(config, rng, sets=2)
    scripts = [random_script(config, rng, image) for _ in range(40)]
    outcome = run_scripts(
        config, emitted(config, name="ecoformer_engine"), image, scripts, builds
    )
    assert not outcome.mismatches and not outcome.hangs
    kinds = ["MISALIGNED", "TOO_LONG", "UNKNOWN_SET", "ABORTED", "reset", "reload"]
    assert outcome.exact > 80 and all(outcome.faults[kind] > 3 for kind in kinds), outcome.faults


def test_more_packets_are_in_flight_than_one_engine_could_hold(builds):
    """And BUSY counts them: thousands of packets of one token, hardly any taken."""
    config = replace(CONFIG, max_tokens=1024, cycles_per_token=2, bus_bytes=8)
    rng = np.random.default_rng(6)
    image = random_image(config, rng)
    workload = of_lengths(config, rng, [1] * 4300, sets=1)
    packets = [
        Packet(user=user, tokens=tokens, values=values, beats=pack_sequence(config, tokens, values))
        for user, tokens, values in workload.sequences()
    ]
    scene = Scene(
        packets=packets, reset_cycles=2, gaps=0.0, pressure=0.99, seed=0, actions=[], reload=image
    )
    rtl = Rtl(config, emitted(config, name="ecoformer_engine"), image, builds)
    result = play(rtl, scene)
    rtl.close()
    flight = [(t, 1) for t in result["first_in"]] + [(t, -1) for t in result["last_out"]]
    assert max(np.cumsum([step for _, step in sorted(flight)])) > 4096
    outcome = judge(config, image, scene, result)
    assert not outcome.mismatches and outcome.exact == len(packets)
