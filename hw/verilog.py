"""Verilog text of an engine."""

import re

from amaranth._toolchain.yosys import find_yosys
from amaranth.back import rtlil

from hw.top import Top

__all__ = ["emit"]

OLDEST_YOSYS = (0, 40)
SCRIPT = """\
read_rtlil <<END_OF_DESIGN
{design}
END_OF_DESIGN
proc -norom
delete t:$memwr_v2 %m t:$meminit_v2 %i
attrmap -remove init
memory_collect
opt_clean -purge
rmports * A:top %d
opt_clean -purge
attrmap -remove unused_bits -remove full_case
attrmap -modattr -remove generator -remove top
write_verilog
"""
"""Amaranth's own back end, and what the text does without: initial values except those of tables,
because reset alone brings the engine up; signals and ports that nobody reads; and ``always @*``,
which simulators may leave at its value of time zero.
"""


def emit(config, name="ecoformer_engine"):
    """Synthesizable Verilog-2005 of the pin-level top; the same bytes for the same configuration.

    Parameters
    ----------
    config : Config
    name : str
        Name of the top module.
    """
    design = rtlil.convert(Top(config), name=name, emit_src=False)
    _check_tables(design)
    yosys = find_yosys(lambda version: version >= OLDEST_YOSYS)
    return _without_brackets(
        yosys.run(["-q", "-"], SCRIPT.format(design=design), ignore_warnings=True)
    )


def _check_tables(design):
    """Refuse RTLIL with a table in a module that writes to a memory: its values would be lost."""
    for module in re.split(r"^module ", design, flags=re.M)[1:]:
        values = re.findall(r"cell \$meminit_v2 .*?connect \\DATA \d+'([01]+)", module, re.S)
        if "cell $memwr_v2 " in module and any("1" in bits for bits in values):
            raise ValueError(f"{module.split()[0]}: a table beside a memory; make it a component")


def _without_brackets(text):
    """``text`` with ``\\row.3`` for ``\\row[3]``, the name Amaranth gives to an element of ``row``.

    Yosys's abc9 names the bits of nets so, too, and stops where both meet.
    """
    return re.sub(r"\\\S+", lambda name: re.sub(r"\[(\d+)\]", r".\1", name[0]), text)
