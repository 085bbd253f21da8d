# SPDX-License-Identifier: Apache-2.0
"""Templates are used as they are: compiled, converted, and played by the generated testbench."""

import importlib.util
import os
import re
import subprocess

import pyslang
import pytest
from amaranth.back import verilog
from amaranth.hdl import Elaboratable

from ecoformer.sim.toolchain import find_simulator
from tests.hw.emit.packages.conftest import CONFIGS, NAME


def passes(folder, tmp_path, top, *sources):
    """Play the generated testbench on module ``top`` of ``sources`` instead of the engine."""
    bench = (folder / "tb" / f"tb_{NAME}.v").read_text()
    assert bench.count(f"  {NAME} dut (") == 1
    (tmp_path / "tb.v").write_text(bench.replace(f"  {NAME} dut (", f"  {top} dut ("))
    program = tmp_path / "tb.vvp"
    subprocess.run(
        ["iverilog", "-g2005", "-Wall", "-o", program, tmp_path / "tb.v",
         folder / "rtl" / f"{NAME}.v", *sources],
        check=True,
    )
    reply = subprocess.run(
        ["vvp", program, f"+vectors={folder / 'vectors'}"], capture_output=True, text=True,
        timeout=120,
    )
    assert reply.returncode == 0 and "\nPASS: " in f"\n{reply.stdout}", reply.stdout


MOST_PINS = ("cross", "causal")
SOME = pytest.mark.parametrize("name", [
    pytest.param(name, marks=() if name in MOST_PINS else pytest.mark.full) for name in CONFIGS
])


@pytest.mark.slow
@pytest.mark.icarus
@SOME
def test_an_instance_in_verilog_is_the_engine(generated, name, tmp_path):
    design = generated(name)
    template = design.folder / "templates" / f"{NAME}_instance.v"
    passes(design.folder, tmp_path, f"{NAME}_instance", template)


@pytest.mark.slow
def test_verilator_has_nothing_to_say_of_it(design, tmp_path):
    reply = subprocess.run(
        ["verilator", "--lint-only", "-Wall", "--top-module", f"{NAME}_instance",
         design.folder / "lint" / f"{NAME}.vlt", design.folder / "rtl" / f"{NAME}.v",
         design.folder / "templates" / f"{NAME}_instance.v"],
        env={**os.environ, **find_simulator("verilator", tmp_path).env}, capture_output=True,
        text=True,
    )
    assert (reply.returncode, reply.stderr) == (0, "")


def test_a_reader_of_systemverilog_elaborates_it(design):
    """slang, which knows IEEE 1800 and nothing of these files."""
    compilation = pyslang.ast.Compilation()
    for path in (f"rtl/{NAME}.v", f"templates/{NAME}_instance.v"):
        compilation.addSyntaxTree(pyslang.syntax.SyntaxTree.fromFile(str(design.folder / path)))
    tops = {instance.name for instance in compilation.getRoot().topInstances}
    assert tops == {f"{NAME}_instance"}
    assert not [d.code for d in compilation.getAllDiagnostics() if d.isError()]


def component(folder):
    """The class in the Amaranth template."""
    path = folder / "templates" / f"{NAME}_amaranth.py"
    spec = importlib.util.spec_from_file_location("template", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.VERILOG == folder / "rtl" / f"{NAME}.v"
    return module


def shim(folder):
    """Verilog module with the engine's pins around the Amaranth design ``system``."""
    header = (folder / "templates" / f"{NAME}_instance.v").read_text()
    ports = re.search(r"\((.*?)\);", header, re.DOTALL)[1]
    connections = [".clk(aclk)", ".rst(~aresetn)", ".irq(irq)"]
    widths = {}
    for match in re.finditer(r"(input|output) +wire (?:\[(\d+):0\] )?(\w+)", ports):
        widths[match[3]] = int(match[2] or 0) + 1
    for bus in ("s_axis", "s_axis_q", "m_axis"):
        fields = [
            pin for pin in widths
            if pin.rpartition("_")[0] == bus and not pin.endswith(("valid", "ready"))
        ]
        if not fields:
            continue
        connections += [
            f".{bus}__{word}({bus}_t{word})" for word in ("valid", "ready")
        ]
        connections.append(f".{bus}__payload({{{', '.join(reversed(fields))}}})")
    connections += [
        f".s_axil__{pin.removeprefix('s_axil_')}({pin})" for pin in widths if "s_axil" in pin
    ]
    return "\n".join([
        f"module shim ({ports});", f"  system system ({', '.join(connections)});",
        "endmodule", "",
    ])


@pytest.mark.slow
@pytest.mark.icarus
@SOME
def test_an_instance_in_amaranth_is_the_engine(generated, name, tmp_path):
    design = generated(name)
    engine = component(design.folder).Engine()
    (tmp_path / "system.v").write_text(verilog.convert(engine, name="system", emit_src=False))
    (tmp_path / "shim.v").write_text(shim(design.folder))
    passes(design.folder, tmp_path, "shim", tmp_path / "system.v", tmp_path / "shim.v")


def test_a_platform_is_given_the_verilog(generated):
    module, added = component(generated("plain").folder), {}

    class Platform:
        def add_file(self, name, content):
            added[name] = content

    engine = module.Engine()
    assert isinstance(engine, Elaboratable)
    engine.elaborate(Platform())
    assert added == {f"{NAME}.v": module.VERILOG.read_text()}
