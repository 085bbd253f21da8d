# amaranth: UnusedElaboratable=no
# SPDX-License-Identifier: Apache-2.0
"""The pin-level top: flat AXI pins that vendor tools infer."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect

from ecoformer.hw.engine.cross import make_engine
from ecoformer.hw.engine.register_file import register_file
from ecoformer.hw.lib.axi_lite import AxiLite
from ecoformer.hw.lib.pipeline import delay
from ecoformer.spec.config import Config
from ecoformer.spec.registers import ADDRESS_WIDTH

__all__ = ["Top"]

STREAM, REGISTERS = "xilinx.com:interface:axis:1.0", "xilinx.com:interface:aximm:1.0"
SIGNALS = {
    "aclk": ("xilinx.com:signal:clock:1.0 aclk CLK",
             "ASSOCIATED_BUSIF {inputs}:m_axis:s_axil, ASSOCIATED_RESET aresetn"),
    "aresetn": ("xilinx.com:signal:reset:1.0 aresetn RST", "POLARITY ACTIVE_LOW"),
    "irq": ("xilinx.com:signal:interrupt:1.0 irq INTERRUPT", "SENSITIVITY LEVEL_HIGH"),
}
"""Pin to what Vivado's block design is told: the interface and its parameters."""
GATED = ("awready", "wready", "bvalid", "arready", "rvalid")
"""Pins of the registers that are low in reset."""


class Top(wiring.Component):
    """Engine and registers behind AXI4-Stream and AXI4-Lite pins.

    One clock ``aclk``; ``aresetn`` is synchronous and active low. An output depends on no input of
    the same cycle but ``aresetn``, which holds every ``valid`` and ``ready`` low.

    Parameters
    ----------
    config : Config

    Members
    -------
    aclk, aresetn : ``In(1)``
    irq : ``Out(1)``
    s_axis_* : tokens in, m_axis_* : results out, s_axil_* : registers.
        Where queries come by themselves, they come in on s_axis_q_*.
        ``m_axis_tuser`` is the packet's set with the error bit above it, or below with
        ``error_low``. With ``tuser_width`` 0 there is no ``s_axis_tuser`` and only the error bit.
        Where packets begin contexts, the bit that says so is above the set; ``tid`` is the context.
    """

    def __init__(self, config: Config):
        self.config = config
        self.engine = make_engine(config)
        data_bits = 8 * config.bus_bytes
        pins = {
            "aclk": In(1),
            "aresetn": In(1),
            "irq": Out(1),
            **{
                f"{inlet.bus}_{name}": member
                for inlet in config.wire.inlets
                for name, member in {
                    "tdata": In(data_bits),
                    "tvalid": In(1),
                    "tready": Out(1),
                    "tlast": In(1),
                    "tuser": In(config.wire.s_tuser_width),
                    "tid": In(config.wire.tid_width),
                    **{f"t{name}": In(bits) for name, bits in config.wire.keep_fields.items()},
                }.items()
            },
            "m_axis_tdata": Out(data_bits),
            "m_axis_tvalid": Out(1),
            "m_axis_tready": In(1),
            "m_axis_tlast": Out(1),
            "m_axis_tuser": Out(config.wire.m_tuser_width),
            "m_axis_tid": Out(config.wire.tid_width),
            **{f"m_axis_t{name}": Out(bits) for name, bits in config.wire.keep_fields.items()},
        }
        for name, member in AxiLite(ADDRESS_WIDTH).flip().members.items():
            pins[f"s_axil_{name}"] = member
        # Verilog has no zero-width pins.
        super().__init__({name: pin for name, pin in pins.items() if pin.shape != 0})
        for name in self.signature.members:
            getattr(self, name).attrs.update(_interface(name, config.wire.inlets))

    def elaborate(self, platform) -> Module:
        m = Module()
        engine = self.engine
        m.submodules.engine = engine
        m.submodules.registers = registers = register_file(self.config, engine.events.shape())
        m.domains.sync = sync = ClockDomain()
        m.d.comb += [sync.clk.eq(self.aclk), sync.rst.eq(~self.aresetn)]

        connect(m, registers.write, engine.write)
        m.d.comb += [
            engine.commit.eq(registers.commit),
            engine.commit_set.eq(registers.commit_set),
            engine.soft_reset.eq(registers.soft_reset),
            engine.next_set.eq(registers.next_set),
            registers.shadow_ready.eq(engine.shadow_ready),
            registers.busy.eq(engine.busy),
            # Registered: the event strobes end one long path and start another.
            registers.events.as_value().eq(
                delay(m, engine.events.as_value(), 1, name="events", reset=True)
            ),
            self.irq.eq(registers.irq),
        ]
        asked = Value.cast(getattr(self, "s_axis_tuser", registers.next_set))
        beside = {
            "begin": asked[self.config.wire.set_bits :], "context": getattr(self, "s_axis_tid", 0)
        }
        # No beat is accepted or offered in reset (AMBA AXI4-Stream, section 2.8.2).
        for inlet, port in zip(self.config.wire.inlets, engine.ports, strict=True):
            i = getattr(engine, port)
            m.d.comb += [
                i.payload.data.eq(getattr(self, f"{inlet.bus}_tdata")),
                i.payload.user.eq(getattr(self, f"{inlet.bus}_tuser", 0)),
                *(i.payload[name].eq(beside[name]) for name in self.config.flow.beat_fields),
                i.payload.last.eq(getattr(self, f"{inlet.bus}_tlast")),
                i.valid.eq(getattr(self, f"{inlet.bus}_tvalid")),
                getattr(self, f"{inlet.bus}_tready").eq(i.ready & self.aresetn),
            ]
        m.d.comb += [
            self.m_axis_tdata.eq(engine.o.payload.data),
            self.m_axis_tlast.eq(engine.o.payload.last),
            self.m_axis_tuser.eq(
                Cat(engine.o.payload[name] for name in self.config.wire.m_tuser_fields)
            ),
            self.m_axis_tvalid.eq(engine.o.valid & self.aresetn),
            engine.o.ready.eq(self.m_axis_tready),
        ]
        if "m_axis_tid" in self.signature.members:
            m.d.comb += self.m_axis_tid.eq(engine.o.payload.context)
        for name in self.config.wire.set_ports:
            m.d.comb += [
                getattr(engine, name).eq(getattr(registers, name)),
                registers.begin.eq(engine.begin),
            ]
        for name in self.config.wire.keep_fields:
            m.d.comb += [
                engine.i.payload[name].eq(getattr(self, f"s_axis_t{name}")),
                getattr(self, f"m_axis_t{name}").eq(engine.o.payload[name]),
            ]
        for name, member in AxiLite(ADDRESS_WIDTH).members.items():
            pin, port = getattr(self, f"s_axil_{name}"), getattr(registers.bus, name)
            if member.flow is Out:
                m.d.comb += port.eq(pin)
            elif name in GATED:
                m.d.comb += pin.eq(port & self.aresetn)
            else:
                m.d.comb += pin.eq(port)
        return m


def _interface(name, inlets):
    """Attributes of pin ``name``, so that tools of AMD need not guess its interface."""
    if name in SIGNALS:
        info, parameter = SIGNALS[name]
        buses = ":".join(inlet.bus for inlet in inlets)
        parameter = parameter.format(inputs=buses)
        return {"X_INTERFACE_INFO": info, "X_INTERFACE_PARAMETER": parameter}
    bus, _, member = name.rpartition("_")
    kind = REGISTERS if bus == "s_axil" else STREAM
    return {"X_INTERFACE_INFO": f"{kind} {bus} {member.upper()}"}
