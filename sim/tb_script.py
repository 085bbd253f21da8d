# SPDX-License-Identifier: Apache-2.0
"""The cocotb bench that plays scripts; it runs within the simulator.

``ECOFORMER_JOB`` names the folder of the job: `sim.verification` leaves ``scenes.pickle`` there and
finds ``<number>.pickle``, the record of each scene, as it is played.
"""

from __future__ import annotations

import os
import pickle
import random
from collections import Counter
from pathlib import Path

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.task import Task
from cocotb.triggers import ClockCycles, RisingEdge
from cocotb.utils import get_sim_time

from ecoformer.files import write_atomic
from ecoformer.sim.bench import LoadWords, play
from ecoformer.sim.compiled import State
from ecoformer.sim.drivers.registers import RegisterPort
from ecoformer.sim.drivers.streams import Handle, StreamSink, input_pins, source_of
from ecoformer.sim.job import TAIL_CYCLES, streams
from ecoformer.sim.limits import Limits
from ecoformer.sim.record import VIOLATIONS, Record, Violation, split_answers
from ecoformer.sim.rows import TID_SHIFT, row_bytes
from ecoformer.sim.run import COUNTED
from ecoformer.sim.script import Burst, Scene, Write
from ecoformer.sim.selection import selection
from ecoformer.sim.tb_engine import (
    PERIOD_NS,
    beat_bytes,
    beat_numbers,
    find_datapaths,
    traces,
    unit_cycles,
)
from ecoformer.sim.traces import unpack_codes
from ecoformer.spec.config import Config

__all__ = ["CocotbBench", "play_scenes"]

OUTPUTS = (
    "irq", "s_axis_tready", "s_axis_q_tready", "m_axis_tdata", "m_axis_tvalid", "m_axis_tlast",
    "m_axis_tuser", "m_axis_tid", "m_axis_tkeep", "s_axil_awready", "s_axil_wready", "s_axil_bresp",
    "s_axil_bvalid", "s_axil_arready", "s_axil_rdata", "s_axil_rresp", "s_axil_rvalid",
)
"""Every output pin that there may be; each must be 0 or 1 in every cycle after reset, valid or
not."""
ACTIVE = ("m_axis_tvalid", "s_axis_tready", "s_axis_q_tready", "s_axil_bvalid", "s_axil_rvalid")
"""Output pins that are low in reset."""
MOST_VIOLATIONS = 64


@cocotb.test()
async def play_scenes(dut: Handle) -> None:
    """Play the scenes in the folder ``ECOFORMER_JOB``."""
    folder = Path(os.environ["ECOFORMER_JOB"])
    config, scenes = pickle.loads((folder / "scenes.pickle").read_bytes())
    bench = CocotbBench(dut, config)
    for number, scene in enumerate(scenes):
        record = await play(bench, config, scene)
        write_atomic(folder / f"{number}.pickle", pickle.dumps(record))


