"""An engine inside an Amaranth design: results go through a FIFO of the design's own.

Run it to write the Verilog: python examples/embed_engine.py > design.v
"""

from amaranth import *
from amaranth.back import verilog
from amaranth.lib import stream, wiring
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import In, Out, connect, flipped

from ecoformer.hw.engine.engine import Engine
from ecoformer.hw.parameters.memory import ParameterWord
from ecoformer.hw.stream.output import Beat
from ecoformer.hw.stream.receiver import InputBeat
from ecoformer.spec.config import Config


class Design(wiring.Component):
    """An engine whose answers wait in a FIFO; the design loads its parameters by itself.

    Members
    -------
    tokens : ``In(stream.Signature(InputBeat))``
    results : ``Out(stream.Signature(Beat))``
    write : ``In(ParameterWord)``, commit, commit_set : ``In``
        One word for the shadow slot, and the strobe that makes it set ``commit_set``.
    """

    def __init__(self, config):
        self.config = config
        super().__init__({
            "tokens": In(stream.Signature(InputBeat(config))),
            "results": Out(stream.Signature(Beat(config))),
            "write": In(ParameterWord()),
            "commit": In(1),
            "commit_set": In(32),
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.engine = engine = Engine(self.config)
        m.submodules.fifo = fifo = SyncFIFOBuffered(width=Beat(self.config).size, depth=64)
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
