# SPDX-License-Identifier: Apache-2.0
import os
import subprocess
import time

import pytest

from benchmarks.mutation import killers
from benchmarks.mutation.apart import apart
from benchmarks.mutation.equivalence import Answer, Copies, Net, decide
from benchmarks.mutation.netlist import mutate
from benchmarks.mutation.record import Record
from benchmarks.mutation.subjects import NetworkSubject
from benchmarks.network_mutants import NETWORKS

TOGGLE = """
module inner(input clk, input rst, input a, input b, output reg y);
  reg s, twice;
  wire t = a & (a | b);
  always @(posedge clk)
    if (rst) begin s <= 0; twice <= 0; y <= 0; end
    else begin s <= t ^ s; twice <= t ^ twice; y <= s | (twice & b); end
endmodule
module toggle(input aclk, input aresetn, input a, input b, output y);
  inner inner(.clk(aclk), .rst(~aresetn), .a(a), .b(b), .y(y));
endmodule
"""
"""With faults that are none: ``b`` has no effect in ``t``, and ``twice`` is always ``s``."""
STIMULUS = """
module bench;
  reg aclk = 0, aresetn = 0, a = 0, b = 0;
  integer i, seed = 1;
  wire y;
  toggle dut(.aclk(aclk), .aresetn(aresetn), .a(a), .b(b), .y(y));
  initial for (i = 0; i < 2000; i = i + 1) begin
    aresetn = i > 1 && $random(seed) % 50 != 0;
    {a, b} = $random(seed);
    #1 aclk = 1;
    #1 aclk = 0;
    if (i > 0) $write("%b", y);
  end
endmodule
"""


@pytest.fixture(scope="module")
def toggle(tmp_path_factory):
    """Mutants of a small design, and what each answers to random stimulus; 0 is none."""
    folder = tmp_path_factory.mktemp("toggle") / "design"
    design = mutate(TOGGLE, "toggle", 80, 0, folder)
    (folder / "bench.v").write_text(STIMULUS)
    subprocess.run(
        ["iverilog", "-g2005", "-o", "bench.vvp", "bench.v", "mutated.v"], cwd=folder, check=True
    )
    replies = {}
    for number in range(len(design.mutants) + 1):
        design.switch_on(number)
        replies[number] = subprocess.run(
            ["vvp", "-n", "bench.vvp"], cwd=folder, check=True, capture_output=True
        ).stdout
    return design, replies


@pytest.mark.synth
@pytest.mark.icarus
def test_one_mutant_at_a_time_is_switched_on(toggle):
    design, replies = toggle
    assert len(design.mutants) > 40
    assert {mutant.module for mutant in design.mutants} == {"toggle", "inner"}
    assert len(replies[0]) > 1000 and set(replies[0]) <= set(b"01")
    assert len(set(replies.values())) > 10


@pytest.mark.synth
@pytest.mark.icarus
def test_what_stimulus_tells_apart_is_never_called_equivalent(toggle):
    """And here, where the stimulus reaches everything, what it does not tell apart always is."""
    design, replies = toggle
    numbers = [mutant.number for mutant in design.mutants if mutant.module == "inner"]
    found = Copies(design, "inner").decide(numbers, seconds=10)
    same = {number for number in numbers if replies[number] == replies[0]}
    assert {n for n, answer in found.items() if answer is Answer.EQUIVALENT} == same
    assert 0 < len(same) < len(numbers)


@pytest.mark.synth
def test_a_difference_within_a_module_is_none_at_the_pins(tmp_path):
    """Only the engine's pins decide that a mutant is different."""
    design = mutate(TOGGLE, "toggle", 40, 0, tmp_path / "design")
    inner = [mutant for mutant in design.mutants if mutant.module == "inner"]
    found = decide(type(design)(design.folder, "engine", design.mutants), inner, seconds=10)
    assert set(found.values()) == {Answer.EQUIVALENT, Answer.UNDECIDED}


@pytest.mark.full
@pytest.mark.synth
def test_faults_of_a_network_are_noticed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    subject = NetworkSubject(NETWORKS["text"], 3)
    design = mutate(subject.verilog, subject.top, 12, 3, tmp_path / "design")
    scenes = subject.scenes(design)
    verification = killers.Verification(design, scenes)
    testbench = killers.Testbench(design, subject.write_testbench, "verilator")
    assert verification.judge(0, seconds=600) == (killers.PASSED, len(scenes))
    assert testbench.judge(0) == killers.PASSED
    noticed = {}
    for killer, judge in {
        "verify": lambda number: verification.judge(number, seconds=5)[0],
        "testbench": testbench.judge,
    }.items():
        noticed[killer] = [mutant.number for mutant in design.mutants if judge(mutant.number)]
    assert len(noticed["verify"]) > 6 and len(noticed["testbench"]) > 6
    assert verification.judge(0, first=len(scenes) - 1, seconds=600)[0] == killers.PASSED


def test_gates_are_shared_and_constants_disappear():
    net = Net()
    a, b = net.variable(), net.variable()
    assert net.conjunction(a, b) == net.conjunction(b, a)
    assert net.conjunction(a, a ^ 1) == net.conjunction(0, b) == 0
    assert net.conjunction(1, b) == b and net.disjunction(a, 0) == a
    assert net.difference(a, a) == 0 and net.difference(a, a ^ 1) == 1
    assert net.choice(1, a, b) == a and net.choice(0, a, b) == b


def test_what_is_known_is_not_asked_again(tmp_path):
    path = tmp_path / "record.jsonl"
    assert Record(path).get("verify", 3, lambda: ["", 5]) == ["", 5]
    again = Record(path)
    assert ("verify", 3) in again and again["verify", 3] == ["", 5]
    assert again.get("verify", 3, lambda: pytest.fail("asked again")) == ["", 5]


def test_a_simulation_that_crashes_or_hangs_is_an_answer():
    assert apart(lambda: "7 wrong", 60) == "7 wrong"
    assert "status" in apart(lambda: os._exit(3), 60)
    assert apart(lambda: time.sleep(60), 0.1) == "no end after 0 s"
    assert apart(lambda: 1 // 0, 60).startswith("ZeroDivisionError")
