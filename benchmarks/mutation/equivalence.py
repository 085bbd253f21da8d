# SPDX-License-Identifier: Apache-2.0
"""Which mutants are no faults: no legal stimulus ever tells them from the engine at its pins.

Engine and mutant are two copies of one And-Inverter graph that share their inputs. They begin in
any common state, with a cycle of reset. Registers whose next states are the same function are
merged first, by induction over the structure; the ABC within Yosys decides about what is left.

A mutant is tried in its own module, whose inputs may do anything, then in each module around that:
what is the same there is the same everywhere. Only at the pins of the engine may it be *different*.
There masters hold what they offer until it is taken, and data count only where they are valid.
"""

import enum
from pathlib import Path

from benchmarks.mutation.netlist import NUMBER_BITS, SWITCH, Mutant, Mutated
from ecoformer.hw.synth.tools import YOSYS, Step, run_steps
from tests.formal.aiger import Graph
from tests.formal.prover import GATE, SOLVE

__all__ = ["Answer", "Copies", "decide"]

PREPARE = """\
read_rtlil mutated.il
hierarchy -top {top}
flatten
prep -top {top}
memory_map
opt -full
setattr -unset init w:*
dffunmap
techmap
opt -fast
dffunmap
opt_clean
setundef -zero
aigmap
write_aiger -zinit -symbols -ascii {name}.aag
"""
SCRIPT = """\
backup
read_aiger {name}.aig
strash
{reduce}
write_aiger {name}.reduced
{solve}
write_status {name}.status
restore
"""
"""ABC works on files here; the pass wants a design of its own nevertheless."""
PROVE = {"reduce": "scorr", "solve": "pdr -T {seconds}"}
SEARCH = {"reduce": "", "solve": "bmc3 -T {seconds}"}
"""In a module: are they the same? At the pins, where a proof takes too long: do they differ?"""
MOST_GATES = 20_000
"""Larger modules are compared by structure alone."""
HELD = (
    ("s_axis_t", ("data", "last", "user", "id")),
    ("s_axis_load_t", ("data", "last")),
    ("s_axil_aw", ("addr", "prot")),
    ("s_axil_w", ("data", "strb")),
    ("s_axil_ar", ("addr", "prot")),
)
"""Channels into a design that has them: what a master holds from ``valid`` on until ``ready``."""
VALID = {
    **{f"m_axis_t{part}": "m_axis_tvalid" for part in ("data", "last", "user", "id")},
    "m_axis_load_tdata": "m_axis_load_tvalid",
    "s_axil_rdata": "s_axil_rvalid", "s_axil_rresp": "s_axil_rvalid",
    "s_axil_bresp": "s_axil_bvalid",
}
"""Pins that mean something only while another one is high."""


class Answer(enum.Enum):
    """What is known of a mutant."""

    EQUIVALENT = "equivalent"
    DIFFERENT = "different"
    UNDECIDED = "undecided"


class Net:
    """An And-Inverter graph that is built up: equal gates are one, constants disappear.

    Literals are even for a variable and odd for its complement; 0 is false.
    """

    def __init__(self):
        self.size = 0
        self.gates = {}
        self.operands = {}

    def variable(self):
        """A new literal."""
        self.size += 1
        return 2 * self.size

    def conjunction(self, a, b):
        """Literal of ``a & b``."""
        if a > b:
            a, b = b, a
        if a == 0 or a == b ^ 1:
            return 0
        if a == 1 or a == b:
            return b
        gate = self.gates.get((a, b))
        if gate is None:
            gate = self.gates[a, b] = self.variable()
            self.operands[gate] = (a, b)
        return gate

    def disjunction(self, a, b):
        """Literal of ``a | b``."""
        return self.conjunction(a ^ 1, b ^ 1) ^ 1

    def difference(self, a, b):
        """Literal of ``a ^ b``."""
        return self.disjunction(self.conjunction(a, b ^ 1), self.conjunction(a ^ 1, b))

    def choice(self, which, a, b):
        """Literal of ``which ? a : b``."""
        return self.disjunction(self.conjunction(which, a), self.conjunction(which ^ 1, b))


