# SPDX-License-Identifier: Apache-2.0
"""LiteX builds a SoC around the engine, and its CPU runs the generated C functions."""

import importlib.util
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ecoformer.cli.generate import generate
from ecoformer.golden.integer.attention import attend
from ecoformer.sim.stimulus import random_workload
from ecoformer.sim.toolchain import find_simulator
from ecoformer.spec.config import Config
from ecoformer.spec.parameters import ParameterImage
from ecoformer.spec.wire import pack_outputs, pack_sequence
from tests.hw.emit.packages.conftest import NAME
from tests.hw.emit.packages.litex_soc import template

HERE = Path(__file__).parent
CONFIG = Config(
    head_dim=8, value_dim=8, code_bits=8, anchors=3, max_tokens=8, cycles_per_token=8,
    parameter_sets=2, bus_bytes=8, tuser_width=2,
)
LINKER = """\
MEMORY { rom (rx) : ORIGIN = 0, LENGTH = 64K
         ram (rw) : ORIGIN = 0x10000000, LENGTH = 8K }
stack = 0x10002000;
SECTIONS { .text 0 : { *(.start) *(.text*) *(.rodata*) *(.srodata*) } > rom
           .bss : { *(.bss*) *(.sbss*) *(COMMON) } > ram
           /DISCARD/ : { *(.comment) *(.riscv.attributes) *(.eh_frame*) } }
"""
BENCH = """\
module bench;
  reg sys_clk = 0, sys_rst = 1, sim_trace = 0;
  wire console_valid;
  wire [7:0] console_data;
  soc soc (.sys_clk, .sys_rst, .sim_trace, .console_valid, .console_data);
  always #5 sys_clk = ~sys_clk;
  initial begin repeat (8) @(posedge sys_clk); sys_rst = 0; #20000000 $display("TIMEOUT"); $finish;
  end
  always @(posedge sys_clk) if (console_valid) begin
    $write("%c", console_data);
    if (console_data == 10) $finish;
  end
endmodule
"""


def build_soc(folder, output, *options):
    subprocess.run(
        [sys.executable, HERE / "litex_soc.py", folder, output, *options], check=True,
        capture_output=True, timeout=300,
    )


@pytest.fixture
def peripheral(tmp_path):
    (tmp_path / "config.toml").write_text(CONFIG.as_toml())
    generate(tmp_path / "config.toml", None, tmp_path / "engine", name=NAME)
    return tmp_path / "engine"


def packets_header(folder, config):
    """C text of some packets, and what they are answered."""
    image = ParameterImage.load(folder / "parameters.safetensors", config)
    workload = random_workload(config, np.random.default_rng(4), 4, lengths=(1, 5), sets=2)
    words = "static const uint32_t {}[] = {{{}}};"
    arrays, rows, longest = [], [], 0
    for i, (index, tokens, values) in enumerate(workload.sequences()):
        outputs = attend(config, image, index, tokens, values)[0]
        both = pack_sequence(config, tokens, values), pack_outputs(config, outputs)
        both = [beats.reshape(-1).view("<u4") for beats in both]
        for name, numbers in zip(("input", "answer"), both, strict=True):
            arrays.append(words.format(f"{name}{i}", ", ".join(f"{n}u" for n in numbers)))
        user, error = (config.wire.m_tuser(index, bad) for bad in (False, True))
        numbers = ", ".join(f"{n}u" for n in (index, *map(len, both), user, error))
        rows.append(f"{{{numbers}, input{i}, answer{i}}}")
        longest = max(longest, len(both[1]))
    return "\n".join([
        *arrays, f"#define PACKETS {len(rows)}u", f"#define ANSWER_WORDS {longest}u",
        f"#define BEAT_WORDS {config.bus_bytes // 4}u",
        "static const struct packet { uint32_t set, words, answer_words, user, error;",
        "    const uint32_t *input, *answer; } packets[] = {", ",\n".join(rows), "};", "",
    ])


