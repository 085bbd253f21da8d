# SPDX-License-Identifier: Apache-2.0
"""LiteX: an engine as a peripheral of a SoC, with its registers, interrupt and DMAs."""

from typing import Any

from ecoformer.hw.emit.packages.pins import CLOCK, REGISTERS, RESET, Pin, buses
from ecoformer.spec.config import Config

__all__ = ["peripheral"]


def peripheral(config: Config, description: dict[str, Any]) -> str:
    """Text of ``templates/<name>_litex.py``.

    Parameters
    ----------
    config : Config
    description : dict
        The manifest.
    """
    streams = {bus: found for bus, found in buses(description).items() if bus != REGISTERS}
    given = [bus for bus in streams if bus.startswith("s_")]
    return TEXT.format(
        name=description["name"], fingerprint=description["fingerprint"][:16], clock=CLOCK,
        reset=RESET, beat_bytes=config.bus_bytes,
        inputs=", ".join(f'"{bus}"' for bus in given) + "," * (len(given) == 1),
        endpoints="\n".join(
            f"        self.{bus} = stream.Endpoint([{_layout(found)}])"
            for bus, found in streams.items()
        ),
        connections="\n".join(
            _connection(bus, pin) for bus, found in buses(description).items() for pin in found
        ),
    )


def _layout(found: list[Pin]) -> str:
    fields = {pin.signal[1:]: pin.width for pin in found}
    beside = ("valid", "ready", "last")
    return ", ".join(f'("{name}", {bits})' for name, bits in fields.items() if name not in beside)


def _connection(bus, pin):
    field = pin.signal[1:]
    if bus == REGISTERS:
        # aw, w, b, ar, r: each channel is an endpoint.
        channel = pin.signal[: 1 + pin.signal.startswith("a")]
        field = pin.signal[len(channel) :]
        field += f"[:{pin.width}]" * (field == "addr")  # LiteX gives the whole address
        return f"            {pin.direction[0]}_{pin.name}=self.bus.{channel}.{field},"
    return f"            {pin.direction[0]}_{pin.name}=self.{bus}.{field},"


