# SPDX-License-Identifier: Apache-2.0
"""What is claimed of many components: stream handshakes, buffers and credit."""

from typing import NamedTuple

from amaranth.hdl import Signal, Value

__all__ = ["Port", "buffers_never_overflow", "count", "obeys", "offers", "taken"]


class Port(NamedTuple):
    """Pins as a stream port."""

    valid: Value
    ready: Value
    payload: Value


def taken(port):
    return port.valid & port.ready


def offers(bench, port, name):
    """Claim the rules of a source on ``port``: hold until taken, silent after reset."""
    payload = Value.cast(port.payload)
    held = bench.past(port.valid & ~port.ready & ~bench.reset, f"{name}_held")
    before = bench.past(payload, f"{name}_before")
    silent = bench.past(bench.reset, f"{name}_after_reset")
    bench.always(f"{name} stays offered until taken", ~held | port.valid)
    bench.always(f"{name} keeps its payload until taken", ~held | (payload == before))
    bench.always(f"{name} offers nothing after reset", ~silent | ~port.valid)
    ready = Signal(name=f"{name}_was_ready")
    bench.m.d.sync += ready.eq(ready | port.ready)
    bench.reach(f"{name} is offered before it is ever ready", port.valid & ~port.ready & ~ready)
    bench.reach(f"{name} is taken", taken(port))


def obeys(bench, port, name):
    """Assume of the environment what :func:`offers` claims of a source."""
    payload = Value.cast(port.payload)
    held = bench.past(port.valid & ~port.ready & ~bench.reset, f"{name}_held")
    before = bench.past(payload, f"{name}_before")
    bench.assume(~held | (port.valid & (payload == before)))


def count(bench, up, down, name, width=12):
    """Difference of the cycles with ``up`` and those with ``down`` since reset."""
    total = Signal(width, name=name)
    bench.m.d.sync += total.eq(total + up - down)
    return bench.watch(f"{name}_now", total)


def buffers_never_overflow(bench):
    """Claim that no FIFO is written while it is full."""
    assert bench.fifos
    for i, fifo in enumerate(bench.fifos):
        bench.always(f"buffer {i} is never written when full", ~fifo.w_en | fifo.w_rdy)
