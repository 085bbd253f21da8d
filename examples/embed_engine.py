# SPDX-License-Identifier: Apache-2.0
"""An engine inside an Amaranth design: results go through a FIFO of the design's own.

Run it to write the Verilog: python examples/embed_engine.py > design.v
"""

from amaranth import *
from amaranth.back import verilog
from amaranth.lib import wiring
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import connect, flipped

from ecoformer.hw.engine.engine import Engine
from ecoformer.spec.config import Config


class Design(wiring.Component):
    """An engine whose results wait in a FIFO; parameters come from the design around it.

    Members
    -------
    tokens : stream of beats, as the engine's ``i``.
    results : stream of beats, as the engine's ``o``.
    write, commit, commit_set : as the engine's.
    """

    def __init__(self, config):
        self.engine = Engine(config)
        ports = self.engine.signature.members
        super().__init__({
            "tokens": ports["i"],
            "results": ports["o"],
            **{name: ports[name] for name in ("write", "commit", "commit_set")},
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.engine = engine = self.engine
        width = len(engine.o.payload.as_value())
        m.submodules.fifo = fifo = SyncFIFOBuffered(width=width, depth=64)
        connect(m, flipped(self.tokens), engine.i)
        connect(m, flipped(self.write), engine.write)
        m.d.comb += [
            engine.commit.eq(self.commit),
            engine.commit_set.eq(self.commit_set),
            fifo.w_data.eq(engine.o.payload),
            fifo.w_en.eq(engine.o.valid),
            engine.o.ready.eq(fifo.w_rdy),
            self.results.payload.eq(fifo.r_data),
            self.results.valid.eq(fifo.r_rdy),
            fifo.r_en.eq(self.results.ready),
        ]
        return m


def main():
    """Verilog of the design."""
    config = Config(head_dim=8, value_dim=4, code_bits=8, anchors=5, max_tokens=16)
    return verilog.convert(Design(config), name="design", emit_src=False)


if __name__ == "__main__":
    print(main())
