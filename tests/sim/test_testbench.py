# SPDX-License-Identifier: Apache-2.0
import os
import re
import shlex
import subprocess

import numpy as np
import pytest

from ecoformer.hw.emit.lint import waivers
from ecoformer.sim.stimulus import random_image, random_workload
from ecoformer.sim.testbench.write import write_testbench
from ecoformer.sim.toolchain import find_simulator
from ecoformer.sim.verify import expected_outputs
from ecoformer.spec.config import Config
from tests.emitted import emitted
from tests.sim.broken_engine import FAULTS, UNSEEN, broken

pytestmark = pytest.mark.slow

CONFIG = Config(
    head_dim=5, value_dim=3, code_bits=4, anchors=2, max_tokens=9, cycles_per_token=4,
    parameter_sets=2, bus_bytes=2,
)
"""A token is four beats in four cycles: a gap cannot hide."""


def write(folder, config, text, sequences=9):
    """Write what 'generate' writes for a simulator; returns the workload."""
    rng = np.random.default_rng(0)
    image, workload = random_image(config, rng), random_workload(config, rng, sequences)
    for name, content in (("rtl/engine.v", text), ("lint/engine.vlt", waivers("engine"))):
        (folder / name).parent.mkdir()
        (folder / name).write_text(content)
    write_testbench(folder, config, image, workload, name="engine")
    return image, workload


def header(folder, program):
    """The commands of the testbench's header that build and run it with ``program``."""
    text = (folder / "tb" / "tb_engine.v").read_text().split("module tb_")[0]
    build, run = re.findall(rf"^//   \$ ({program} .*)\n//   \$ (.*?)  ", text, re.MULTILINE)[0]
    return shlex.split(build), shlex.split(run.removesuffix(" [+gaps]"))


def prepare(folder, simulator, tmp_path, *more):
    """Build in ``folder``; returns a function that runs: (exit status, lines)."""
    build, run = header(folder, {"icarus": "iverilog"}.get(simulator, simulator))
    env = {**os.environ, **find_simulator("verilator", tmp_path).env}
    env["MAKEFLAGS"] = f"{env.get('MAKEFLAGS', '')} OPT_FAST=-O0 OPT_GLOBAL=-O0"  # runs are short
    subprocess.run([*build, *more], cwd=folder, env=env, check=True, capture_output=True)

    def play(*arguments, cwd=folder):
        program = [folder / run[0], *run[1:]] if "/" in run[0] else [*run[:1], folder / run[1]]
        reply = subprocess.run(
            [*program, *arguments], cwd=cwd, capture_output=True, text=True, timeout=120,
            check=False,
        )
        return reply.returncode, reply.stdout.splitlines()

    return play


def verdict(lines):
    (line,) = [line for line in lines if line.startswith(("PASS", "FAIL"))]
    return line


SIMULATORS = [pytest.param("icarus", marks=pytest.mark.icarus), "verilator"]


@pytest.mark.parametrize("simulator", SIMULATORS)
def test_the_commands_of_the_header_run_it(simulator, tmp_path):
    """Exactly the commands of the header: full rate, gaps, another folder, a corrupted vector."""
    _, workload = write(tmp_path, CONFIG, emitted(CONFIG, "engine"))
    play = prepare(tmp_path, simulator, tmp_path)
    beats = len((tmp_path / "vectors" / "expected.hex").read_text().splitlines())
    assert beats > workload.lengths.sum() * CONFIG.output_beats
    cycles = []
    for arguments in ((), ("+gaps",)):
        status, lines = play(*arguments)
        assert status == 0
        assert verdict(lines).startswith(f"PASS: {beats} of {beats} beats as expected in ")
        cycles.append(int(verdict(lines).split()[-2]))
    assert cycles[0] < cycles[1]
    (tmp_path / "elsewhere").mkdir()
    status, lines = play(cwd=tmp_path / "elsewhere")
    assert status and verdict(lines).startswith("FAIL: vectors/parameters.hex: no such file; run")
    status, lines = play(f"+vectors={tmp_path / 'vectors'}", cwd=tmp_path / "elsewhere")
    assert status == 0 and verdict(lines).startswith("PASS")
    vectors = tmp_path / "vectors" / "expected.hex"
    lines = vectors.read_text().splitlines()
    lines[7] = f"{int(lines[7], 16) ^ 1:0{len(lines[7])}x}"
    vectors.write_text("\n".join(lines) + "\n")
    status, lines = play()
    assert status and verdict(lines).startswith("FAIL: 1 differences")


