# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from ecoformer.errors import EcoformerError
from ecoformer.sim.simulate import simulate
from ecoformer.sim.verify import compare
from ecoformer.spec.registers import constants
from tests.recorded_progress import RecordedProgress
from tests.sim import dummy

FAULTS = {1: "truncated", 4: "overlong", 5: "unknown_set"}


def run(builds, *, text=None, sets=2, sequences=12, **options):
    image, workload = dummy.image(sets=sets), dummy.workload(sequences, sets=sets)
    result = simulate(
        dummy.CONFIG, text or dummy.engine(), image, workload, build_dir=builds, **options
    )
    return result, compare(dummy.CONFIG, image, workload, result)


@pytest.mark.parametrize("stall", [0.0, 0.4])
@pytest.mark.parametrize("simulator", ["verilator", "icarus"])
def test_every_bit_is_compared_and_agrees(builds, simulator, stall):
    result, report = run(builds, simulator=simulator, stall=stall)
    assert report.ok, report.mismatches[:5]
    tokens = sum(map(len, result.outputs))
    assert tokens == dummy.workload(12, sets=2).lengths.sum() == report.codes == result.tokens
    assert report.words == tokens * dummy.CONFIG.value_dim
    assert result.simulator.startswith(simulator)


def test_bad_packets_are_answered_and_the_next_is_exact(builds):
    result, report = run(builds, faults=FAULTS, stall=0.2)
    assert report.ok, report.mismatches[:5]
    assert np.flatnonzero(result.errors).tolist() == list(FAULTS)
    assert [len(result.beats[i]) for i in FAULTS] == [1, 1, 1]
    counts = {name: result.registers[name] for name in ("MISALIGNED", "TOO_LONG", "UNKNOWN_SET")}
    assert counts == {"MISALIGNED": 1, "TOO_LONG": 1, "UNKNOWN_SET": 1}


def test_cycle_stamps_are_those_of_the_handshakes(builds):
    result, _ = run(builds)
    lengths = dummy.workload(12, sets=2).lengths
    stamps = result.stamps
    # The stand-in takes two beats a token, answers from the next cycle, one beat a token.
    np.testing.assert_array_equal(stamps["last_in"] - stamps["first_in"], 2 * lengths - 1)
    np.testing.assert_array_equal(stamps["first_out"], stamps["last_in"] + 1)
    np.testing.assert_array_equal(stamps["last_out"] - stamps["first_out"], lengths - 1)
    np.testing.assert_array_equal(stamps["first_in"][1:], stamps["last_out"][:-1] + 1)
    assert result.busy_cycles == 3 * lengths.sum()
    cycles = result.stamps["first_out"][-1] - result.stamps["first_out"][1]
    assert result.cycles_per_token == pytest.approx(cycles / lengths[1:-1].sum())
    assert result.utilisation == pytest.approx(4 / 3)  # k = 4, but the stand-in needs only 3


def test_the_same_seed_gives_the_same_cycles(builds):
    first, second, other = (run(builds, stall=0.4, seed=seed)[0] for seed in (7, 7, 8))
    np.testing.assert_array_equal(first.stamps["last_out"], second.stamps["last_out"])
    assert (first.stamps["last_out"] != other.stamps["last_out"]).any()


def test_the_compiled_engine_has_the_same_cycles(builds):
    bench, report = run(builds)
    compiled, compiled_report = run(builds, simulator="compiled")
    assert report.ok and compiled_report.ok
    assert compiled_report.words == report.words and compiled_report.codes == report.codes > 0
    assert compiled.registers == bench.registers
    for name, stamps in bench.stamps.items():
        np.testing.assert_array_equal(compiled.stamps[name], stamps)


@pytest.mark.parametrize("simulator", ["icarus", "verilator", "compiled"])
def test_units_are_counted_where_the_design_tells(builds, simulator):
    result, _ = run(builds, simulator=simulator)
    # The stand-in says that every unit works in the cycle after a token's last beat.
    assert set(result.busy[0]) == {result.tokens}
    assert result.units["query_lanes"]["busy"] == result.tokens / result.busy_cycles
    # And takes no beat while it answers: what it says from there on is of the later packets.
    later = dummy.workload(12, sets=2).lengths[2:].sum()
    assert set(result.busy[1]) == {later - 1}  # the last strobe comes after the last beat
    silent, report = run(
        builds, simulator=simulator, text=dummy.engine().replace("trace_busy", "other")
    )
    assert report.ok and silent.busy is silent.units is silent.summary()["units"] is None


