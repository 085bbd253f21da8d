# SPDX-License-Identifier: Apache-2.0
import os
import re
import shlex
import subprocess

import numpy as np
import pytest

from ecoformer.hw.emit.lint import waivers
from ecoformer.sim.stimulus import random_image, random_workload
from ecoformer.sim.testbench import write_testbench
from ecoformer.sim.toolchain import find_simulator
from ecoformer.sim.verify import expected_outputs
from ecoformer.spec.config import Config
from tests.emitted import emitted
from tests.sim import dummy

pytestmark = pytest.mark.slow


def run(folder, text, *arguments):
    write_testbench(folder, dummy.CONFIG, dummy.image(), dummy.workload(9), name="dummy_engine")
    return icarus(folder, text, *arguments)


def icarus(folder, text, *arguments):
    (folder / "engine.v").write_text(text)
    (testbench,) = (folder / "tb").glob("*.v")
    subprocess.run(
        ["iverilog", "-g2005", "-o", "tb.vvp", testbench, "engine.v"], cwd=folder, check=True
    )
    reply = subprocess.run(
        ["vvp", "-n", "tb.vvp", *arguments], cwd=folder, check=True, capture_output=True, text=True
    )
    return reply.stdout.splitlines()


@pytest.fixture(scope="module")
def generated(tmp_path_factory):
    """Folder of a small engine with its testbench and vectors; number of beats.

    A token is four beats in four cycles: a gap cannot hide.
    """
    config = Config(
        head_dim=5, value_dim=3, code_bits=4, anchors=2, max_tokens=9, cycles_per_token=4,
        parameter_sets=2, bus_bytes=2,
    )
    rng = np.random.default_rng(0)
    image, workload = random_image(config, rng), random_workload(config, rng, 9)
    folder = tmp_path_factory.mktemp("generated")
    for name, text in (("rtl/engine.v", emitted(config, "engine")), ("lint/engine.vlt", "")):
        (folder / name).parent.mkdir()
        (folder / name).write_text(text or waivers("engine"))
    write_testbench(folder, config, image, workload, name="engine")
    return folder, workload.lengths.sum() * config.output_beats


@pytest.mark.parametrize("simulator", ["icarus", "verilator"])
def test_the_commands_of_the_header_run_it(generated, simulator, tmp_path):
    """Exactly the commands of the header: full rate, gaps, and a corrupted vector."""
    folder, beats = generated
    header = (folder / "tb" / "tb_engine.v").read_text().split("`timescale")[0]
    program = {"icarus": "iverilog"}.get(simulator, simulator)
    build, run = re.findall(
        rf"^//   \$ ({program} .*)\n//   \$ (.*?)  ", header, re.MULTILINE
    )[0]
    run = run.removesuffix(" [+gaps]")
    env = {**os.environ, **(find_simulator("verilator", tmp_path).env)}
    subprocess.run(shlex.split(build), cwd=folder, env=env, check=True, capture_output=True)

    def last_words(*arguments):
        command = [*shlex.split(run), *arguments]
        reply = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)
        return [line for line in reply.stdout.splitlines() if line.startswith(("PASS", "FAIL"))]

    passed = f"PASS: {beats} of {beats} beats as expected in "
    cycles = []
    for arguments in ((), ("+gaps",)):
        (line,) = last_words(*arguments)
        assert line.startswith(passed)
        cycles.append(int(line.split()[-2]))
    assert cycles[0] < cycles[1]
    vectors = folder / "vectors" / "expected.hex"
    good = vectors.read_text()
    lines = good.splitlines()
    lines[7] = f"{int(lines[7], 16) ^ 1:0{len(lines[7])}x}"
    vectors.write_text("\n".join(lines) + "\n")
    try:
        assert last_words()[0].startswith("FAIL: 1 differences")
    finally:
        vectors.write_text(good)


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
        Config(**SMALL | {"dataflow": "bucketed", "parameter_sets": 1}),
        Config(**SMALL | {"dataflow": "softmax", "hash": "none", "parameter_sets": 1}),
        Config(**SMALL | {"tuser_width": 0}),
        Config(**SMALL | {"engines": 2, "bus_bytes": 4}),
    ],
    ids=["k=4", "k=1", "xnor", "bucketed", "softmax", "no tuser", "two engines"],
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
    rng = np.random.default_rng(0)
    image, workload = random_image(config, rng), random_workload(config, rng, 5)
    write_testbench(tmp_path, config, image, workload, name="engine")
    assert icarus(tmp_path, text, "+gaps")[-1].startswith("PASS: ")
    undefined = text.replace("rst ? 1'h0", "rst ? 1'hx")
    lines = icarus(tmp_path, undefined)
    assert lines[-1].startswith("FAIL: ") and any("is undefined" in line for line in lines)


@pytest.mark.icarus
@pytest.mark.parametrize("arguments", [(), ("+gaps",)], ids=["full-rate", "gaps"])
def test_a_good_engine_passes(tmp_path, arguments):
    lines = run(tmp_path, dummy.engine(), *arguments)
    beats = dummy.workload(9).lengths.sum()
    assert len(lines) == 1 and lines[0].startswith(f"PASS: {beats} of {beats} beats as expected in")


@pytest.mark.icarus
@pytest.mark.parametrize(
    "old, new, why",
    [
        ("{o1, o0}", "{o1, o0 ^ (sequences == 3 && sent == 1)}", "FAIL: 1 differences"),
        ("m_axis_tuser = {bad, set}", "m_axis_tuser = {bad, ~set}", "FAIL"),
        ("(sent + 8'd1 == count)", "1'b0", "FAIL"),
        ("answering <= 1;", "answering <= sequences != 3;", "nothing has moved for"),
        ("answering <= 0; count", "answering <= sequences == 8; count", "unexpected"),
        ("s_axil_bresp = 2'd0", "s_axil_bresp = 2'd2", "is answered 10"),
        ("assign s_axil_awready = ", "assign s_axil_awready = 1'b0 & ", "nothing has moved for"),
    ],
)
def test_a_broken_engine_fails(tmp_path, old, new, why):
    assert old in dummy.engine()
    lines = run(tmp_path, dummy.engine().replace(old, new))
    assert lines[-1].startswith("FAIL: ")
    assert any(why in line for line in lines)


@pytest.mark.icarus
def test_the_expected_outputs_are_kept(tmp_path):
    run(tmp_path, dummy.engine())
    want = [out for out, _ in expected_outputs(dummy.CONFIG, dummy.image(), dummy.workload(9))]
    with np.load(tmp_path / "vectors" / "expected.npz") as file:
        np.testing.assert_array_equal(file["outputs"], np.concatenate(want))


@pytest.mark.icarus
def test_the_text_is_ascii_and_names_no_folder(tmp_path):
    run(tmp_path, dummy.engine())
    text = (tmp_path / "tb" / "tb_dummy_engine.v").read_text()
    assert text.isascii() and str(tmp_path) not in text and "@" not in text.replace("@(", "")
