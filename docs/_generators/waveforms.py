# SPDX-License-Identifier: Apache-2.0
"""Waveforms of a real simulation: a small engine runs in Amaranth's simulator, pins are drawn."""

from __future__ import annotations

import numpy as np
from amaranth.sim import Simulator
from svg import Drawing

from ecoformer.hw.engine.top import Top
from ecoformer.sim.stimulus import random_image
from ecoformer.spec.config import Config
from ecoformer.spec.programming import POLL, register_writes
from ecoformer.spec.registers import REGISTERS
from ecoformer.spec.wire import pack_sequence

__all__ = ["CONFIG", "WAVEFORMS", "Recording"]

CONFIG = Config(
    head_dim=4, value_dim=4, code_bits=4, anchors=2, max_tokens=8, cycles_per_token=4,
    parameter_sets=2, bus_bytes=4, tuser_width=1, output_width=8, output_fraction=4,
)
"""Small enough to see every cycle: two beats in and one out for a token every four cycles."""

ROW, LEFT = 26, 150
"""Pixels of a signal and of the names."""
PINS = (
    "s_axis_tvalid", "s_axis_tready", "s_axis_tdata", "s_axis_tlast", "s_axis_tuser",
    "m_axis_tvalid", "m_axis_tdata", "m_axis_tlast", "m_axis_tuser", "irq",
    "s_axil_awaddr", "s_axil_awvalid", "s_axil_wdata", "s_axil_wvalid", "s_axil_bvalid",
    "s_axil_araddr", "s_axil_arvalid", "s_axil_arready", "s_axil_rdata", "s_axil_rvalid",
)
VALID = {
    **{f"{side}_axis_{pin}": f"{side}_axis_tvalid" for side in "sm" for pin in ("tdata", "tuser")},
    "s_axil_awaddr": "s_axil_awvalid", "s_axil_wdata": "s_axil_wvalid",
    "s_axil_araddr": "s_axil_arvalid", "s_axil_rdata": "s_axil_rvalid",
}
"""The pin that says when another one means something."""
KINDS = ("", "b", "c")
"""Colours of packets, in turn."""