def test_the_compiled_engine_stands_stalls_and_bad_packets(builds):
    result, report = run(builds, simulator="compiled", faults=FAULTS, stall=0.4)
    assert report.ok, report.mismatches[:5]
    assert np.flatnonzero(result.errors).tolist() == list(FAULTS)
    assert result.busy_cycles > run(builds, simulator="compiled", faults=FAULTS)[0].busy_cycles


@pytest.mark.parametrize("simulator", ["icarus", "compiled"])
def test_a_refused_register_access_is_one_line(builds, simulator):
    text = dummy.engine().replace("s_axil_bresp = 2'd0", "s_axil_bresp = 2'd2")
    with pytest.raises(EcoformerError, match="register .* is (answered|refused)") as error:
        run(builds, text=text, simulator=simulator)
    assert "\n" not in str(error.value)


def test_parameters_change_from_the_named_packet_on(builds):
    image, workload, other = dummy.image(), dummy.workload(8), dummy.image()
    other.threshold[:] *= -1  # codes all -1, which the stand-in never makes
    result = simulate(
        dummy.CONFIG, dummy.engine(), image, workload, build_dir=builds, updates={5: other}
    )
    report = compare(dummy.CONFIG, image, workload, result)
    assert {m.sequence for m in report.mismatches} == {5, 6, 7}
    assert {m.stage for m in report.mismatches} == {"hash"}
    waited = result.stamps["first_in"][5] - result.stamps["last_out"][4]
    assert waited > 100  # the bench held the packet until the engine had its parameters


def test_registers_are_read_back(builds):
    result, _ = run(builds)
    for name, value in constants(dummy.CONFIG).items():
        assert result.registers[name] == value


def test_an_engine_that_falls_silent_does_not_hang_the_bench(builds):
    text = dummy.engine().replace("answering <= 1;", "answering <= sequences != 3;")
    result, report = run(builds, text=text, simulator="icarus")
    assert len(result.outputs) == 3
    assert not report.ok
    silent = {m.sequence for m in report.mismatches if m.want == 1 and m.got is None}
    assert silent == set(range(3, 12))


def test_unexpected_beats_are_reported(builds):
    text = dummy.engine().replace("answering <= 0; count", "answering <= sequences == 11; count")
    result, report = run(builds, text=text, simulator="icarus")
    assert result.extra_beats or len(result.beats) > 12
    assert any("unexpected" in m.what for m in report.mismatches)


def test_an_engine_stuck_in_programming_is_one_line(builds):
    text = dummy.engine().replace("assign s_axil_awready = ", "assign s_axil_awready = 1'b0 & ")
    with pytest.raises(EcoformerError, match="the simulation stopped: .*is not answered") as error:
        run(builds, text=text, simulator="icarus")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("simulator, suffix", [("icarus", "fst"), ("verilator", "vcd")])
def test_waves_are_recorded(builds, tmp_path, simulator, suffix):
    path = tmp_path / f"waves.{suffix}"
    result, report = run(builds, simulator=simulator, waves=path, sequences=3)
    assert report.ok and result.waves == path
    head = path.read_bytes()
    assert len(head) > 1000
    assert suffix == "fst" or (b"s_axis_tdata" in head and b"trace_code" in head)


def test_icarus_refuses_vcd_before_it_builds(builds, tmp_path):
    with pytest.raises(EcoformerError, match=r"icarus records \*.fst"):
        run(builds, simulator="icarus", waves=tmp_path / "waves.vcd")


@pytest.mark.parametrize(
    "options, why",
    [
        ({"stall": 1.0}, "stall must be 0.0…0.95, not 1.0; choose another"),
        ({"faults": {0: "melted"}}, "fault 'melted': unknown"),
        ({"faults": {12: "overlong"}}, "fault in packet 12: the workload has 12"),
    ],
)
def test_impossible_requests_are_refused(builds, options, why):
    with pytest.raises(EcoformerError, match=why):
        run(builds, **options)


def test_a_workload_for_sets_that_are_not_loaded_is_refused(builds):
    with pytest.raises(EcoformerError, match="asks for parameter set 2, but the image has 1"):
        simulate(
            dummy.CONFIG, dummy.engine(), dummy.image(sets=1), dummy.workload(12), build_dir=builds
        )


def test_progress_is_reported(builds):
    progress = RecordedProgress()
    run(builds, simulator="icarus", sequences=600, progress=progress)
    moving = [done for stage, done, _ in progress.updates if stage == "simulate"]
    assert moving and moving == sorted(moving) and moving[-1] > 0


def test_nothing_is_left_behind(tmp_path):
    run(tmp_path, simulator="icarus")
    assert [path.suffix for path in sorted(tmp_path.iterdir())] == ["", ".lock"]
