# SPDX-License-Identifier: Apache-2.0
"""The cocotb bench of an engine: programs it, streams a job through it, records what comes out.

It runs inside the simulator. ``ECOFORMER_JOB`` names the folder of the job: `sim.simulate` leaves
the files there and finds ``result.npz``. The bench records, `sim.verify` judges.
"""

import json
import math
import os
import random
import time
from collections import Counter
from pathlib import Path
from typing import Any

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, RisingEdge

from ecoformer.sim.drivers.registers import RegisterPort
from ecoformer.sim.drivers.streams import (
    Handle,
    PairSource,
    StreamSink,
    StreamSource,
    input_pins,
    source_of,
)
from ecoformer.sim.job import TAIL_CYCLES
from ecoformer.sim.limits import LEAST_POLLS, Limits
from ecoformer.sim.rows import row_bytes
from ecoformer.sim.selection import selection
from ecoformer.spec.config import Config
from ecoformer.spec.parameters import ParameterImage
from ecoformer.spec.programming import (
    POLL,
    SHADOW_FREE,
    STATUS,
    readable_registers,
    register_writes,
)
from ecoformer.spec.registers import REGISTERS, Error
from ecoformer.spec.units import units

__all__ = [
    "beat_bytes", "beat_numbers", "find_datapaths", "program", "run_job", "traces", "unit_cycles",
]

PERIOD_NS = 10
PROGRESS_SECONDS = 0.25
ALL_FLAGS = sum(1 << flag for flag in Error)
PREFIXES = ("", "query_")
"""What the names of arrays and probes of each stream begin with."""
LOOK_CYCLES = 512
"""Cycles between two looks at the wall clock."""


