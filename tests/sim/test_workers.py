# SPDX-License-Identifier: Apache-2.0
"""Several engines behind one pair of ports; what one engine must do, they do, is in test_engine."""

import contextlib
import re
from dataclasses import replace

import numpy as np
import pytest

from ecoformer.hw.emit.manifest import manifest
from ecoformer.sim.bench import play
from ecoformer.sim.build import build
from ecoformer.sim.compiled import CompiledEngine
from ecoformer.sim.compiled_bench import CompiledBench, run_now
from ecoformer.sim.judge import judge
from ecoformer.sim.plan import make_plan
from ecoformer.sim.script import Packet, Scene
from ecoformer.sim.simulate import simulate
from ecoformer.sim.stimulus import random_image, random_workload
from ecoformer.sim.verification import verify
from ecoformer.sim.verify import compare
from ecoformer.spec.config import Config
from tests.emitted import emitted

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
    image, workload = random_image(config, rng, sets=2), of_lengths(config, rng, [1])
    plan = make_plan(config, image, workload, phases=("scripts",))
    result = verify(config, emitted(config, name="ecoformer_engine"), plan, build_dir=builds)
    assert result.ok, "\n".join(map(str, result.mismatches[:10]))
    (phase,) = result.phases
    kinds = ["MISALIGNED", "TOO_LONG", "UNKNOWN_SET", "ABORTED", "reset", "load"]
    assert phase.words > 80 and all(phase.happened[kind] > 3 for kind in kinds), phase.happened


def test_more_packets_are_in_flight_than_one_engine_could_hold(builds):
    """And BUSY counts them: thousands of packets of one token, hardly any taken."""
    config = replace(CONFIG, max_tokens=1024, cycles_per_token=2, bus_bytes=8)
    rng = np.random.default_rng(6)
    image = random_image(config, rng)
    workload = of_lengths(config, rng, [1] * 4300, sets=1)
    packets = tuple(Packet.of(config, *sequence) for sequence in workload.sequences())
    scene = Scene(name="many", image=image, packets=packets, pressure=0.99)
    built = build(emitted(config, name="ecoformer_engine"), builds, simulator="compiled")
    with contextlib.closing(CompiledEngine(built.folder)) as engine:
        record = run_now(play(CompiledBench(config, engine), config, scene))
    flight = [(t, 1) for t in record.stamps["first_in"]]
    flight += [(t, -1) for t in record.stamps["last_out"]]
    assert max(np.cumsum([step for _, step in sorted(flight)])) > 4096
    report, _ = judge(config, scene, record)
    assert not report.mismatches and report.words == len(packets) * config.value_dim
