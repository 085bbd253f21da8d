# SPDX-License-Identifier: Apache-2.0
"""The cocotb bench of a network: streams packets through it, records what comes out.

It runs inside the simulator. ``ECOFORMER_JOB`` names the folder of the job: `sim.network.simulate`
leaves the files there and finds ``result.npz``.
"""

import json
import os
import random
from pathlib import Path
from typing import Any

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, RisingEdge

from ecoformer.sim.drivers.streams import Handle
from ecoformer.sim.network.record import State

__all__ = ["run_job"]

PERIOD_NS = 10
HANDSHAKES = ("s_axis_tready", "m_axis_tvalid")
OFFERED = ("m_axis_tdata", "m_axis_tlast", "m_axis_tuser")
SIDES = {"s_axis_tlast": 1, "s_axis_tuser": 1, "s_axis_tid": 64}
"""Pins beside the data, and their bits within a beat's marks, the lowest first."""
LOAD_PINS = ("s_axis_load_tdata", "s_axis_load_tvalid", "s_axis_load_tlast", "m_axis_load_tready")
"""Inputs of a loadable network that are 0: nothing is loaded."""
WORD = 64
"""Bits of a word of an answer."""


@cocotb.test()
async def run_job(dut: Handle) -> None:
    """Run the job in the folder ``ECOFORMER_JOB``."""
    folder = Path(os.environ["ECOFORMER_JOB"])
    settings = json.loads((folder / "settings.json").read_text(encoding="utf-8"))
    with np.load(folder / "packets.npz") as file:
        beats, marks = file["beats"], file["marks"].tolist()
    dut.aresetn.value = 0
    dut.s_axis_tvalid.value = 0
    for pin in SIDES:
        if (handle := getattr(dut, pin, None)) is not None:
            handle.value = 0
    dut.s_axis_tdata.value = 0
    dut.m_axis_tready.value = 0
    for pin in LOAD_PINS:
        if (handle := getattr(dut, pin, None)) is not None:
            handle.value = 0
    Clock(dut.aclk, PERIOD_NS, unit="ns").start()
    await ClockCycles(dut.aclk, 5)
    dut.aresetn.value = 1
    numbers = [int.from_bytes(row.tobytes(), "little") for row in beats]
    bench = _Bench(dut, numbers, marks, settings)
    await bench.run()
    np.savez(folder / "result.npz", **bench.arrays())


class _Bench:
    def __init__(self, dut, numbers, marks, settings):
        self.dut = dut
        self.numbers, self.marks = numbers, marks
        self.packets = sum(mark & 1 for mark in marks)
        self.sides = {pin: getattr(dut, pin, None) for pin in SIDES}
        self.tid = getattr(dut, "m_axis_tid", None)
        self.words = -(-len(dut.m_axis_tdata) // WORD)
        self.stall, self.rng = settings["stall"], random.Random(settings["seed"])
        self.patience, self.most, self.tail = (settings[n] for n in ("patience", "most", "tail"))
        self.cycle = 0
        self.state = State.DONE
        self.sent, self.offered, self.opening = 0, False, True
        self.beats: list[list[int]] = []
        self.first_in: list[int] = []
        self.last_out: list[int] = []
        self.undefined: list[int] = []
        self.busy_now, self.busy = np.zeros(settings["bits"], np.int64), []
        network = getattr(dut, "network", None)
        self.works = getattr(network, "trace_busy", None) if network is not None else None
        self.places = np.arange(settings["bits"])

    async def run(self):
        edge, quiet, left = RisingEdge(self.dut.aclk), 0, self.tail
        self._offer()
        self._press()
        while True:
            await edge
            self.cycle += 1
            moved = self._edge()
            quiet = 0 if moved else quiet + 1
            if quiet > self.patience:
                self.state = State.SILENT
                return
            if len(self.beats) > self.most:
                self.state = State.BABBLING
                return
            if len(self.last_out) >= self.packets:
                left -= 1
                if left < 0:
                    return

    def _edge(self):
        """What happened at an edge; then new inputs. True if a beat moved."""
        dut = self.dut
        self._count()
        pins = {name: getattr(dut, name).value for name in HANDSHAKES}
        if not all(value.is_resolvable for value in pins.values()):
            self.undefined.append(self.cycle)
            return False
        given = pins["m_axis_tvalid"] == 1 and self.ready
        if pins["m_axis_tvalid"] == 1:
            offer = [getattr(dut, name).value for name in OFFERED]
            offer += [] if self.tid is None else [self.tid.value]
            if not all(value.is_resolvable for value in offer):
                self.undefined.append(self.cycle)
            elif given:
                data, last, user, *tid = map(int, offer)
                words = [data >> WORD * i & (1 << WORD) - 1 for i in range(self.words)]
                flags = last | user << 1 | sum(tid) << 2
                self.beats.append([*words, flags])
                if last:
                    self.last_out.append(self.cycle)
                    self.busy.append(self.busy_now.copy())
        taken = self.offered and pins["s_axis_tready"] == 1
        if taken:
            if self.opening:
                self.first_in.append(self.cycle)
            self.opening = self.marks[self.sent] & 1
            self.sent += 1
            self.offered = False
        if not self.offered:
            self._offer()
        self._press()
        return taken or given

    def _offer(self):
        dut = self.dut
        self.offered = self.sent < len(self.numbers) and self.rng.random() >= self.stall
        dut.s_axis_tvalid.value = self.offered
        if self.offered:
            dut.s_axis_tdata.value = self.numbers[self.sent]
            mark = self.marks[self.sent]
            for pin, bits in SIDES.items():
                if self.sides[pin] is not None:
                    self.sides[pin].value = mark & (1 << bits) - 1
                mark >>= bits

    def _press(self):
        self.ready = self.rng.random() >= self.stall
        self.dut.m_axis_tready.value = self.ready

    def _count(self):
        if self.works is None:
            return
        value = self.works.value
        if value.is_resolvable and (number := int(value)):
            for place in self.places:
                self.busy_now[place] += number >> int(place) & 1

    def arrays(self) -> dict[str, Any]:
        return {
            "state": np.array(int(self.state)),
            "beats": np.array(self.beats, np.uint64).astype(np.int64).reshape(-1, self.words + 1),
            "first_in": np.array(self.first_in, np.int64),
            "last_out": np.array(self.last_out, np.int64),
            "undefined": np.array(self.undefined, np.int64),
            "cycles": np.array(self.cycle),
            "busy": np.array(self.busy, np.int64).reshape(-1, len(self.places)),
        }