@cocotb.test()
async def run_job(dut: Handle) -> None:
    """Run the job in the folder ``ECOFORMER_JOB``."""
    folder = Path(os.environ["ECOFORMER_JOB"])
    settings = json.loads((folder / "settings.json").read_text(encoding="utf-8"))
    config = Config.load(folder / "config.toml")
    image = ParameterImage.load(folder / "parameters.safetensors", config)
    with np.load(folder / "packets.npz") as packets:
        sent = [
            (beat_numbers(packets[f"{prefix}beats"]), packets[f"{prefix}lasts"].tolist(),
             packets[f"{prefix}users"].tolist())
            for prefix in PREFIXES if f"{prefix}beats" in packets
        ]
    users = sent[0][-1]

    rng, stall = random.Random(settings["seed"]), settings["stall"]
    limits = Limits(**settings["limits"])
    source = source_of(dut, sent, later=selection(config).later, stall=stall, rng=rng)
    sink = StreamSink(dut, stall=stall, rng=rng)
    port = RegisterPort(dut)
    await reset(dut, port)
    await program(port, config, image)
    updates = [
        (packet, ParameterImage.load(folder / f"update{packet}.safetensors", config))
        for packet in settings["updates"]
    ]
    tasks = [cocotb.start_soon(update(port, config, source, updates, limits.polls))]
    tasks += selection(config).start(port, source, users)
    codes, cycles, busy, worked = await stream(
        dut, source, sink, datapaths=find_datapaths(dut, config), trace=settings["trace"],
        packets=len(users), limits=limits, progress=folder / "progress",
    )
    for task in tasks:
        if task.done():
            task.result()  # surfaces a refused access
        else:
            task.cancel()  # only an engine that fell silent ends the stream before its packets
    registers = {name: await port.read(at) for name, at in readable_registers(config).items()}
    interrupts = await interrupt(dut, port)
    shown: dict[str, Any] = {} if worked is None else {"busy": unit_cycles(config, worked)}
    np.savez(
        folder / "result.npz",
        beats=beat_bytes(sink.beats, row_bytes(config)),
        ends=np.array(sink.ends, dtype=np.int64),
        users=np.array(sink.users, dtype=np.int64),
        first_in=np.array(source.first, dtype=np.int64),
        last_in=np.array(source.last, dtype=np.int64),
        first_out=np.array(sink.first, dtype=np.int64),
        last_out=np.array(sink.last, dtype=np.int64),
        codes=beat_bytes(sum(codes, []), -(-config.wire.inlets[0].code_width // 8)),
        traced=np.array([len(codes_of_engine) for codes_of_engine in codes], dtype=np.int64),
        cycles=np.array(cycles),
        interrupts=np.array(interrupts),
        registers=np.array(json.dumps(registers)),
        counted=np.array([busy, source.starved, sink.blocked]),
        **shown,
    )


async def reset(dut: Handle, port: RegisterPort) -> None:
    """Start the clock and hold the engine in reset for a few cycles."""
    dut.aresetn.value = 0
    for pin in input_pins(dut):
        pin.value = 0
    dut.m_axis_tready.value = 0
    port.start()
    Clock(dut.aclk, PERIOD_NS, unit="ns").start()
    await ClockCycles(dut.aclk, 5)
    dut.aresetn.value = 1
    await ClockCycles(dut.aclk, 2)


async def program(
    port: RegisterPort, config: Config, image: ParameterImage, polls: int = LEAST_POLLS
) -> None:
    """Load every set of ``image`` through the register port, as a driver does.

    ``polls`` is how often STATUS is read before the shadow counts as stuck.
    """
    for word in register_writes(config, image):
        if word & POLL:
            await shadow_free(port, polls)
        await port.write(word >> 32 & 0xFF, word & 0xFFFFFFFF)
    await shadow_free(port, polls)


async def update(
    port: RegisterPort,
    config: Config,
    source: StreamSource | PairSource,
    updates: list[tuple[int, ParameterImage]],
    polls: int,
) -> None:
    """Load each image while the packet before its own is in flight; only then its own begins.

    So the shadow fills and COMMIT comes while the set is in use, which must not disturb it.
    """
    edge = RisingEdge(port.dut.aclk)
    for packet, image in updates:
        source.hold = packet
        while source.begun < packet:
            await edge
        await program(port, config, image, polls)
    source.hold = None


async def interrupt(dut: Handle, port: RegisterPort) -> list[int]:
    """Level of ``irq``: with nothing enabled, with every flag enabled, with the flags cleared."""
    levels = []
    for register, data in (("IRQ_ENABLE", 0), ("IRQ_ENABLE", ALL_FLAGS), ("ERRORS", ALL_FLAGS)):
        await port.write(REGISTERS[register].offset, data)
        await ClockCycles(dut.aclk, 2)
        levels.append(int(dut.irq.value))
    return levels


async def shadow_free(port: RegisterPort, polls: int) -> None:
    """Wait until the shadow set accepts words, for ``polls`` reads of STATUS at most."""
    for _ in range(polls):
        if await port.read(STATUS) >> SHADOW_FREE & 1:
            return
    raise TimeoutError("STATUS bit 1 stays 0: the shadow set never becomes free")


def find_datapaths(dut: Handle, config: Config) -> list[Handle]:
    """The datapaths, which hold the probes; none in a netlist."""
    engine = getattr(dut, "engine", None)
    if engine is None:
        return []
    datapath = engine.datapath
    if not hasattr(datapath, "worker_0"):
        return [datapath]
    return [getattr(datapath, f"worker_{i}").datapath for i in range(config.engines)]


async def stream(
    dut: Handle,
    source: StreamSource | PairSource,
    sink: StreamSink,
    *,
    datapaths: list[Handle],
    trace: bool,
    packets: int,
    limits: Limits,
    progress: Path,
) -> tuple[list[list[int]], int, int, list[Counter] | None]:
    """Send and receive until every packet is answered or one of ``limits`` is exceeded.

    Returns
    -------
    codes : list of list of int
        For each engine, the keys of the tokens that left the hash unit, then those of queries that
        come by themselves; empty without ``trace``.
    cycles : int
        Cycles simulated, tail included.
    busy : int
        Cycles with a packet between its first input beat and its last output beat.
    worked : [Counter, Counter] or None
        Cycles of all engines by the word of the probe that shows which units work: all of them, and
        those of the steady part. None for a design without that probe, such as a netlist.
    """
    shown = traces(datapaths) if trace else []
    codes: list[list[int]] = [[] for _ in shown]
    traced = [(valid, code, into) for (valid, code), into in zip(shown, codes)]
    probes = [path.trace_busy for path in datapaths if hasattr(path, "trace_busy")]
    worked: list[Counter[int]] = [Counter(), Counter()]
    edge = RisingEdge(dut.aclk)
    source.start()
    sink.start()
    take, give = sink.edge, source.edge
    cycle, busy, moved, end, reported = 0, 0, 0, None, -math.inf
    while cycle != end and cycle < limits.cycles and len(sink.beats) <= limits.beats:
        await edge
        busy += source.begun > sink.packet
        steady = len(sink.first) > 1 and source.packet < packets
        for probe in probes:
            word = int(probe.value)
            worked[0][word] += 1
            worked[1][word] += steady
        taken = take(cycle)
        if give(cycle) or taken:
            moved = cycle
        for valid, code, into in traced:
            if valid.value:
                into.append(int(code.value))
        cycle += 1
        if end is None and (sink.packet >= packets and source.packet >= packets):
            end = cycle + TAIL_CYCLES
        if cycle % LOOK_CYCLES == 0:
            if cycle - moved > limits.patience:
                break
            if time.monotonic() - reported > PROGRESS_SECONDS:
                progress.write_text(f"{len(sink.beats)} {cycle}", encoding="utf-8")
                reported = time.monotonic()
    return codes, cycle, busy, worked if probes else None


def traces(datapaths: list[Handle]) -> list[tuple[Handle, Handle]]:
    """Probes of the keys of each datapath, then of queries: strobe and code."""
    return [
        (getattr(path, f"trace_{prefix}valid"), getattr(path, f"trace_{prefix}code"))
        for prefix in PREFIXES for path in datapaths if hasattr(path, f"trace_{prefix}code")
    ]


def unit_cycles(config: Config, worked: list[Counter]) -> np.ndarray:
    """Cycles in which each unit worked: int64 [2, units]."""
    return np.array([
        [
            sum(cycles for word, cycles in words.items() if word >> bit & 1)
            for bit in range(len(units(config)))
        ]
        for words in worked
    ])


def beat_numbers(beats: np.ndarray) -> list[int]:
    """Every row, or other bytes, as a number: byte 0 is the low byte."""
    raw, width = beats.tobytes(), beats.shape[1]
    return [
        int.from_bytes(raw[start : start + width], "little") for start in range(0, len(raw), width)
    ]


def beat_bytes(numbers: list[int], width: int) -> np.ndarray:
    """Inverse of :func:`beat_numbers`: uint8 [beats, width]."""
    raw = b"".join(number.to_bytes(width, "little") for number in numbers)
    return np.frombuffer(raw, dtype=np.uint8).reshape(-1, width)
