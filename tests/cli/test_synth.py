# SPDX-License-Identifier: Apache-2.0
import json
from pathlib import Path

import pytest

from ecoformer.cli import main
from ecoformer.files import checksum
from tests.sim import dummy


@pytest.fixture
def design(tmp_path):
    """Folder of a generated design whose Verilog is the small stand-in of the simulator tests."""
    folder = tmp_path / "engine"
    for part in ("rtl", "vectors"):
        (folder / part).mkdir(parents=True)
    (folder / "rtl" / "dummy_engine.v").write_text(dummy.engine())
    (folder / "config.toml").write_text(dummy.CONFIG.as_toml())
    dummy.image(sets=1).save(folder / "parameters.safetensors", dummy.CONFIG)
    dummy.workload(3, sets=1).save(folder / "vectors" / "workload.npz")
    files = {name: checksum(folder / name) for name in ("config.toml", "parameters.safetensors")}
    (folder / "manifest.json").write_text(json.dumps({"files": files}))
    return folder


def synth(*arguments):
    """Exit code of ``ecoformer synth``."""
    with pytest.raises(SystemExit) as end:
        main(["synth", *map(str, arguments)])
    return end.value.code


@pytest.mark.synth
@pytest.mark.icarus
def test_synth_maps_places_verifies_and_records(design, capsys):
    out = design.parent / "figures.json"
    assert synth(design, "--device", "25k", "--seeds", "2", "--router", "router2", "--verify",
                 "--json", out) == 0
    figures = json.loads(out.read_text())
    record = json.loads((design / "synth-ecp5" / "synth.json").read_text())
    assert {"netlist.json", "netlist.v"} < record.pop("files").keys() and figures == record
    assert figures["design"] == "dummy_engine" and figures["seeds"] == [1, 2]
    assert figures["fingerprint"] == dummy.CONFIG.fingerprint
    assert figures["verification"]["ok"] and figures["verification"]["words"] > 0
    assert "Running router2" in (design / "synth-ecp5" / "seed-1.log").read_text()
    shown, log = capsys.readouterr()
    assert "Fmax, median and best" in shown and "bit-exact" in shown and "flattened" in shown
    assert "synthesis: 2 of 2" in log or "synthesis: 0 of 2" in log
    assert sorted(path.name for path in (design / "synth-ecp5").iterdir()) == [
        "netlist.json", "netlist.v", "seed-1.json", "seed-1.log", "seed-2.json", "seed-2.log",
        "synth.json", "synthesis.log", "units.log",
    ]


def test_a_clock_that_is_required_and_not_reached(design, capsys, monkeypatch):
    """With figures as the tools report them, so that this need not wait for them."""
    from ecoformer.hw.synth import flow

    none = {"LUT": 0, "FF": 0, "DSP": 0, "block RAM": 0}
    unit = {"path": "", "depth": 0, **none}
    mapped = {"units": [unit], "across_units": none, "resources": none}
    path = dict.fromkeys(("from", "to"), {"unit": "a", "signal": "b"})
    monkeypatch.setattr(flow, "synthesise", lambda *_, **__: mapped)
    monkeypatch.setattr(flow, "place", lambda figures, *_, **__: figures.update(
        packed={}, device="85k", part="LFE5U-85F", speed=6, seeds=[1], runs=[{"fmax_mhz": 99.9}],
        fmax_median_mhz=99.9, fmax_best_mhz=99.9,
        critical_path={**path, "delay_ns": 10, "logic_ns": 4, "routing_ns": 6},
    ))
    assert synth(design, "--require-timing", "99.9") == 0
    assert synth(design, "--require-timing", "100") == 1
    assert "Fmax: 99.9 MHz, but 100 MHz are required" in capsys.readouterr().err
    assert (design / "synth-ecp5" / "synth.json").is_file()


@pytest.mark.synth
def test_a_failed_synth_keeps_the_old_result_and_the_logs(design, capsys):
    (design / "synth-ecp5").mkdir()
    old = '{"files": {}}'
    (design / "synth-ecp5" / "synth.json").write_text(old)
    verilog = design / "rtl" / "dummy_engine.v"
    verilog.write_text(verilog.read_text().replace("endmodule", "endmodul"))
    assert synth(design, "--no-place") == 2
    out, err = capsys.readouterr()
    last = err.strip().splitlines()[-1]
    assert last.startswith("ecoformer: ") and "ERROR: " in last and "the logs are in" in last
    assert (design / "synth-ecp5" / "synth.json").read_text() == old
    assert (Path(last.split()[-1]) / "synthesis.log").exists()
    assert not list(design.glob(".synth*"))


@pytest.mark.parametrize(
    "arguments, why",
    [
        (("--target", "abacus"), "--target must be 'ecp5' or 'ice40' or 'gowin' or 'nexus' or"),
        (("--device", "99k"), "--device must be '85k' or '45k' or '25k' or '12k' or 'up5k' or"),
        (("--target", "ecp5", "--device", "up5k"), "device 'up5k': not a Lattice ECP5; choose 85k"),
        (("--device", "up5k", "--speed", "7"), "speed 7: not a speed grade; choose none"),
        (("--device", "gw1n-9c", "--verify"), "--verify: Yosys has no models of the memories and"),
        (("--speed", "5"), "--speed must be 6…9, not 5"),
        (("--router", "best"), "--router must be 'router1' or 'router2', not 'best'"),
        (("--seeds", "one"), "--seeds 'one': must be like 3, at most 100, or like 1,2,3"),
        (("--seeds", "0"), "--seeds '0': must be like 3"),
        (("--target", "xc7", "--seeds", "3"), "Xilinx 7 series is synthesised only; leave them"),
        (("--no-place", "--device", "25k"), "nothing is placed; leave them out"),
        (("--no-place", "--router", "router2"), "nothing is placed; leave them out"),
    ],
)
def test_impossible_requests_are_one_line_and_exit_2(design, capsys, arguments, why):
    assert synth(design, *arguments) == 2
    err = " ".join(capsys.readouterr().err.split())
    assert err.startswith("ecoformer: ") and why in err
    assert not (design / "synth-ecp5").exists()
