# SPDX-License-Identifier: Apache-2.0
import json

import numpy as np
import pytest

from ecoformer.sim.run import SimulationRun
from ecoformer.sim.simulate import simulate
from ecoformer.sim.stimulus import random_image, random_workload
from ecoformer.sim.verify import compare, expected_outputs
from ecoformer.spec.config import Config
from ecoformer.spec.registers import Error, constants
from ecoformer.spec.wire import pack_outputs
from tests.sim import dummy


def report(builds, text, **options):
    image, workload = dummy.image(sets=2), dummy.workload(8, sets=2)
    run = simulate(
        dummy.CONFIG, text, image, workload, build_dir=builds, simulator="icarus", **options
    )
    return compare(dummy.CONFIG, image, workload, run)


def test_a_wrong_element_is_located_in_the_attention(builds):
    broken = dummy.engine().replace("{o1, o0}", "{o1 ^ (sequences == 2 && sent == 3), o0}")
    found = report(builds, broken)
    assert [(m.stage, m.sequence, m.token, m.lane) for m in found.mismatches] == [
        ("attention", 2, 3, 1)
    ]
    assert found.mismatches[0].got == found.mismatches[0].want ^ 1
    assert str(found.mismatches[0]).startswith("sequence 2 token 3 lane 1: output is ")


def test_a_wrong_code_is_located_in_the_hash(builds):
    broken = dummy.engine(CODE="sequences == 1 && count == 2 ? 5'h1b : 5'h1f")
    found = report(builds, broken)
    assert {(m.stage, m.sequence, m.token, m.what) for m in found.mismatches} == {
        ("hash", 1, 2, "code bit 2")
    }
    assert (found.mismatches[0].got, found.mismatches[0].want) == (-1, 1)


def test_an_output_after_a_wrong_code_is_blamed_on_the_hash(builds):
    broken = dummy.engine(CODE="sequences == 1 && count == 2 ? 5'h1b : 5'h1f")
    broken = broken.replace("{o1, o0}", "{o1 ^ (sequences == 1 && sent == 0), o0}")
    assert {m.stage for m in report(builds, broken).mismatches} == {"hash"}


@pytest.mark.parametrize(
    "old, new, stage, what",
    [
        ("m_axis_tuser = {bad, set}", "m_axis_tuser = {bad, ~set}", "packet", "set"),
        ("m_axis_tuser = {bad, set}", "m_axis_tuser = {1'b1, set}", "packet", "error"),
        ("errors & enable", "errors", "register", "irq, disabled"),
        ("if (~bad) tokens", "if (0) tokens", "register", "TOKENS"),
        ("8'd0: s_axil_rdata <= 32'd", "8'd0: s_axil_rdata <= 32'd1", "register", "ID"),
        ("(sent + 8'd1 == count)", "(sent == count)", "packet", "number of tokens"),
        (".pulse(whole)", ".pulse(whole & ~(sequences == 2))", "hash", "traced tokens"),
    ],
)
def test_frames_and_registers_are_compared(builds, old, new, stage, what):
    assert old in dummy.engine()
    found = report(builds, dummy.engine().replace(old, new), faults={4: "overlong"})
    assert not found.ok
    assert any(m.stage == stage and what in m.what for m in found.mismatches)


def test_a_bad_packet_must_be_answered_with_one_zero_beat(builds):
    faults = {3: "overlong"}
    assert report(builds, dummy.engine(), faults=faults).ok
    lit = dummy.engine().replace("bad ? 32'd0", "bad ? 32'd1")
    found = report(builds, lit, faults=faults)
    assert [(m.stage, m.sequence, m.what) for m in found.mismatches] == [
        ("packet", 3, "byte 0 of an error answer")
    ]
    late = dummy.engine().replace("m_axis_tlast = bad |", "m_axis_tlast = (bad & sent == 1) |")
    found = report(builds, late, faults=faults)
    assert any("beats of an error" in m.what for m in found.mismatches)


@pytest.mark.parametrize("lit", [False, True], ids=["zero", "lit"])
def test_unused_bytes_must_be_zero(lit):
    config = Config(head_dim=2, value_dim=1, code_bits=2, anchors=1, max_tokens=4, bus_bytes=3)
    rng = np.random.default_rng(0)
    image, sequences = random_image(config, rng, sets=1), random_workload(config, rng, 2, sets=1)
    expected = expected_outputs(config, image, sequences)
    beats = [pack_outputs(config, outputs).copy() for outputs, _ in expected]
    beats[1][0, 2] = 9 if lit else 0
    registers = {
        **constants(config), "TOKENS": int(sequences.lengths.sum()), "SEQUENCES": 2,
        "DENOMINATOR": sum(int(guarded) for _, guarded in expected),
        "MISALIGNED": 0, "TOO_LONG": 0, "UNKNOWN_SET": 0, "ABORTED": 0,
    }
    registers["ERRORS"] = (registers["DENOMINATOR"] > 0) << Error.DENOMINATOR
    run = SimulationRun(
        config=config, beats=beats, users=np.zeros(2, np.int64), stamps={}, extra_beats=0,
        codes=None, cycles=1, registers=registers, counted={}, seconds=1.0, simulator="none",
    )
    found = compare(config, image, sequences, run)
    assert [(m.stage, m.sequence, m.token, m.got) for m in found.mismatches] == (
        [("padding", 1, 0, 9)] if lit else []
    )


def test_the_report_goes_to_json(builds):
    broken = dummy.engine().replace("{o1, o0}", "{o1 ^ (sequences == 2 && sent == 3), o0}")
    figures = json.loads(json.dumps(report(builds, broken).as_dict()))
    assert figures["ok"] is False and figures["sequences"] == 8
    assert figures["mismatches"][0]["lane"] == 1