TEXT = '''\
# SPDX-License-Identifier: Apache-2.0
"""{name} as a peripheral of LiteX (2024.12).

Configuration {fingerprint}. In your SoC, after its CPU and memories:

    from {name}_litex import add_engine
    add_engine(self, "attention")

The registers lie in the region "attention", whose address is the base of the functions in
include/{name}.h. A DMA for each stream moves packets from and to memory.
"""

from pathlib import Path

from litex.gen import LiteXModule
from litex.soc.cores.dma import WishboneDMAReader, WishboneDMAWriter
from litex.soc.integration.soc import SoCRegion
from litex.soc.interconnect import axi, stream, wishbone
from litex.soc.interconnect.csr import CSRStatus, CSRStorage
from litex.soc.interconnect.csr_eventmanager import EventManager, EventSourceLevel
from migen import ClockSignal, If, Instance, ResetSignal

__all__ = ["Engine", "EngineDMA", "add_engine"]

VERILOG = Path(__file__).parents[1] / "rtl" / "{name}.v"
BEAT_BYTES = {beat_bytes}
INPUTS = ({inputs})


class Engine(LiteXModule):
    """The engine in the domain ``sys``.

    ``bus`` is AXI4-Lite. Streams are endpoints named like its buses; ``last`` ends a packet.
    """

    def __init__(self):
        self.bus = axi.AXILiteInterface(data_width=32, address_width=32)
{endpoints}
        self.ev = EventManager()
        self.ev.error = EventSourceLevel(description="An enabled error flag is set.")
        self.ev.finalize()
        self.specials += Instance(
            "{name}",
            i_{clock}=ClockSignal("sys"),
            i_{reset}=~ResetSignal("sys"),
            o_irq=self.ev.error.trigger,
{connections}
        )


class EngineDMA(LiteXModule):
    """Packets between the memory of a SoC and the streams of an engine.

    The reader of each input and the writer of the answers are LiteX's: set base and length in
    bytes, then enable. A reader ends a packet with its last word. The writer is done after an
    answer's last word, and ``offset`` says how many words it has; answers wait while it is not
    enabled. All bytes are data: tokens lie in memory as on the stream, padded to whole beats, and a
    length is a multiple of ``BEAT_BYTES``.

    Parameters
    ----------
    engine : Engine
    bus : SoCBusHandler
        That of the SoC.

    Members
    -------
    masters : dict of str to wishbone.Interface
    """

    def __init__(self, engine, bus):
        if BEAT_BYTES % 4:
            raise ValueError(
                f"a DMA moves words of 4 bytes, not beats of {{BEAT_BYTES}}; build the engine with "
                "bus_bytes a multiple of 4, or connect its streams to logic of your own"
            )
        self.masters = {{}}
        for name in INPUTS:
            self._read(name, getattr(engine, name), self._master(f"{{name}}_reader", bus))
        self._write("m_axis", engine.m_axis, self._master("m_axis_writer", bus))

    def _master(self, name, bus):
        self.masters[name] = wishbone.Interface(
            data_width=bus.data_width, adr_width=bus.get_address_width(standard="wishbone"),
            addressing="word",
        )
        return self.masters[name]

    def _read(self, name, sink, master):
        reader = WishboneDMAReader(master, endianness="big", with_csr=True)  # no byte is swapped
        converter = stream.Converter(master.data_width, 8 * BEAT_BYTES)
        self.add_module(f"{{name}}_reader", reader)
        self.add_module(f"{{name}}_converter", converter)
        self.comb += [
            reader.source.connect(converter.sink),
            converter.source.connect(sink, keep={{"valid", "ready", "last", "data"}}),
        ]
        for field in ("user", "id"):
            if hasattr(sink, field):
                signal = getattr(sink, field)
                chosen = CSRStorage(len(signal), name=f"{{name}}_{{field}}")
                setattr(self, f"_{{name}}_{{field}}", chosen)
                self.comb += signal.eq(chosen.storage)
        if hasattr(sink, "keep"):
            self.comb += sink.keep.eq(2**len(sink.keep) - 1)

    def _write(self, name, source, master):
        writer = WishboneDMAWriter(master, endianness="big")
        writer.add_ctrl(ready_on_idle=0)  # nothing is dropped
        writer.add_csr()
        converter = stream.Converter(8 * BEAT_BYTES, master.data_width)
        self.add_module(f"{{name}}_writer", writer)
        self.add_module(f"{{name}}_converter", converter)
        self.comb += [
            source.connect(converter.sink, keep={{"valid", "ready", "last", "data"}}),
            converter.source.connect(writer.sink),
        ]
        self._user = CSRStatus(len(source.user), description="m_axis_tuser of the last beat taken.")
        self.sync += If(source.valid & source.ready, self._user.status.eq(source.user))


def add_engine(soc, name="attention", dma=True, origin=None):
    """Add the engine to ``soc``: registers, interrupt if it has any, DMAs, and the Verilog.

    Parameters
    ----------
    soc : SoC
    name : str
        Of the region, the modules and the interrupt.
    dma : bool
        If not, connect the streams of the engine, ``soc.<name>``, yourself.
    origin : int
        Address of the registers; chosen by LiteX if it is None.

    Returns
    -------
    Engine
    """
    engine = Engine()
    soc.add_module(name, engine)
    soc.platform.add_source(str(VERILOG))
    soc.bus.add_slave(name, engine.bus, SoCRegion(origin=origin, size=0x100, cached=False))
    if soc.irq.enabled:
        soc.irq.add(name, use_loc_if_exists=True)
    if dma:
        movers = EngineDMA(engine, soc.bus)
        soc.add_module(f"{{name}}_dma", movers)
        for master, bus in movers.masters.items():
            soc.bus.add_master(f"{{name}}_{{master}}", bus)
    return engine
'''