def compile_program(folder, output, source):
    """Write the program into the ROM."""
    (output / "link.ld").write_text(LINKER)
    program = output / "program.elf"
    subprocess.run(
        [sys.executable, "-m", "ziglang", "cc", "-target", "riscv32-freestanding-none",
         "-mcpu=generic_rv32", "-std=c99", "-Wall", "-Wextra", "-O1", "-ffreestanding", "-nostdlib",
         "-I", folder / "include", "-I", output, "-T", output / "link.ld", "-o", program, source],
        check=True, timeout=300,
    )
    subprocess.run(
        [sys.executable, "-m", "ziglang", "objcopy", "-O", "binary", program, output / "rom.bin"],
        check=True, timeout=300,
    )
    image = (output / "rom.bin").read_bytes()
    image += bytes(-len(image) % 4)
    rows = [f"{word:08x}" for word in np.frombuffer(image, "<u4")]
    (output / "soc_rom.init").write_text("\n".join(rows) + "\n")


def build_simulation(output, tmp_path):
    """Compile the SoC; its ROM is read as it starts."""
    (output / "bench.sv").write_text(BENCH)
    sources = (output / "sources.txt").read_text().split("\n")
    env = {**os.environ, **find_simulator("verilator", tmp_path).env}
    env["MAKEFLAGS"] = f"{env.get('MAKEFLAGS', '')} OPT_FAST=-O0 OPT_GLOBAL=-O0"
    subprocess.run(
        ["verilator", "--binary", "--timing", "-Wno-lint", "-Wno-fatal", "--top-module", "bench",
         "bench.sv", *sources],
        cwd=output, env=env, check=True, capture_output=True, timeout=600,
    )


def run(output):
    """What the console of the SoC says."""
    reply = subprocess.run(
        [output / "obj_dir" / "Vbench"], cwd=output, capture_output=True, text=True, timeout=300,
        check=False,
    )
    return reply.stdout


@pytest.mark.slow
def test_a_soc_without_a_cpu_is_elaborated_and_linted(design, tmp_path):
    """Every kind of streams, with their DMAs."""
    build_soc(design.folder, tmp_path / "soc", "--no-cpu")
    sources = (tmp_path / "soc" / "sources.txt").read_text().split("\n")
    assert str(design.folder / "rtl" / f"{NAME}.v") in sources
    headers = (tmp_path / "soc" / "generated" / "csr.h").read_text()
    for inlet in design.config.wire.inlets:
        assert f"attention_dma_{inlet.bus}_reader_length_write" in headers
    reply = subprocess.run(
        ["verilator", "--lint-only", "-Wno-fatal", "-Wno-lint", "-Wwarn-PINMISSING",
         "--top-module", "soc", *sources],
        cwd=tmp_path / "soc", env={**os.environ, **find_simulator("verilator", tmp_path).env},
        capture_output=True, text=True, check=False,
    )
    assert reply.returncode == 0 and "PINMISSING" not in reply.stderr, reply.stderr


def test_beats_that_are_no_words_have_no_dma(tmp_path):
    (tmp_path / "config.toml").write_text(replace(CONFIG, bus_bytes=6).as_toml())
    generate(tmp_path / "config.toml", None, tmp_path / "engine", name=NAME)
    with pytest.raises(ValueError, match="words of 4 bytes, not beats of 6; build the engine with"):
        template(tmp_path / "engine").EngineDMA(None, None)


@pytest.mark.full
@pytest.mark.skipif(
    not all(importlib.util.find_spec(name) for name in ("ziglang", "pythondata_cpu_vexriscv")),
    reason="needs a compiler and a CPU: pip install ziglang pythondata-cpu-vexriscv",
)
def test_the_cpu_of_a_soc_runs_the_driver(peripheral, tmp_path):
    output = tmp_path / "soc"
    build_soc(peripheral, output)
    (output / "packets.h").write_text(packets_header(peripheral, CONFIG))
    compile_program(peripheral, output, HERE / "litex_main.c")
    build_simulation(output, tmp_path)
    assert "PASS\n" in run(output)
    packets = (output / "packets.h").read_text()
    (output / "packets.h").write_text(packets.replace("answer1[] = {", "answer1[] = {1u + "))
    compile_program(peripheral, output, HERE / "litex_main.c")
    assert "FAIL: answer\n" in run(output)
