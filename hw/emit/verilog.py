# SPDX-License-Identifier: Apache-2.0
"""Verilog text of an engine."""

import gc
import re
import subprocess
import sys
from contextlib import contextmanager

from amaranth._toolchain import require_tool
from amaranth._toolchain.yosys import find_yosys
from amaranth.back import rtlil
from amaranth.lib import wiring

from ecoformer.errors import EcoformerError
from ecoformer.hw.engine.top import Top
from ecoformer.hw.lib.contents import CONTENTS
from ecoformer.logs import reason_in
from ecoformer.processes import child
from ecoformer.spec.config import Config

__all__ = ["emit", "to_verilog"]

OLDEST_YOSYS = (0, 40)
SCRIPT = """\
read_rtlil <<END_OF_DESIGN
{design}
END_OF_DESIGN
proc -norom
attrmap -remove init * a:power_up %d
memory_collect
opt_clean -purge
rmports * A:top %d
opt_clean -purge
rmports * A:top %d
opt_clean -purge
attrmap -remove unused_bits -remove full_case -remove keep -remove contents -remove power_up
attrmap -modattr -remove generator -remove top
write_verilog
"""
"""Amaranth's own back end, with some things removed: initial values except those of tables and of
what makes a board's first reset, because reset alone initialises the engine; signals and ports that
nothing reads, and the mark of those that only benches read; and ``always @*``, which simulators may
leave at its value of time zero. Ports are removed twice, because a port may lead only to one of an
inner component.
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
    return _without_brackets(_run_yosys(SCRIPT.format(design=design)))


def _run_yosys(script):
    """What Amaranth's Yosys prints on ``script``; it ends when this process does."""
    yosys = find_yosys(lambda version: version >= OLDEST_YOSYS)
    package = getattr(yosys, "YOSYS_PACKAGE", None)
    command = [sys.executable, "-m", package] if package else [require_tool(yosys.YOSYS_BINARY)]
    with child(
        [*command, "-q", "-"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, encoding="utf-8",
    ) as process:
        text, messages = process.communicate(script)
    if process.returncode:
        why = reason_in(messages.splitlines()) or f"status {process.returncode}"
        raise EcoformerError(f"yosys stopped: {why}; check memory and its installation")
    return text


@contextmanager
def _no_collector():
    """Pause the cyclic garbage collector: millions of objects are made and none is freed."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


@contextmanager
def _no_zeros():
    """Omit the initial zeros of memories, but of those whose contents matter.

    The Verilog does not have them either: written out bit by bit they are most of a large engine
    and take minutes.
    """
    original = rtlil.ModuleEmitter

    class Emitter(original):
        def emit_memory(self, cell_idx, cell):
            if any(cell.init) or CONTENTS.keys() & cell.attributes.keys():
                super().emit_memory(cell_idx, cell)

    rtlil.ModuleEmitter = Emitter
    try:
        yield
    finally:
        rtlil.ModuleEmitter = original


def _without_brackets(text):
    """``text`` with ``\\row.3`` for ``\\row[3]``, Amaranth's name of an element of ``row``.

    Yosys's abc9 names the bits of nets the same way and stops where both meet.
    """
    return re.sub(r"\\\S+", lambda name: re.sub(r"\[(\d+)\]", r".\1", name[0]), text)