class Recording:
    """What the pins and units of an engine did, cycle by cycle, after its parameters were loaded.

    Parameters
    ----------
    play : callable
        ``await play(recording)`` is what is recorded.
    """

    def __init__(self, play):
        self.top = Top(CONFIG)
        self.rng = np.random.default_rng(1)
        self.image = random_image(CONFIG, self.rng, sets=2)
        self.rows: dict[str, list[int]] | None = None
        self.packets = 0

        async def testbench(ctx):
            self.ctx = ctx
            ctx.set(self.top.aresetn, 0)
            await self.tick(3)
            ctx.set(self.top.aresetn, 1)
            ctx.set(self.top.m_axis_tready, 1)
            ctx.set(self.top.s_axil_bready, 1)
            ctx.set(self.top.s_axil_rready, 1)
            ctx.set(self.top.s_axil_wstrb, 15)
            for word in register_writes(CONFIG, self.image):
                if word & POLL:
                    await self.tick(8)  # longer than the shadow takes with nothing in flight
                await self.write(word >> 32 & 0xFF, word & 0xFFFFFFFF)
            await self.tick(8)
            self.rows = {}
            await play(self)
            await self.tick(3)

        simulator = Simulator(self.top)
        simulator.add_testbench(testbench)
        simulator.run()

    async def tick(self, cycles=1):
        for _ in range(cycles):
            self._sample()
            for level in (1, 0):
                self.ctx.set(self.top.aclk, level)
                await self.ctx.delay(5e-9)

    def _sample(self):
        if self.rows is None:
            return
        values = {name: self.ctx.get(getattr(self.top, name)) for name in PINS}
        path = self.top.engine.datapath
        for probe in (path.hashing.busy, path.core.busy, path.normaliser.busy):
            values |= {name: self.ctx.get(probe[name]) for name in probe.shape().members}
        values["beats in"] = values["s_axis_tvalid"] & values["s_axis_tready"]
        values["beats out"] = values["m_axis_tvalid"]
        for name, value in values.items():
            self.rows.setdefault(name, []).append(int(value))

    async def write(self, address, data):
        top, set_ = self.top, self.ctx.set
        set_(top.s_axil_awaddr, address)
        set_(top.s_axil_wdata, data)
        set_(top.s_axil_awvalid, 1)
        set_(top.s_axil_wvalid, 1)
        while not self.ctx.get(top.s_axil_awready):
            await self.tick()
        await self.tick()
        set_(top.s_axil_awvalid, 0)
        set_(top.s_axil_wvalid, 0)

    async def read(self, address):
        top, ctx = self.top, self.ctx
        ctx.set(top.s_axil_araddr, address)
        ctx.set(top.s_axil_arvalid, 1)
        while not ctx.get(top.s_axil_arready):
            await self.tick()
        await self.tick()
        ctx.set(top.s_axil_arvalid, 0)
        while not ctx.get(top.s_axil_rvalid):
            await self.tick()

    async def stream(self, packets, gap=-1):
        """Send packets (set, tokens, beats to leave off the end); wait for every answer.

        Before beat ``gap`` two cycles pass.
        """
        top, ctx = self.top, self.ctx
        beats = [beat for packet in packets for beat in self._beats(*packet)]
        self.packets = len(packets)
        sent = answered = 0
        while answered < len(packets):
            offered = sent < len(beats)
            if sent == gap:
                ctx.set(top.s_axis_tvalid, 0)
                await self.tick(2)
                gap = -1
            data, last, user = beats[sent] if offered else (0, 0, 0)
            ctx.set(top.s_axis_tvalid, offered)
            ctx.set(top.s_axis_tdata, data)
            ctx.set(top.s_axis_tlast, last)
            ctx.set(top.s_axis_tuser, user)
            sent += offered and ctx.get(top.s_axis_tready)
            answered += ctx.get(top.m_axis_tvalid & top.m_axis_tlast)
            await self.tick()

    def _beats(self, index, count, cut):
        tokens, values = self.rng.integers(-128, 128, (2, count, 4))
        beats = pack_sequence(CONFIG, tokens, values)
        beats = beats[: len(beats) - cut]
        for i, beat in enumerate(beats):
            yield (int.from_bytes(bytes(beat), "little"), i == len(beats) - 1, index * (i == 0))

    def draw(
        self, title: str, names: dict[str, str], *, cell: int, begin: int = 0,
        end: int | None = None,
    ) -> Drawing:
        """Draw signals from cycle ``begin`` to ``end``.

        ``names`` maps a signal to how it is drawn: ``level``, ``bus`` or ``packets``, where the
        cycles in which it is 1 are shared out equally among the packets.
        """
        length = len(self.rows["irq"])
        end = length if end is None else min(end, length)
        cycles, grid = end - begin, 4 if cell > 8 else 16
        drawing = Drawing(LEFT + cycles * cell + 12, len(names) * ROW + 34, title)
        bottom = len(names) * ROW + 12
        for cycle in range(0, cycles + 1, grid):
            x = LEFT + cycle * cell
            drawing.shape("line", "grid", x1=x, x2=x, y1=6, y2=bottom)
            drawing.text(x, bottom + 14, str(cycle), "small muted")
        for row, (name, kind) in enumerate(names.items()):
            y = 10 + row * ROW
            drawing.text(LEFT - 8, y + 13, name.replace("_", " ") if kind == "packets" else name,
                         "mono", "end")
            values = self.rows[name][begin:end]
            if kind == "packets":
                self._packets(drawing, values, y, cell)
            elif kind == "bus":
                valid = self.rows[VALID[name]][begin:end]
                self._bus(drawing, values, valid, y, cell, len(getattr(self.top, name)))
            else:
                self._level(drawing, values, y, cell)
        return drawing

    @staticmethod
    def _runs(values):
        start = 0
        for i in range(1, len(values) + 1):
            if i == len(values) or values[i] != values[start]:
                yield start, i, values[start]
                start = i

    def _packets(self, drawing, values, y, cell):
        share, seen, owners = sum(values) / self.packets, 0, []
        for value in values:
            owners.append(int(seen / share) if value else None)
            seen += value
        for start, stop, owner in self._runs(owners):
            if owner is not None:
                drawing.shape("rect", f"bar {KINDS[owner % len(KINDS)]}", x=LEFT + start * cell,
                              y=y + 3, width=(stop - start) * cell, height=13)

    def _bus(self, drawing, values, valid, y, cell, bits):
        pairs = [value if ok else None for value, ok in zip(values, valid, strict=True)]
        for start, stop, value in self._runs(pairs):
            x, width = LEFT + start * cell, (stop - start) * cell
            if value is None:
                drawing.shape("line", "grid", x1=x, x2=x + width, y1=y + 9, y2=y + 9)
                continue
            drawing.shape("rect", "bus", x=x, y=y, width=width, height=18, rx=3)
            text = f"{value:0{-(-bits // 4)}x}"
            if len(text) * 7 < width:
                drawing.text(x + width / 2, y + 13, text, "mono")

    def _level(self, drawing, values, y, cell):
        points = []
        for i, value in enumerate(values):
            level = y + (2 if value else 16)
            points += [f"{LEFT + i * cell},{level}", f"{LEFT + (i + 1) * cell},{level}"]
        drawing.shape("polyline", "wave", points=" ".join(points))


def _packet():
    names = {f"s_axis_{name}": kind for name, kind in (
        ("tvalid", "level"), ("tready", "level"), ("tdata", "bus"), ("tuser", "bus"),
        ("tlast", "level"))}
    run = Recording(lambda run: run.stream([(1, 3, 0)], gap=3))
    return run.draw("An input packet of three tokens", names, cell=66, end=10)


def _pipeline():
    names = ("beats in", "dot_products", "projection_products", "accumulate_lanes", "query_lanes",
             "quotient_digits", "beats out")
    run = Recording(lambda run: run.stream([(0, 4, 0)] * 6))
    return run.draw("Six packets of four tokens in the pipeline", dict.fromkeys(names, "packets"),
                    cell=4)


def _error():
    async def play(run):
        await run.write(REGISTERS["IRQ_ENABLE"].offset, 0b11111)
        await run.stream([(0, 2, 1), (1, 2, 0)])

    names = {"s_axis_tvalid": "level", "s_axis_tlast": "level", "irq": "level",
             "m_axis_tvalid": "level", "m_axis_tuser": "bus", "m_axis_tlast": "level"}
    return Recording(play).draw("A packet cut short, and a good one after it", names, cell=8)


def _registers():
    async def play(run):
        address, data = list(register_writes(CONFIG, run.image))[:2]
        for word in (address, data):
            await run.write(word >> 32 & 0xFF, word & 0xFFFFFFFF)
        await run.read(REGISTERS["PARAM_ADDRESS"].offset)

    names = {f"s_axil_{name}": kind for name, kind in (
        ("awaddr", "bus"), ("wdata", "bus"), ("bvalid", "level"), ("araddr", "bus"),
        ("arready", "level"), ("rvalid", "level"), ("rdata", "bus"))}
    return Recording(play).draw("Two register writes and a read", names, cell=60)


WAVEFORMS = {"packet": _packet, "pipeline": _pipeline, "error": _error, "registers": _registers}
