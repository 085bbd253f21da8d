# SPDX-License-Identifier: Apache-2.0
"""No word that is read while it is written matters, in any memory that promises so.

``no_rw_check`` lets synthesis leave out what would return the old word. Simulators return it all
the same, so here such a read returns the inverse instead.
"""

from functools import partial

import numpy as np
import pytest
from amaranth.back import rtlil
from amaranth.hdl import Cat, MemoryInstance, Module, Mux, Signal, Value

from ecoformer.hw.emit.network import emit_network
from ecoformer.hw.emit.verilog import emit
from ecoformer.sim.network.stimulus import random_image, random_pixels
from ecoformer.sim.network.verification import verify_network
from ecoformer.sim.simulate import simulate
from ecoformer.sim.verify import compare
from ecoformer.spec.config import Config
from tests.matrix import trial
from tests.sim.network.designs import DESIGNS

SHAPE = {"head_dim": 6, "value_dim": 5, "code_bits": 6, "max_tokens": 12, "parameter_sets": 1,
         "bus_bytes": 16}
ENGINES = {
    "systolic": {"hash": "linear", "cycles_per_token": 1},
    "systolic tables": {"hash": "linear", "cycles_per_token": 1, "dataflow": "bucketed"},
    "pairs": {"hash": "linear", "cycles_per_token": 4, "dataflow": "xnor"},
    "serial": {"hash": "rbf", "cycles_per_token": 1_024},
    "separate tables": {
        "hash": "linear", "cycles_per_token": 8, "queries": "separate", "dataflow": "bucketed",
    },
    "cross": {"hash": "hadamard", "cycles_per_token": 8, "queries": "cross"},
    "causal": {
        "hash": "linear", "cycles_per_token": 16, "queries": "separate", "mask": "causal",
        "contexts": 3,
    },
    "softmax": {"cycles_per_token": 16, "hash": "none", "dataflow": "softmax"},
}


class Inverting:
    """A platform on which a word that is written is read inverted, where that is allowed."""

    def __init__(self):
        self.memories = 0

    def get_memory(self, memory):
        m = Module()
        m.submodules.cell = cell = MemoryInstance(data=memory.data, attrs=memory.attrs)
        inverts = bool(memory.attrs.get("no_rw_check"))
        self.memories += inverts
        writes = [(p, cell.write_port(domain=p.domain, addr=p.addr, data=p.data, en=p.en))
                  for p in memory.write_ports]
        for port in memory.read_ports:
            word = Signal(len(Value.cast(port.data)))
            known = dict(writes)
            cell.read_port(
                domain=port.domain, addr=port.addr, data=word, en=port.en,
                transparent_for=[known[write] for write in port.transparent_for],
            )
            hit = Signal()
            if inverts:
                met = Cat(w.en.any() & (w.addr == port.addr) for w, _ in writes).any()
                if port.domain == "comb":
                    m.d.comb += hit.eq(met)
                else:
                    with m.If(port.en):
                        m.d.sync += hit.eq(met)
            m.d.comb += Value.cast(port.data).eq(Mux(hit, ~word, word))
        return m


@pytest.fixture
def platform(monkeypatch):
    platform = Inverting()
    monkeypatch.setattr(rtlil, "convert", partial(rtlil.convert, platform=platform))
    return platform


@pytest.mark.parametrize("engine", ENGINES)
def test_no_engine_needs_a_word_that_is_written(engine, platform, builds):
    config = Config(**SHAPE, **ENGINES[engine])
    rng = np.random.default_rng(3)
    image, workload = trial(config, rng, 12)
    verilog = emit(config)
    assert platform.memories
    for stall in (0.0, 0.3):
        run = simulate(
            config, verilog, image, workload, simulator="compiled", stall=stall, seed=4,
            build_dir=builds,
        )
        report = compare(config, image, workload, run)
        assert report.ok, report.mismatches[:3]


@pytest.mark.parametrize("name", ["serial", "fast"])
def test_no_network_needs_a_word_that_is_written(name, platform, builds):
    design = DESIGNS[name]
    image = random_image(design, 5)
    verilog = emit_network(design, image)
    assert platform.memories
    result = verify_network(
        design, image, verilog, random_pixels(design, 6, 8), build_dir=builds,
        phases=("images", "stalls"),
    )
    assert result.ok, result.mismatches[:3]
