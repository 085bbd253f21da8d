# SPDX-License-Identifier: Apache-2.0
"""The AXI4-Lite slave: the registers, and the strobes they send to the engine."""

from functools import reduce
from operator import or_

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import In, Out

from ecoformer.hw.lib.axi_lite import OKAY, SLVERR, AxiLite
from ecoformer.hw.lib.counters import Counters
from ecoformer.hw.lib.pipeline import below
from ecoformer.hw.lib.skid_buffer import SkidBuffer
from ecoformer.hw.parameters.write_port import ParameterWord
from ecoformer.spec.config import Config
from ecoformer.spec.memory_map import MemoryMap
from ecoformer.spec.registers import (
    ADDRESS_WIDTH,
    REGISTERS,
    Access,
    Error,
    Register,
    constants,
    register_map,
    stream_errors,
)

__all__ = ["QueuedRegisterFile", "RegisterFile", "register_file"]


def register_file(config: Config, events: data.StructLayout) -> "RegisterFile":
    """The registers of the engine."""
    return (
        QueuedRegisterFile(config, events) if config.next_set_depth
        else RegisterFile(config, events)
    )


def counted(config: Config) -> list[Register]:
    """Every register from the first counter to the last, in address order: one for each address.

    Those among them that are no counters do not exist, or are not read as such.
    """
    kept = [r for r in register_map(config).values() if r.access is Access.COUNTER]
    first, last = kept[0].offset, kept[-1].offset
    return [r for r in REGISTERS.values() if first <= r.offset <= last]


class RegisterFile(wiring.Component):
    """Registers of an engine.

    Address and data of a write are accepted independently, in either order. The write takes effect
    in the cycle in which both have come and no response is pending, one per cycle. A read is
    accepted when no other is in progress and no answer pending, and answered seven to ten cycles
    later; it sees what took effect up to and including its own cycle. No output depends on an input
    of the same cycle. Protection bits are ignored, as the registers are not secret. Addresses
    without a register answer SLVERR, as do writes that are not possible now. Byte strobes apply to
    STORED and FLAGS registers; STROBE registers need all four bytes.

    Parameters
    ----------
    config : Config

    Members
    -------
    bus : ``In(AxiLite)``
    write, commit, commit_set, soft_reset, next_set : ``Out``
        To the engine; ``next_set`` is 0 where NEXT_SET does not exist.
    shadow_ready, busy, events : ``In``
        From the engine.
    irq : ``Out(1)``
    """

    def __init__(self, config: Config, events: data.StructLayout):
        self.config = config
        super().__init__(
            {
                "bus": In(AxiLite(ADDRESS_WIDTH)),
                "write": Out(ParameterWord()),
                "commit": Out(1),
                "commit_set": Out(32),
                "soft_reset": Out(1),
                "next_set": Out(32),
                "shadow_ready": In(1),
                "busy": In(1),
                "events": In(events),
                "irq": Out(1),
                **self._ports(),
            }
        )

    def _ports(self):
        """Ports beside those of every engine."""
        return {}

    def elaborate(self, platform) -> Module:
        m = Module()
        bus = self.bus
        registers = register_map(self.config)
        self.values = {
            name: Const(value, 32) for name, value in constants(self.config).items()
        }
        for register in registers.values():
            if register.access in (Access.STORED, Access.FLAGS):
                self.values[register.name] = Signal(32, name=register.name.lower())
        refusals = self._queue(m)
        status = REGISTERS["STATUS"]
        self.values["STATUS"] = (self.busy << status["BUSY"].low) | (
            self.shadow_ready << status["SHADOW_FREE"].low
        )

        places = counted(self.config)
        m.submodules.counters = counters = Counters(len(places), 32)
        shape = self.events.shape()
        events = {name: self.events[name] for name in shape.members}
        events |= {error.name: self.events.errors[error] for error in stream_errors(self.config)}
        events |= self.own_errors
        m.d.comb += counters.events.eq(Cat(events.get(r.name, C(0, 1)) for r in places))

        # -- write ---------------------------------------------------------------------------------
        m.submodules.addresses = addresses = SkidBuffer(unsigned(ADDRESS_WIDTH - 2))
        m.submodules.words = words = SkidBuffer(data.StructLayout({"data": 32, "strobes": 4}))
        write = Signal()
        m.d.comb += [
            addresses.i.payload.eq(bus.awaddr[2:]),
            addresses.i.valid.eq(bus.awvalid),
            bus.awready.eq(addresses.i.ready),
            words.i.payload.data.eq(bus.wdata),
            words.i.payload.strobes.eq(bus.wstrb),
            words.i.valid.eq(bus.wvalid),
            bus.wready.eq(words.i.ready),
            write.eq(addresses.o.valid & words.o.valid & (~bus.bvalid | bus.bready)),
            addresses.o.ready.eq(write),
            words.o.ready.eq(write),
        ]
        word, strobes = words.o.payload.data, words.o.payload.strobes
        mask = Cat(strobe.replicate(8) for strobe in strobes)
        ok = Signal()
        whole = strobes.all()
        conditions = {
            "CONTROL": whole,
            "PARAM_DATA": self.shadow_ready & whole,
            "COMMIT": self.shadow_ready & whole & below(word, self.config.parameter_sets),
            **{name: whole & accepts for name, accepts in refusals.items()},
        }
        offered = {
            register.name: write & (addresses.o.payload == register.offset >> 2)
            for register in registers.values()
            if register.access.writable
        }
        accepted = {name: offer & conditions.get(name, 1) for name, offer in offered.items()}
        m.d.comb += ok.eq(Cat(accepted.values()).any())
        with m.If(bus.bready):
            m.d.sync += bus.bvalid.eq(0)
        with m.If(write):
            m.d.sync += [bus.bvalid.eq(1), bus.bresp.eq(Mux(ok, OKAY, SLVERR))]

        address, errors = self.values["PARAM_ADDRESS"], self.values["ERRORS"]
        enable = self.values["IRQ_ENABLE"]
        load = Signal()
        soft_reset = REGISTERS["CONTROL"]["SOFT_RESET"]
        m.d.comb += [
            load.eq(accepted["PARAM_DATA"]),
            self.write.enable.eq(load),
            self.write.data.eq(word),
            self.write.word.eq(address[: MemoryMap.ROW_SHIFT]),
            self.write.row.eq(address[MemoryMap.ROW_SHIFT : MemoryMap.REGION_SHIFT]),
            self.write.region.eq(address[MemoryMap.REGION_SHIFT :]),
            self.commit.eq(accepted["COMMIT"]),
            self.commit_set.eq(word),
            self.soft_reset.eq(accepted["CONTROL"] & word[soft_reset.low]),
            *self._select(offered, accepted, word),
            self.irq.eq((errors & enable).any()),
        ]
        for register in registers.values():
            if register.access is Access.STORED:
                stored = self.values[register.name]
                written = (stored & ~mask) | (word & mask)
                with m.If(accepted[register.name]):
                    m.d.sync += stored.eq(written & register.mask)
        with m.If(load):
            m.d.sync += address[: MemoryMap.ROW_SHIFT].eq(address[: MemoryMap.ROW_SHIFT] + 1)
        clear = Mux(accepted["ERRORS"], word & mask, 0)
        own = (flag << int(Error[name]) for name, flag in self.own_errors.items())
        raised = reduce(or_, own, self.events.errors)
        m.d.sync += errors.eq((errors & ~clear) | raised)

        # -- read ----------------------------------------------------------------------------------
        reading = Signal()
        read_address = Signal(ADDRESS_WIDTH - 2)
        m.d.comb += [
            bus.arready.eq(~reading & ~bus.rvalid),
            # Every read waits for a turn of the counters, whatever its address.
            counters.read.eq(reading),
            counters.index.eq(read_address - (places[0].offset >> 2)),
        ]
        with m.If(bus.arvalid & bus.arready):
            m.d.sync += [reading.eq(1), read_address.eq(bus.araddr[2:])]
        with m.If(bus.rready):
            m.d.sync += bus.rvalid.eq(0)
        # Registers other than counters are selected while that turn runs.
        readable = [register for register in registers.values() if register.access.readable]
        hits = {register.name: read_address == register.offset >> 2 for register in readable}
        value = Signal(len(bus.rdata))
        is_counter = Signal()
        response = Signal.like(bus.rresp)
        values = (
            Value.cast(value) & hits[name].replicate(len(Value.cast(value)))
            for name, value in self.values.items()
            if name in hits
        )
        m.d.sync += [
            value.eq(reduce(or_, values)),
            is_counter.eq(Cat(hit for name, hit in hits.items() if name not in self.values).any()),
            response.eq(Mux(Cat(hits.values()).any(), OKAY, SLVERR)),
        ]
        with m.If(counters.done):
            m.d.sync += [
                reading.eq(0),
                bus.rvalid.eq(1),
                bus.rresp.eq(response),
                bus.rdata.eq(Mux(is_counter, counters.value, value)),
            ]
        return m

    def _queue(self, m):
        """A queue behind a register: name → whether a write of it can be accepted now."""
        return {}

    own_errors: dict[str, Value] = {}
    """Errors that arise here: name → strobe."""

    def _select(self, offered, accepted, word):
        """Statements: the set of the next packet."""
        return [self.next_set.eq(self.values.get("NEXT_SET", 0))]