def decide(design: Mutated, mutants: list[Mutant], *, seconds: int) -> dict[int, Answer]:
    """What is known of ``mutants`` after at most ``seconds`` of proof in each module: by number."""
    answers = dict.fromkeys((mutant.number for mutant in mutants), Answer.UNDECIDED)
    modules: dict[str, list[int]] = {}
    for mutant in mutants:
        module = mutant.module
        while module:
            modules.setdefault(module, []).append(mutant.number)
            module = module.rpartition(".")[0]
    for module in sorted(modules, key=lambda name: (-name.count("."), name)):
        left = [number for number in modules[module] if answers[number] is Answer.UNDECIDED]
        if left:
            found = Copies(design, module).decide(left, seconds=seconds)
            trusted = {Answer.EQUIVALENT} | ({Answer.DIFFERENT} if module == design.top else set())
            answers |= {number: answer for number, answer in found.items() if answer in trusted}
    return answers


class Copies:
    """The engine, or a module of it, and its mutants as one graph.

    Parameters
    ----------
    design : Mutated
    module : str
    """

    def __init__(self, design: Mutated, module: str):
        self.folder = design.folder
        self.is_engine = module == design.top
        self.name = f"graph_{module}"
        path = self.folder / f"{self.name}.aag"
        if not path.is_file() or not path.stat().st_size:
            script = self.folder / "prepare.ys"
            script.write_text(PREPARE.format(top=module, name=self.name), encoding="utf-8")
            run_steps(self.folder, [Step(YOSYS, ("-q", script.name), "prepare.log")], "gates")
        self.graph = Graph(path.read_text(encoding="utf-8"))
        self.pins = {
            name: literal
            for kind, literals in (("i", self.graph.inputs), ("o", self.graph.outputs))
            for i, literal in enumerate(literals)
            for name in self.graph.names.get((kind, i), ())
        }

    def decide(self, numbers: list[int], *, seconds: int) -> dict[int, Answer]:
        """What is known of the mutants ``numbers`` after ``seconds`` of proof each."""
        answers, open_ones = {}, []
        for number in numbers:
            miter, gates = self._miter(number)
            if not miter:
                answers[number] = Answer.EQUIVALENT
                continue
            answers[number] = Answer.UNDECIDED
            if gates > MOST_GATES and not self.is_engine:
                continue
            name = f"miter_{number}"
            (self.folder / f"{name}.aig").write_bytes(miter)
            script = SCRIPT.format(name=name, **(SEARCH if self.is_engine else PROVE))
            script = script.format(seconds=seconds)
            (self.folder / f"{name}.abc").write_text(script, encoding="utf-8")
            open_ones.append(number)
        if open_ones:
            (self.folder / "gate.il").write_text(GATE, encoding="utf-8")
            script = "".join(SOLVE.format(name=f"miter_{number}") for number in open_ones)
            (self.folder / "solve.ys").write_text(script, encoding="utf-8")
            run_steps(self.folder, [Step(YOSYS, ("-q", "solve.ys"), "solve.log")], "proofs")
        for number in open_ones:
            answers[number] = _answer(self.folder / f"miter_{number}")
            for path in self.folder.glob(f"miter_{number}.*"):
                path.unlink()
        return answers

    def _miter(self, number):
        """Binary AIGER file whose output is high where mutant and engine differ, and its gates.

        There are none if they never differ.
        """
        net = Net()
        switch = {
            self.pins[pin]: i for i in range(NUMBER_BITS) if (pin := f"{SWITCH}[{i}]") in self.pins
        }
        started = net.variable()
        latches = {latch: net.variable() for latch, _ in self.graph.latches}
        inputs = {pin: net.variable() for pin in self.graph.inputs if pin not in switch}
        extra = {started: 1}  # next states of registers of the environment
        driven = dict(inputs)
        pending = []
        if self.is_engine:
            reset = self.pins["aresetn"]
            driven[reset] = net.conjunction(inputs[reset], started)
            pending = self._hold(net, driven, extra)
        elif "rst" in self.pins:
            reset = self.pins["rst"]
            driven[reset] = net.disjunction(inputs[reset], started ^ 1)
        engine = self._copy(net, driven, latches, switch, 0)
        for valid, ready, waits in pending:
            stays = net.conjunction(driven[self.pins[valid]], self._read(engine, ready) ^ 1)
            extra[waits] = net.conjunction(stays, driven[reset])
        states, mine = dict(latches), {}
        while True:
            mutant = self._copy(net, driven, states, switch, number)
            apart = [
                latch
                for latch, following in self.graph.latches
                if latch not in mine and engine(following) != mutant(following)
            ]
            if not apart:
                break
            mine |= {latch: net.variable() for latch in apart}
            states |= mine
        bad = 0
        for pin, literal in self._outputs():
            differ = net.difference(engine(literal), mutant(literal))
            if self.is_engine and (valid := VALID.get(pin.partition("[")[0])):
                differ = net.conjunction(differ, self._read(engine, valid))
            bad = net.disjunction(bad, differ)
        bad = net.conjunction(bad, started)
        if bad == 0:
            return b"", 0
        following = {latches[latch]: engine(then) for latch, then in self.graph.latches}
        following |= {
            mine[latch]: mutant(then) for latch, then in self.graph.latches if latch in mine
        }
        return _aiger(net, bad, following | extra)

    def _outputs(self):
        for i, literal in enumerate(self.graph.outputs):
            yield self.graph.names["o", i][0], literal

    def _read(self, copy, pin):
        return copy(self.pins[pin])

    def _hold(self, net, driven, extra):
        """Let masters hold what they offer; returns (valid, ready, register that says it waits)."""
        pending = []
        for channel, payload in HELD:
            if f"{channel}valid" not in self.pins:
                continue
            waits = net.variable()
            valid = self.pins[f"{channel}valid"]
            for name, literal in self.pins.items():
                base = name.partition("[")[0]
                if literal in driven and any(base == f"{channel}{part}" for part in payload):
                    held = net.variable()
                    driven[literal] = net.choice(waits, held, driven[literal])
                    extra[held] = driven[literal]
            driven[valid] = net.disjunction(driven[valid], waits)
            pending.append((f"{channel}valid", f"{channel}ready", waits))
        return pending

    def _copy(self, net, driven, states, switch, number):
        """The graph with the switch at ``number``: function from its literals to those of net."""
        value = [0] * (2 * (len(self.graph.inputs) + len(self.graph.latches)
                            + len(self.graph.ands) + 2))
        for literals in (driven, states, {pin: number >> i & 1 for pin, i in switch.items()}):
            for literal, mapped in literals.items():
                value[literal], value[literal ^ 1] = mapped, mapped ^ 1
        value[1] = 1
        for result, a, b in self.graph.ands:
            gate = net.conjunction(value[a], value[b])
            value[result], value[result ^ 1] = gate, gate ^ 1
        return value.__getitem__


