# SPDX-License-Identifier: Apache-2.0
"""The testbench that a network comes with: in Icarus and Verilator, from any folder."""

import os
import re
import shlex
import subprocess
from dataclasses import replace

import pytest

from ecoformer.golden.integer.network.forward import run
from ecoformer.hw.emit.lint import network_waivers, waivers
from ecoformer.hw.emit.network import emit_network
from ecoformer.sim.network.stimulus import random_image, random_pixels
from ecoformer.sim.network.testbench import write_testbench
from ecoformer.sim.toolchain import find_simulator
from ecoformer.spec.network.packet import parameter_packet
from tests.golden.integer.network.designs import DESIGNS as UNEVEN
from tests.sim.network.broken import FAULTS, NETWORK, broken
from tests.sim.network.designs import DESIGNS, TINY
from tests.sim.network.rolled import TINY_ROLLED

pytestmark = pytest.mark.slow

EVERY = {**DESIGNS, "rolled": TINY_ROLLED}
IMAGES = 12
SIMULATORS = [pytest.param("icarus", marks=pytest.mark.icarus), "verilator"]


@pytest.fixture(scope="module")
def tiny():
    return emit_network(TINY, random_image(TINY, 5))


def write(folder, text, design=TINY, images=IMAGES):
    for name, content in (
        (f"rtl/{NETWORK}.v", text),
        (f"lint/{NETWORK}.vlt", waivers(NETWORK, network_waivers(design))),
    ):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(content)
    pixels = random_pixels(design, 6, images)
    write_testbench(folder, design, random_image(design, 5), pixels, name=NETWORK)
    return pixels


def prepare(folder, simulator, tools):
    """Build by the commands of the header; returns a function that runs: (exit status, lines)."""
    text = (folder / "tb" / f"tb_{NETWORK}.v").read_text().split("module tb_")[0]
    program = {"icarus": "iverilog"}.get(simulator, simulator)
    build, command = re.findall(rf"^//   \$ ({program} .*)\n//   \$ (.*?)  ", text, re.M)[0]
    command = shlex.split(command.removesuffix(" [+gaps]"))
    env = {**os.environ, **find_simulator("verilator", tools).env}
    env["MAKEFLAGS"] = f"{env.get('MAKEFLAGS', '')} OPT_FAST=-O0 OPT_GLOBAL=-O0"  # runs are short
    subprocess.run(shlex.split(build), cwd=folder, env=env, check=True, capture_output=True)

    def play(*arguments, cwd=folder):
        where = [folder / part if "tb_" in part else part for part in command]
        reply = subprocess.run(
            [*where, *arguments], cwd=cwd, capture_output=True, text=True, timeout=120, check=False
        )
        return reply.returncode, reply.stdout.splitlines()

    return play


def verdict(lines):
    (line,) = [line for line in lines if line.startswith(("PASS", "FAIL"))]
    return line


@pytest.mark.parametrize("simulator", SIMULATORS)
def test_the_commands_of_the_header_run_it(simulator, tiny, tmp_path):
    write(tmp_path, tiny)
    play = prepare(tmp_path, simulator, tmp_path)
    vectors = tmp_path / "vectors" / "expected.hex"
    beats = len(vectors.read_text().splitlines())
    assert beats > IMAGES * TINY.classes  # bad images are answered as well
    for arguments in ((), ("+gaps",)):
        status, lines = play(*arguments)
        assert status == 0
        assert verdict(lines).startswith(f"PASS: {beats} of {beats} beats as expected, ")
        assert int(re.search(r"(\d+) before a reset", verdict(lines))[1]) > 0
    (tmp_path / "elsewhere").mkdir()
    status, lines = play(cwd=tmp_path / "elsewhere")
    assert status and verdict(lines).startswith("FAIL: vectors/images.hex: no such file; run")
    status, lines = play(f"+vectors={tmp_path / 'vectors'}", cwd=tmp_path / "elsewhere")
    assert status == 0 and verdict(lines).startswith("PASS")
    lines = vectors.read_text().splitlines()
    lines[-1] = f"{int(lines[-1], 16) ^ 1:0{len(lines[-1])}x}"
    vectors.write_text("\n".join(lines) + "\n")
    status, lines = play()
    assert status and verdict(lines).startswith("FAIL: 1 differences")


