"""Verilog text of an engine."""

import gc
import re
from contextlib import contextmanager

from amaranth._toolchain.yosys import find_yosys
from amaranth.back import rtlil
from amaranth.lib import wiring

from ecoformer.hw.engine.top import Top
from ecoformer.spec.config import Config

__all__ = ["emit", "to_verilog"]

OLDEST_YOSYS = (0, 40)
SCRIPT = """\
read_rtlil <<END_OF_DESIGN
{design}
END_OF_DESIGN
proc -norom
attrmap -remove init
memory_collect
opt_clean -purge
rmports * A:top %d
opt_clean -purge
rmports * A:top %d
opt_clean -purge
attrmap -remove unused_bits -remove full_case -remove keep
attrmap -modattr -remove generator -remove top
write_verilog
"""
"""Amaranth's own back end, and what the text does without: initial values except those of tables,
because reset alone brings the engine up; signals and ports that nobody reads, and the mark of
those that benches do; and ``always @*``, which simulators may leave at its value of time zero.
Ports are removed twice, because a port may only lead to one of a component within.
"""


def emit(config: Config, name: str = "ecoformer_engine") -> str:
    """Synthesizable Verilog-2005 of the pin-level top; the same bytes for the same configuration.

    Parameters
    ----------
    config : Config
    name : str
        Name of the top module.
    """
    return to_verilog(Top(config), name)


def to_verilog(component: wiring.Component, name: str) -> str:
    """Verilog of any component, its top module called ``name``."""
    with _no_collector(), _no_zeros():
        design = rtlil.convert(component, name=name, emit_src=False)
    yosys = find_yosys(lambda version: version >= OLDEST_YOSYS)
    return _without_brackets(
        yosys.run(["-q", "-"], SCRIPT.format(design=design), ignore_warnings=True)
    )


@contextmanager
def _no_collector():
    """Without the cyclic collector: in millions of objects that all stay, it finds nothing."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


@contextmanager
def _no_zeros():
    """Memories without the zeros that Amaranth gives to every one: the text has no such values.

    Written out bit by bit they are most of a large engine, and take minutes. Tables keep theirs.
    """
    original = rtlil.ModuleEmitter

    class Emitter(original):
        def emit_memory(self, cell_idx, cell):
            if any(cell.init):
                super().emit_memory(cell_idx, cell)

    rtlil.ModuleEmitter = Emitter
    try:
        yield
    finally:
        rtlil.ModuleEmitter = original


def _without_brackets(text):
    """``text`` with ``\\row.3`` for ``\\row[3]``, the name Amaranth gives to an element of ``row``.

    Yosys's abc9 names the bits of nets so, too, and stops where both meet.
    """
    return re.sub(r"\\\S+", lambda name: re.sub(r"\[(\d+)\]", r".\1", name[0]), text)
