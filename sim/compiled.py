"""The fast path: a Verilated engine driven by compiled C++ instead of Python.

A job is the same as for the cocotb bench and so is its result, except that the hash is not traced:
its probes would have to be public, which costs much of the speed.
"""

import contextlib
import json
import subprocess
from pathlib import Path

import numpy as np

from sim.programming import STATUS, readable_registers, register_writes

__all__ = ["compile_commands", "start_compiled", "collect_compiled", "HARNESS"]

HARNESS = Path(__file__).with_name("harness.cpp")
TAIL_CYCLES = 64
FIELDS = ("ends", "users", "first_in", "last_in", "first_out", "last_out")


def compile_commands(folder, source, top, build_args):
    """Commands that compile the Verilog file ``source`` with the harness into ``folder/engine``."""
    return [
        ["verilator", "--cc", "--exe", "--top-module", top, "--prefix", "Vengine", "-Mdir",
         str(folder), "-o", "engine", *build_args, str(source), str(HARNESS)],
        ["make", "-j", "2", "-C", str(folder), "-f", "Vengine.mk", "OPT_FAST=-O2"],
    ]  # fmt: skip


def start_compiled(folder, program, config, image, settings):
    """Write the job in ``folder`` for the harness and start it; returns the process."""
    with np.load(folder / "packets.npz") as packets:
        beats, lasts, users = (packets[name] for name in ("beats", "lasts", "users"))
    writes = list(register_writes(config, image))
    registers = list(readable_registers().values())
    head = [
        config.bus_bytes, round(settings["stall"] * 2**32), settings["seed"],
        settings["patience"], TAIL_CYCLES, STATUS,
    ]  # fmt: skip
    with (folder / "job.bin").open("wb") as file:
        for numbers in (
            np.array([*head, len(writes), *writes, len(beats)], dtype="<u8"),
            beats,
            np.array([len(lasts), *lasts, *users, len(registers)], dtype="<u8"),
            np.array(registers, dtype="<u4"),
        ):
            file.write(numbers.tobytes())
    with (folder / "simulation.log").open("w") as log:
        return subprocess.Popen(
            [str(program), "job.bin", "result.bin", "progress"],
            cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
            start_new_session=True,
        )  # fmt: skip


def collect_compiled(folder, config):
    """Rewrite the harness's result as the ``result.npz`` of the cocotb bench, if there is one."""
    with contextlib.suppress(FileNotFoundError):
        raw = (folder / "result.bin").read_bytes()
        beats, at = _array(raw, 0, "u1")
        result = {"beats": beats.reshape(-1, config.bus_bytes)}
        for name in FIELDS:
            result[name], at = _array(raw, at, "<i8")
        values, at = _array(raw, at, "<u4")
        cycles, at = _array(raw, at, "<i8")
        registers = dict(zip(readable_registers(), values.tolist()))
        np.savez(
            folder / "result.npz",
            codes=np.zeros((0, -(-config.code_bits // 8)), dtype=np.uint8),
            cycles=cycles[0],
            registers=np.array(json.dumps(registers)),
            **result,
        )


def _array(raw, at, kind):
    """Array that begins at byte ``at`` with its length, and where the next one begins."""
    count = int(np.frombuffer(raw, "<u8", 1, at)[0])
    items = np.frombuffer(raw, kind, count, at + 8)
    return items, at + 8 + items.nbytes