@pytest.mark.icarus
@pytest.mark.parametrize("fault", FAULTS)
def test_a_broken_network_fails(fault, tiny, tmp_path):
    """All faults but one of the rate, which no answer shows."""
    write(tmp_path, broken(tiny, fault))
    status, lines = prepare(tmp_path, "icarus", tmp_path)()
    assert (status == 0) == verdict(lines).startswith("PASS") == (fault == "slow layer")


@pytest.mark.icarus
def test_an_undefined_pin_fails(tiny, tmp_path):
    write(tmp_path, tiny.replace("assign m_axis_tuser = ", "assign m_axis_tuser = 1'bx ^ "))
    status, lines = prepare(tmp_path, "icarus", tmp_path)()
    assert status and verdict(lines).startswith("FAIL")
    assert any("is undefined" in line for line in lines)


@pytest.mark.icarus
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.full] * (name == "serial")) for name in EVERY]
)
def test_a_network_comes_up_from_x_by_reset_alone(name, tmp_path):
    design = EVERY[name]
    pixels = write(tmp_path, emit_network(design, random_image(design, 5)), design)
    status, lines = prepare(tmp_path, "icarus", tmp_path)("+gaps")
    assert status == 0 and verdict(lines).startswith("PASS")
    # The vectors are the scores of the integer network.
    scores = run(design, random_image(design, 5), pixels)
    width = 8 * design.score_bytes
    words = [int(line, 16) for line in (tmp_path / "vectors/expected.hex").read_text().split()]
    good = [word for word in words if not word >> width + 1]
    assert [word & (1 << width) - 1 for word in good] == [
        score & (1 << width) - 1 for score in scores.reshape(-1).tolist()
    ]


LOADABLE = replace(TINY, loadable=True)


@pytest.mark.parametrize("simulator", SIMULATORS)
def test_other_parameters_are_loaded(simulator, tmp_path):
    pixels = write(tmp_path, emit_network(LOADABLE, random_image(LOADABLE, 5)), LOADABLE)
    play = prepare(tmp_path, simulator, tmp_path)
    for arguments in ((), ("+gaps",)):
        status, lines = play(*arguments)
        assert status == 0 and verdict(lines).startswith("PASS")
    vectors = tmp_path / "vectors"
    own, others = ((vectors / f"{name}.hex").read_text() for name in ("expected", "loaded"))
    assert own != others and len(own) == len(others)
    packet = bytes.fromhex((vectors / "parameters.hex").read_text())
    assert packet == parameter_packet(LOADABLE, random_image(LOADABLE, 1))
    good = [word for word in map(lambda w: int(w, 16), others.split()) if not word >> 33]
    scores = run(LOADABLE, random_image(LOADABLE, 1), pixels)
    assert [word & 0xFFFF_FFFF for word in good] == [
        score & 0xFFFF_FFFF for score in scores.reshape(-1).tolist()
    ]
    # What is loaded matters, and so does its checksum.
    (vectors / "loaded.hex").write_text(own)
    status, lines = play()
    assert status and verdict(lines).startswith("FAIL")
    (vectors / "loaded.hex").write_text(others)
    (vectors / "parameters.hex").write_text("\n".join(f"{b:02x}" for b in packet[:-1]) + "\n00\n")
    status, lines = play()
    assert status and verdict(lines) == "FAIL: parameters are answered by 01, not 00"


def test_the_text_is_ascii_and_names_no_folder(tmp_path):
    for design in (TINY, LOADABLE):
        write(tmp_path, "", design)
        text = (tmp_path / "tb" / f"tb_{NETWORK}.v").read_text()
        assert text.isascii() and str(tmp_path) not in text
        assert "@" not in re.sub(r"@[(*]", "", text)
        assert ("_load_" in text) == (design is LOADABLE)


@pytest.mark.icarus
def test_a_fold_that_does_not_divide_its_inputs_comes_up_from_x(tmp_path):
    """What was never written is X, and X times a weight of 0 would be."""
    design = UNEVEN["linear hash"]
    fold = design.fold("stem")
    assert fold.inputs % fold.input_lanes
    write(tmp_path, emit_network(design, random_image(design, 5)), design, images=2)
    status, lines = prepare(tmp_path, "icarus", tmp_path)()
    assert status == 0 and verdict(lines).startswith("PASS")