class CocotbBench:
    """Bench within a simulator; see `sim.bench.Bench`."""

    def __init__(self, dut: Handle, config: Config):
        self.dut, self.config = dut, config
        self.edge = RisingEdge(dut.aclk)
        self.port = _Port(dut)
        self.words = LoadWords(config)
        self.datapaths = find_datapaths(dut, config)
        self.traces = traces(self.datapaths)
        self.nothing = [((), (), ())] * len(config.wire.inlets)
        self.knows_x = "Icarus" in cocotb.SIM_NAME
        self.outputs = {name: getattr(dut, name) for name in OUTPUTS if hasattr(dut, name)}
        self.active = [getattr(dut, name) for name in ACTIVE if hasattr(dut, name)]
        self._tasks: list[Task] = []
        self._started = 0.0
        self.port.start()
        Clock(dut.aclk, PERIOD_NS, unit="ns").start()

    async def reset(self, cycles: int) -> bool:
        dut = self.dut
        self._stop()
        self._begin(self.nothing, 0.0, 0.0, 0)  # nothing was streamed yet if the script ends early
        dut.aresetn.value = 0
        for pin in (*input_pins(dut), dut.m_axis_tready):
            pin.value = 0
        self.port.start()
        await self.edge
        quiet = True
        for _ in range(cycles):
            await self.edge
            quiet &= all(str(pin.value) == "0" for pin in self.active)
        dut.aresetn.value = 1
        await ClockCycles(dut.aclk, 2)
        return quiet

    async def write(self, event: Write) -> tuple[int, int | None]:
        try:
            time, response = await self.port.try_write(
                event.address, event.data, strobe=event.strobe, delays=event.delays
            )
        except ValueError:
            return self._undefined_access(), None
        return self._cycle(time), response

    async def write_words(self, words: np.ndarray) -> tuple[int, int, int | None]:
        for written, word in enumerate(words.tolist()):
            cycle, response = await self.write(Write(address=word >> 32, data=word & 0xFFFFFFFF))
            if response != 0:
                return written, cycle, response
        return len(words), cycle, response

    async def read(self, address: int, delay: int) -> tuple[int, int | None, int]:
        try:
            time, response, data = await self.port.try_read(address, delay=delay)
        except ValueError:
            return self._undefined_access(), None, 0
        return self._cycle(time), response, data

    async def burst(self, event: Burst) -> list[tuple[int | None, int]]:
        try:
            return await self.port.burst(
                [
                    (access.address, (access.data, access.strobe)) if isinstance(access, Write)
                    else (access.address, None)
                    for access in event.accesses
                ],
                lead=event.lead, hold=event.hold,
            )
        except ValueError:
            self._undefined_access()
            return [(None, 0)] * len(event.accesses)

    def _undefined_access(self):
        """Note that a pin was X as a register was accessed; no cycle in which that was taken."""
        self._violated(f"{self._undefined() or 'a pin'} is neither 0 nor 1")
        return -1

    def _cycle(self, time):
        return round((time - self._started) / PERIOD_NS) - 1

    def begin(self, scene: Scene, limits: Limits) -> None:
        select = selection(self.config)
        sent = [
            (beat_numbers(beats), lasts.tolist(), users.tolist())
            for beats, lasts, users in streams(self.config, scene.packets)
        ]
        users = sent[0][-1]
        self._begin(sent, scene.gaps, scene.pressure, scene.seed)
        self.limits, self.packets = limits, len(users)
        self._watch = _Watch(self.dut, self._violated, select.rises)
        self._started = get_sim_time("ns")
        # Before the source: it must not offer the first packet until its set is selected.
        self._tasks = select.start(self.port, self.source, users) if scene.selects else []
        self.source.start()
        self.sink.start()
        self._tasks.append(cocotb.start_soon(self._stream()))

    def _begin(self, sent, gaps, pressure, seed):
        rng = random.Random(seed)
        later = selection(self.config).later
        self.source = source_of(self.dut, sent, later=later, stall=gaps, rng=rng)
        self.sources = self.source.sources
        self.sink = StreamSink(self.dut, stall=pressure, rng=rng)
        self.state, self.cycle, self.busy, self.end = State.RUNNING, 0, 0, None
        self.moved = 0
        self.taken: list[list[int]] = [[] for _ in self.sources]
        self.violations: list[Violation] = []
        self.interrupts: list[tuple[int, int]] = []
        self.codes: list[list[int]] = [[] for _ in self.traces]
        self.worked: list[Counter[int]] = [Counter(), Counter()]
        self._level = 0

    def gate(self, beat: int | None, stream: int = 0) -> None:
        self.sources[stream].gate = beat
        self.moved = self.cycle

    def press(self, pressure: float) -> None:
        self.sink.stall = pressure
        self.moved = self.cycle

    async def advance(self, sent: int | None = None, stream: int = 0) -> State:
        while self.state is State.RUNNING:
            if sent is not None and len(self.taken[stream]) >= sent:
                return State.BEGUN
            await self.edge
        return self.state

    async def idle(self, cycles: int) -> None:
        if cycles:
            await ClockCycles(self.dut.aclk, cycles)

    @property
    def irq(self) -> bool:
        return str(self.dut.irq.value) == "1"

    def collect(self, record: Record) -> None:
        self._stop()
        c = self.config
        beats = beat_bytes(self.sink.beats, row_bytes(c))
        split_answers(record, beats, np.array(self.sink.ends, np.int64))
        record.users = self.sink.users
        record.taken = [np.array(taken, np.int64) for taken in self.taken]
        stamps = (self.source.first, self.source.last, self.sink.first, self.sink.last)
        names = ("first_in", "last_in", "first_out", "last_out")
        record.stamps = {name: np.array(s, np.int64) for name, s in zip(names, stamps)}
        size = -(-c.wire.inlets[0].code_width // 8)
        record.codes = [unpack_codes(c, beat_bytes(codes, size)) for codes in self.codes] or None
        record.cycles = self.cycle
        record.violations, record.interrupts = self.violations, self.interrupts
        counted = (self.busy, self.source.starved, self.sink.blocked)
        record.counted = dict(zip(COUNTED, counted, strict=True))
        record.busy = unit_cycles(c, self.worked) if self.datapaths else None

    def _stop(self):
        for task in self._tasks:
            task.cancel()
        self._tasks = []

    def _violated(self, what):
        if len(self.violations) < MOST_VIOLATIONS:
            self.violations.append(Violation(self.cycle, what))

    async def _stream(self):
        """What happens at every edge; ends only with the scene."""
        probes = [path.trace_busy for path in self.datapaths if hasattr(path, "trace_busy")]
        traced = [(valid, code, into) for (valid, code), into in zip(self.traces, self.codes)]
        source, sink = self.source, self.sink
        while True:
            await self.edge
            cycle = self.cycle
            if self.knows_x and (unknown := self._undefined()):
                self._violated(f"{unknown} is neither 0 nor 1")
                self.state = State.UNDEFINED
                return
            self._watch.look()
            if (level := int(self.dut.irq.value)) != self._level:
                self._level = level
                self.interrupts.append((cycle, level))
            self.busy += source.begun > sink.packet
            steady = len(sink.first) > 1 and source.packet < self.packets
            for probe in probes:
                word = int(probe.value)
                self.worked[0][word] += 1
                self.worked[1][word] += steady
            given = sink.edge(cycle)
            if source.edge(cycle):
                for taken, mine in zip(self.taken, source.taken):
                    if mine:
                        taken.append(cycle)
                self.moved = cycle
            if given:
                self.moved = cycle
            for valid, code, into in traced:
                if valid.value:
                    into.append(int(code.value))
            self.cycle = cycle = cycle + 1
            if self.state is State.RUNNING:
                self._decide(cycle)

    def _decide(self, cycle):
        if len(self.sink.beats) > self.limits.beats:
            self.state = State.BABBLING
        elif self.end is None and self.sink.packet >= self.packets <= self.source.packet:
            self.end = cycle + TAIL_CYCLES
        elif self.end is not None and cycle >= self.end:
            self.state = State.DONE
        elif cycle >= self.limits.cycles:
            self.state = State.OVERDUE
        elif self.end is None and cycle - self.moved > self.limits.patience:
            self.state = State.SILENT

    def _undefined(self):
        """Name of an output pin that is neither 0 nor 1."""
        for name, pin in self.outputs.items():
            if not pin.value.is_resolvable:
                return name
        return None


class _Port(RegisterPort):
    """A port that goes on after a refusal: what the engine does is recorded, not judged."""

    async def write(self, address, data, *, delays=(0, 0, 0)):
        await self.try_write(address, data, delays=delays)


class _Watch:
    """Compares the pins with those of the cycle before, and answers with what was asked."""

    def __init__(self, dut, violated, rises):
        self.dut, self.violated, self.rises = dut, violated, rises
        self.tid = getattr(dut, "m_axis_tid", None)
        self.keep = getattr(dut, "m_axis_tkeep", None)
        self.within = None
        self.result = self.response = self.answer = None
        self.responses = self.answers = 0
        self.pins = {name: getattr(dut, name) for name in (
            "m_axis_tvalid", "m_axis_tready", "s_axil_bvalid", "s_axil_rvalid", "s_axil_awvalid",
            "s_axil_awready", "s_axil_arvalid", "s_axil_arready", "s_axil_bready", "s_axil_rready",
        )}

    def look(self):
        pins = self.pins
        if self.result is not None or pins["m_axis_tvalid"].value:
            self._look_at_results()
        if self.response is not None or pins["s_axil_bvalid"].value:
            self.response, self.responses = self._look_at(
                "b", ("s_axil_bresp",), self.response, self.responses, 3
            )
        if self.answer is not None or pins["s_axil_rvalid"].value:
            self.answer, self.answers = self._look_at(
                "r", ("s_axil_rresp", "s_axil_rdata"), self.answer, self.answers, 5
            )
        if pins["s_axil_awvalid"].value and pins["s_axil_awready"].value:
            self.responses += 1
        if pins["s_axil_arvalid"].value and pins["s_axil_arready"].value:
            self.answers += 1

    def _look_at_results(self):
        dut = self.dut
        if not dut.m_axis_tvalid.value:
            self.violated(VIOLATIONS[0])
            self.result = None
            return
        user, last = int(dut.m_axis_tuser.value), int(dut.m_axis_tlast.value)
        user |= 0 if self.tid is None else int(self.tid.value) << TID_SHIFT
        keep = 0 if self.keep is None else int(self.keep.value)
        offered = (user, last, int(dut.m_axis_tdata.value), keep)
        if self.result not in (None, offered):
            self.violated(VIOLATIONS[1])
        if self.within not in (None, user, user & ~(self.rises * last)):
            self.violated(VIOLATIONS[2])
        if dut.m_axis_tready.value:
            self.within = None if last else user
            self.result = None
        else:
            self.result = offered

    def _look_at(self, channel, names, before, owed, first):
        """Check a response or an answer; returns what stays offered, and how many are owed."""
        if not self.pins[f"s_axil_{channel}valid"].value:
            self.violated(VIOLATIONS[first])
            return None, owed
        offered = tuple(int(getattr(self.dut, name).value) for name in names)
        if before not in (None, offered):
            self.violated(VIOLATIONS[first + 1])
        if not owed:
            self.violated(VIOLATIONS[7 if channel == "b" else 8])
        if self.pins[f"s_axil_{channel}ready"].value:
            return None, max(0, owed - 1)
        return offered, owed
