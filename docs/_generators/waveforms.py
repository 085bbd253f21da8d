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
KINDS = ("", "b", "c")
"""Colours of packets, in turn."""


class Recording:
    """What the pins and a few units of an engine did, cycle by cycle.

    Parameters
    ----------
    packets : list of (int, int, int)
        Parameter set, tokens, and beats to leave off the end, of each packet.
    gap : int
        Beat before which two cycles pass.
    interrupts : bool
        Enable every interrupt first.
    """

    def __init__(self, packets, *, gap: int = -1, interrupts: bool = False):
        self.top = Top(CONFIG)
        self.rows: dict[str, list[int]] = {}
        rng = np.random.default_rng(1)
        self.image = random_image(CONFIG, rng, sets=2)
        self.beats = []
        for index, count, cut in packets:
            tokens, values = rng.integers(-128, 128, (2, count, 4))
            beats = pack_sequence(CONFIG, tokens, values)
            beats = beats[: len(beats) - cut]
            for i, beat in enumerate(beats):
                self.beats.append((int.from_bytes(bytes(beat), "little"), i == len(beats) - 1,
                                   index if i == 0 else 0))
        self.gap, self.interrupts = gap, interrupts
        self.answers = len(packets)
        simulator = Simulator(self.top)
        simulator.add_testbench(self._drive)
        simulator.run()

    async def _drive(self, ctx):
        top = self.top
        ctx.set(top.aresetn, 0)
        await self._tick(ctx, 3)
        ctx.set(top.aresetn, 1)
        ctx.set(top.s_axil_bready, 1)
        ctx.set(top.s_axil_wstrb, 15)
        for word in register_writes(CONFIG, self.image):
            if word & POLL:
                await self._tick(ctx, 8)  # longer than the shadow takes when nothing is in flight
            await self._write(ctx, word >> 32 & 0xFF, word & 0xFFFFFFFF)
        if self.interrupts:
            await self._write(ctx, REGISTERS["IRQ_ENABLE"].offset, 31)
        await self._tick(ctx, 8)
        ctx.set(top.m_axis_tready, 1)
        sent = answered = pause = 0
        tail = 4
        while tail:
            pause += sent == self.gap
            offered = sent < len(self.beats) and not (sent == self.gap and pause < 3)
            data, last, user = self.beats[min(sent, len(self.beats) - 1)]
            ctx.set(top.s_axis_tvalid, offered)
            ctx.set(top.s_axis_tdata, data * offered)
            ctx.set(top.s_axis_tlast, last and offered)
            ctx.set(top.s_axis_tuser, user * offered)
            self._sample(ctx)
            taken = offered and ctx.get(top.s_axis_tready)
            answered += ctx.get(top.m_axis_tvalid & top.m_axis_tlast)
            await self._tick(ctx)
            sent += bool(taken)
            tail -= answered >= self.answers

    async def _write(self, ctx, address, data):
        top = self.top
        ctx.set(top.s_axil_awaddr, address)
        ctx.set(top.s_axil_wdata, data)
        ctx.set(top.s_axil_awvalid, 1)
        ctx.set(top.s_axil_wvalid, 1)
        while not ctx.get(top.s_axil_awready):
            await self._tick(ctx)
        await self._tick(ctx)
        ctx.set(top.s_axil_awvalid, 0)
        ctx.set(top.s_axil_wvalid, 0)

    async def _tick(self, ctx, cycles=1):
        for _ in range(cycles):
            for level in (1, 0):
                ctx.set(self.top.aclk, level)
                await ctx.delay(5e-9)

    def _sample(self, ctx):
        top, path = self.top, self.top.engine.datapath
        pins = ("s_axis_tvalid", "s_axis_tready", "s_axis_tdata", "s_axis_tlast", "s_axis_tuser",
                "m_axis_tvalid", "m_axis_tdata", "m_axis_tlast", "m_axis_tuser", "irq")
        values = {name: ctx.get(getattr(top, name)) for name in pins}
        busy = (path.hashing.busy, path.core.busy, path.normaliser.busy)
        for probe in busy:
            values |= {name: ctx.get(probe[name]) for name in probe.shape().members}
        values["beats in"] = values["s_axis_tvalid"] & values["s_axis_tready"]
        values["beats out"] = values["m_axis_tvalid"]
        for name, value in values.items():
            self.rows.setdefault(name, []).append(int(value))

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
                valid = self.rows[f"{name[:6]}_tvalid"][begin:end]
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
        share, seen, owners = sum(values) / self.answers, 0, []
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
    run = Recording([(1, 3, 0)], gap=3)
    return run.draw("An input packet of three tokens", names, cell=66, end=10)


def _pipeline():
    names = ("beats in", "dot_products", "projection_products", "accumulate_lanes", "query_lanes",
             "quotient_digits", "beats out")
    run = Recording([(0, 4, 0)] * 6)
    return run.draw("Six packets of four tokens in the pipeline", dict.fromkeys(names, "packets"),
                    cell=4)


def _error():
    names = {"s_axis_tvalid": "level", "s_axis_tlast": "level", "irq": "level",
             "m_axis_tvalid": "level", "m_axis_tuser": "bus", "m_axis_tlast": "level"}
    run = Recording([(0, 2, 1), (1, 2, 0)], interrupts=True)
    return run.draw("A packet cut short, and a good one after it", names, cell=8)


WAVEFORMS = {"packet": _packet, "pipeline": _pipeline, "error": _error}
