# SPDX-License-Identifier: Apache-2.0
"""Single faults in the netlist of an engine, all in one design that is built once.

Yosys draws them: a bit of a port of a cell is inverted, constant, or inverted by another bit. Every
mutant is in the design, and a number that the simulation reads from a file when it starts switches
one of them on; 0 is the engine as it is.
"""

import json
import re
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path

from ecoformer.files import write_atomic
from ecoformer.hw.synth.tools import YOSYS, Step, run_steps

__all__ = ["Mutant", "Mutated", "mutate", "NUMBER", "NUMBER_BITS", "SWITCH"]

NUMBER = "mutant.hex"
"""File in the folder of the design with the number of the mutant, in hex."""
NUMBER_BITS = 16
SWITCH = "mutant_switch"
"""Port of every module that has a mutant in it or below."""
SPREAD = "-cfg weight_cover 1000 -cfg pick_cover_prcnt 90"
"""Prefer wires and source lines that no mutant touches yet."""
READ = """\
read_verilog engine.v
hierarchy -top {top}
setattr -set keep 1 w:trace_*
proc -norom
memory_collect
opt -fine -nodffe -nosdff
wreduce
opt -fine -nodffe -nosdff
opt_clean -purge
write_rtlil original.il
"""
"""Without what nothing reads and copies of the same cell, in which a fault would have no effect."""
DRAW = "mutate -list {drawn} -seed {seed} {spread} -o drawn.txt\n"
LEFT_OUT = re.compile(r" -port \\?(?:\w*CLK|a?clk|RD_(?:EN|ARST|SRST)) ")
"""Pins left out: clocks, which proofs know nothing of, and those of memories that must be constant,
because registers follow the read ports and these have none.
"""
INSERT = """\
read_rtlil original.il
script mutants.txt
opt_clean
write_rtlil mutated.il
delete -input {top}/w:{switch}
write_verilog -noattr mutated.v
"""
READER = """\
  reg [{high}:0] {switch};
  reg [{high}:0] {switch}_file [0:0];
  initial begin
    $readmemh("{path}", {switch}_file);
    {switch} = {switch}_file[0];
  end
"""


@dataclass(frozen=True, kw_only=True)
class Mutant:
    """One fault.

    Parameters
    ----------
    number : int
        From 1 up; what switches it on.
    mode : str
        ``inv``, ``const0``, ``const1``, ``cnot0`` or ``cnot1`` (inverted where the other bit of
        the port is 0 or 1).
    module, cell, port : str
    bit : int
        Of the port.
    signal : str
        Wire and bit there, if it has a name.
    """

    number: int
    mode: str
    module: str
    cell: str
    port: str
    bit: int
    signal: str

    def __str__(self):
        return (
            f"#{self.number} {self.mode} {self.module}: {self.cell}.{self.port}[{self.bit}]"
            f"{f' ({self.signal})' if self.signal else ''}"
        )


@dataclass(frozen=True)
class Mutated:
    """An engine with its mutants.

    Parameters
    ----------
    folder : Path
        With ``mutated.v`` for simulations and ``mutated.il``, in which the switch is an input.
    top : str
    mutants : list of Mutant
    """

    folder: Path
    top: str
    mutants: list[Mutant]

    @property
    def verilog(self) -> str:
        """Text of the design."""
        return (self.folder / "mutated.v").read_text(encoding="utf-8")

    def switch_on(self, number: int) -> None:
        """Let simulations that start from now on run mutant ``number``; 0: none."""
        write_atomic(self.folder / NUMBER, f"{number:x}\n")


def mutate(verilog: str, top: str, count: int, seed: int, folder: Path) -> Mutated:
    """Put ``count`` mutants into a design, in ``folder``; what is there already is used again.

    Parameters
    ----------
    verilog : str
        Text of the engine.
    top : str
        Its top module.
    """
    folder = folder.resolve()
    words = {
        "top": top, "drawn": count + count // 4, "seed": seed, "spread": SPREAD, "switch": SWITCH,
    }
    draw, insert = (READ + DRAW).format(**words), INSERT.format(**words)
    made, facts = folder / "made.json", {"verilog": verilog, "script": draw + insert}
    if not made.is_file() or json.loads(made.read_text(encoding="utf-8")) != facts:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        (folder / "engine.v").write_text(verilog, encoding="utf-8")
        _yosys(folder, "draw", draw)
        drawn = (folder / "drawn.txt").read_text(encoding="utf-8").splitlines()
        drawn = [line for line in drawn if not LEFT_OUT.search(line)][:count]
        (folder / "mutants.txt").write_text("".join(
            line.replace("mutate ", f"mutate -ctrl {SWITCH} {NUMBER_BITS} {number} ", 1) + "\n"
            for number, line in enumerate(drawn, 1)
        ))
        _yosys(folder, "insert", insert)
        _read_the_number(folder, top)
        mutants = _mutants(folder)
        described = json.dumps([asdict(mutant) for mutant in mutants], indent=1)
        (folder / "mutants.json").write_text(described, encoding="utf-8")
        made.write_text(json.dumps(facts), encoding="utf-8")
    design = Mutated(folder, top, _mutants(folder))
    design.switch_on(0)
    return design


def _yosys(folder, name, script):
    (folder / f"{name}.ys").write_text(script, encoding="utf-8")
    run_steps(folder, [Step(YOSYS, ("-q", f"{name}.ys"), f"{name}.log")], name)


def _read_the_number(folder, top):
    """Let the switch of the top module, which nothing drives, read its value from the file."""
    path = folder / "mutated.v"
    before, header, after = path.read_text(encoding="utf-8").partition(f"module {top}(")
    wire = f"  wire [{NUMBER_BITS - 1}:0] {SWITCH};\n"
    body, end, others = after.partition("endmodule")
    if body.count(wire) != 1:
        raise ValueError(f"{path}: the top module has no switch")
    reader = READER.format(high=NUMBER_BITS - 1, switch=SWITCH, path=folder / NUMBER)
    body = body.replace(wire, reader)
    path.write_text(before + header + body + end + others, encoding="utf-8")


def _mutants(folder):
    """The mutants as Yosys lists them, one command a line."""
    mutants = []
    for number, line in enumerate((folder / "mutants.txt").read_text().splitlines(), 1):
        found = dict(re.findall(r" -(mode|module|cell|port|portbit|wire|wirebit) (\S+)", line))
        wire = found.get("wire", "")
        mutants.append(Mutant(
            number=number, mode=found["mode"], module=found["module"].removeprefix("\\"),
            cell=found["cell"].removeprefix("\\"), port=found["port"].removeprefix("\\"),
            bit=int(found["portbit"]),
            signal=f"{wire.removeprefix(chr(92))}[{found['wirebit']}]" if wire else "",
        ))
    return mutants