@pytest.mark.parametrize("simulator", SIMULATORS)
def test_a_broken_engine_fails(simulator, tmp_path):
    """Every fault at the pins: in time, with a reason and an exit status."""
    write(tmp_path, CONFIG, broken(CONFIG, emitted(CONFIG, "engine"), "engine"))
    wrapped = ["-Wno-fatal", "-Wno-lint"] if simulator == "verilator" else []
    play = prepare(tmp_path, simulator, tmp_path, *wrapped)
    beats = len((tmp_path / "vectors" / "expected.hex").read_text().splitlines())
    passed = set()
    for number, name in enumerate(FAULTS):
        status, lines = play(f"+fault={number}", f"+last={beats}", "+gaps")
        verdicts = [line for line in lines if line.startswith(("PASS", "FAIL"))]
        assert len(verdicts) == 1 and (status == 0) == verdicts[0].startswith("PASS"), name
        if status == 0:
            passed.add(name)
        else:
            why = lines[lines.index(verdicts[0]) - 1]
            assert not why.startswith("fault"), f"{name}: no reason is given"
    assert passed == {"none"} | UNSEEN.get(simulator, set())


SMALL = dict(
    head_dim=3, value_dim=2, code_bits=4, anchors=2, max_tokens=9, cycles_per_token=4,
    parameter_sets=2, bus_bytes=2,
)


@pytest.mark.icarus
@pytest.mark.parametrize(
    "config",
    [
        Config(**SMALL),
        Config(**SMALL | {"cycles_per_token": 1, "bus_bytes": 8, "state_banks": 3}),
        Config(**SMALL | {"dataflow": "xnor", "parameter_sets": 1}),
        Config(**SMALL | {"dataflow": "bucketed", "parameter_sets": 3}),
        Config(**SMALL | {"dataflow": "softmax", "hash": "none", "parameter_sets": 1}),
        Config(**SMALL | {"tuser_width": 0}),
        Config(**SMALL | {"engines": 2, "bus_bytes": 4}),
        Config(**SMALL | {"max_tokens": 1, "bus_bytes": 8, "tuser_width": 1}),
        Config(**SMALL | {"queries": "separate"}),
        Config(**SMALL | {"mask": "causal", "contexts": 3, "bus_bytes": 4}),
        Config(**SMALL | {"queries": "cross", "cycles_per_token": 8}),
        Config(**SMALL | {"tkeep": True, "error_low": True, "bus_bytes": 3}),
        Config(**SMALL | {"tuser_width": 0, "next_set_depth": 2}),
    ],
    ids=[
        "k=4", "k=1", "xnor", "bucketed", "softmax", "no tuser", "two engines", "one token",
        "separate", "contexts", "cross", "tkeep", "queue",
    ],
)
def test_an_engine_comes_up_from_x_by_reset_alone(config, tmp_path):
    """No initial value but those of tables, so every register and every RAM begins as x."""
    text = emitted(config, "engine")
    assert not re.search(r"^ *(reg|wire)\b[^;]*=", text, re.MULTILINE)
    written = {}  # whether a module with initial values writes to a memory
    for module in re.findall(r"^module .*?^endmodule", text, re.MULTILINE | re.DOTALL):
        if re.search(r"^ +\S+ *\[\d+\] = ", module, re.MULTILINE):
            written[module.split()[1]] = re.search(r"^ +\S+ *\[[^]]*\] *<=", module, re.MULTILINE)
    assert written and all(name.split(".")[-1].startswith("table") for name in written)
    assert not any(written.values())
    write(tmp_path, config, text, 5)
    status, lines = prepare(tmp_path, "icarus", tmp_path)("+gaps")
    assert status == 0 and verdict(lines).startswith("PASS: ")
    (tmp_path / "rtl" / "engine.v").write_text(text.replace("rst ? 1'h0", "rst ? 1'hx"))
    status, lines = prepare(tmp_path, "icarus", tmp_path)()
    assert status and verdict(lines).startswith("FAIL: ")
    assert any("is undefined" in line for line in lines)


def test_the_expected_outputs_are_kept(tmp_path):
    image, workload = write(tmp_path, CONFIG, "")
    want = [outputs for outputs, _ in expected_outputs(CONFIG, image, workload)]
    with np.load(tmp_path / "vectors" / "expected.npz") as file:
        np.testing.assert_array_equal(file["outputs"], np.concatenate(want))


def test_the_text_is_ascii_and_names_no_folder(tmp_path):
    write(tmp_path, CONFIG, "")
    text = (tmp_path / "tb" / "tb_engine.v").read_text()
    assert text.isascii() and str(tmp_path) not in text
    assert "@" not in re.sub(r"@[(*]", "", text)
    assert "timescale" not in text + emitted(CONFIG, "engine")  # both in the default, in any order