class QueuedRegisterFile(RegisterFile):
    """`RegisterFile` with a queue behind NEXT_SET.

    An accepted write adds a set, which is offered two cycles later. A write of the whole word is
    refused if and only if as many sets wait as there may be. Whatever is refused is counted.

    Members
    -------
    selected : ``Out(1)``
        ``next_set`` is the oldest of the sets that wait; a register.
    begin : ``In(1)``
        Strobe: a packet takes it.
    """

    def _ports(self):
        return {"selected": Out(1), "begin": In(1)}

    def _queue(self, m):
        depth = self.config.next_set_depth
        # One more entry than may wait, or the memory would be full while the output is still empty.
        self.sets = SyncFIFOBuffered(width=len(self.next_set), depth=depth + 1)
        self.clear = Signal()
        self.own_errors = {Error.SET_REFUSED.name: Signal(name="set_refused")}
        m.submodules.sets = ResetInserter(self.clear)(self.sets)
        self.values["NEXT_SET_LEVEL"] = self.sets.level
        return {"NEXT_SET": self.sets.level != depth}

    def _select(self, offered, accepted, word):
        clear = REGISTERS["CONTROL"]["CLEAR_SETS"]
        return [
            self.sets.w_data.eq(word),
            self.sets.w_en.eq(accepted["NEXT_SET"]),
            self.sets.r_en.eq(self.begin),
            self.selected.eq(self.sets.r_rdy),
            self.next_set.eq(self.sets.r_data),
            self.clear.eq(accepted["CONTROL"] & word[clear.low]),
            self.own_errors["SET_REFUSED"].eq(offered["NEXT_SET"] & ~accepted["NEXT_SET"]),
        ]
