# amaranth: UnusedElaboratable=no
# SPDX-License-Identifier: Apache-2.0
"""The quadratic core under a causal mask: a token meets every key of its context so far.

Codes and values of all contexts are kept, and no sums. Far slower than `CausalCore` and independent
of it: equal results of both cross-check the memory of contexts.
"""

from amaranth import *
from amaranth.lib import memory

from ecoformer.hw.attention.xnor import PairCore
from ecoformer.hw.lib.pipeline import delay
from ecoformer.hw.stream.payloads import Key
from ecoformer.spec.config import Config

__all__ = ["CausalXnorCore"]


class CausalXnorCore(PairCore):
    """Quadratic form over the tokens so far: Σ_{j≤i} w_ij·v_j over Σ_{j≤i} w_ij.

    Token number i of a context takes i cycles, and
    ``initiation_interval`` - 1 more for its blocks to leave; its first block leaves i - 1 cycles
    later than that of a first token.
    """

    @classmethod
    def fits(cls, config: Config) -> bool:
        return config.mask == "causal" and config.dataflow == "xnor"

    def elaborate(self, platform) -> Module:
        m = Module()
        c, fold, key = self.config, self.config.state_fold, self.keys.payload
        m.submodules.popcount = self.popcount
        rows = max(2, c.contexts * c.max_tokens)
        kept = {"codes": key[c.sides.key.code], "values": key.v.as_value()}
        stores = {
            name: memory.Memory(shape=unsigned(len(field)), depth=rows, init=[])
            for name, field in kept.items()
        }
        for name, store in stores.items():
            m.submodules[name] = store

        # -- a token is launched and kept, then it meets one key after another ---------------------
        launch, running, first_key, last_key = Signal(), Signal(), Signal(), Signal()
        token = Signal(Key(c), reset_less=True)
        place, left = Signal(range(rows)), Signal(token.count.shape())
        pause = Signal(range(fold.steps + 1))  # cycles that its blocks need
        begin = key.tag.context * c.max_tokens
        m.d.comb += [
            launch.eq(self.keys.valid & self.grant & ~running & (pause == 0)),
            self.launch.eq(launch),
            self.keys.ready.eq(launch),
            last_key.eq(running & (left <= 1)),  # of an error token nothing is looked at
        ]
        m.d.sync += first_key.eq(launch)
        with m.If(launch):
            m.d.sync += [
                token.eq(key),
                place.eq(begin),
                left.eq(Mux(key.tag.error, 1, key.count)),
                running.eq(1),
            ]
        with m.Elif(running):
            m.d.sync += [place.eq(place + 1), left.eq(left - 1)]
            with m.If(last_key):
                m.d.sync += [running.eq(0), pause.eq(fold.steps)]
        with m.If(~running & (pause != 0)):
            m.d.sync += pause.eq(pause - 1)
        reads = {}
        for name, store in stores.items():
            write, read = store.write_port(), store.read_port()
            m.d.comb += [
                write.addr.eq(begin + (key.count - 1)),
                write.data.eq(kept[name]),
                write.en.eq(launch & ~key.tag.error),
                read.addr.eq(place),
            ]
            reads[name] = read.data

        # -- similarity, weight, product, sum ------------------------------------------------------
        value_weight, weight = self._weights(
            m, token[c.sides.query.code], reads["codes"], token.offset, last_key
        )
        travel = self.to_weight + 2  # from a key's address to its sum
        first = delay(m, first_key, travel, name="first")
        valid = delay(m, running, travel, name="valid", reset=True)
        last = delay(m, last_key, travel + 1, name="last", reset=True)
        value = delay(m, reads["values"], self.to_weight, name="value")
        sums, denominator = self._weighted_sums(m, value_weight, weight, value, first, valid)
        m.d.comb += self.busy.similarities.eq(running)
        tag = {
            name: delay(m, token.tag[name], travel + 1, name=f"tag_{name}")
            for name in token.tag.shape().members
        }
        self._send_blocks(m, last, sums, denominator, tag)
        return m