def _aiger(net, bad, following):
    """Binary AIGER file of the output ``bad`` and its cone, and how many gates it has.

    ``following``: next state of each register.
    """
    inputs, latches, gates, seen = [], [], [], set()
    waiting = [bad & ~1]
    while waiting:
        literal = waiting[-1]
        if literal in seen or literal == 0:
            waiting.pop()
            continue
        if literal in following:
            waiting.pop()
            seen.add(literal)
            latches.append(literal)
            waiting.insert(0, following[literal] & ~1)
        elif literal in net.operands:
            rest = [o & ~1 for o in net.operands[literal] if o > 1 and o & ~1 not in seen]
            if rest:
                waiting += rest
                continue
            waiting.pop()
            seen.add(literal)
            gates.append(literal)
        else:
            waiting.pop()
            seen.add(literal)
            inputs.append(literal)
    place = {0: 0} | {
        literal: 2 * i for i, literal in enumerate([*inputs, *latches, *gates], 1)
    }

    def new(literal):
        return place[literal & ~1] ^ (literal & 1)

    total = len(place) - 1
    head = [f"aig {total} {len(inputs)} {len(latches)} 1 {len(gates)}"]
    head += [str(new(following[latch])) for latch in latches] + [str(new(bad))]
    body = bytearray()
    for gate in gates:
        high, low = sorted(map(new, net.operands[gate]), reverse=True)
        for delta in (new(gate) - high, high - low):
            while delta > 127:
                body.append(delta & 127 | 128)
                delta >>= 7
            body.append(delta)
    return "\n".join(head).encode() + b"\n" + bytes(body), len(gates)


def _answer(path: Path) -> Answer:
    """What ABC has written: nothing about an output that it has found constant."""
    reduced = path.with_suffix(".reduced").read_bytes().split(b"\n")
    latches = int(reduced[0].split()[3])
    if reduced[1 + latches] == b"0":
        return Answer.EQUIVALENT
    word = path.with_suffix(".status").read_text(encoding="utf-8").split()[0]
    return {"snl_UNSAT": Answer.EQUIVALENT, "snl_SAT": Answer.DIFFERENT}.get(
        word, Answer.UNDECIDED
    )
