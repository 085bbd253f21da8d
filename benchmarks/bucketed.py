# SPDX-License-Identifier: Apache-2.0
"""Tables against signed sums: cells of the attention core and energy of the state.

Both cores give the same bits. Cells are those that Yosys maps, not placed; energy is that of the
honest accounting (`ecoformer.golden.energy`), of the state alone, per token and head, at any rate.
"""

import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

from amaranth import Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import Out, connect, flipped

from benchmarks.results.section import PLACING, arguments, begin
from ecoformer.golden.energy.honest import Honest
from ecoformer.golden.energy.shapes import Attention
from ecoformer.hw.attention.accumulate import AccumulateCore
from ecoformer.hw.attention.bucketed import BucketedCore
from ecoformer.hw.emit.verilog import to_verilog
from ecoformer.hw.stream.payloads import Block
from ecoformer.hw.synth.flow import synthesise
from ecoformer.hw.synth.targets import TARGETS
from ecoformer.spec.arithmetic import GROUP_BITS
from ecoformer.spec.config import Config

BASE = Config(bus_bytes=128)
"""D = E = 32, b = 16, up to 1,024 tokens."""
CORES = {"accumulate": AccumulateCore, "bucketed": BucketedCore}
RATES = (64, 16, 4, 1)
GROUPS = (2, 3)
"""Further group sizes in bits, measured at one rate."""
TOKENS = (4, 16, 49, 196, 1_024)
STATE = ("state S", "h·S", "tables", "transform, rows", "transform, sums", "h·S of groups")
"""Where the two differ."""


def main() -> None:
    parser = arguments(__doc__, seed=None)
    parser.add_argument(
        "--cycles", type=int, nargs="*", default=RATES, metavar="K", help="cycles per token"
    )
    parser.add_argument("--tokens", type=int, nargs="*", default=TOKENS, metavar="N")
    run = begin(parser)
    options = run.options
    rows = []
    for k in options.cycles:
        rows.append(measure("accumulate", k))
        for group in (GROUP_BITS, *(GROUPS if k == BASE.cycles_per_token else ())):
            with patch("ecoformer.spec.arithmetic.GROUP_BITS", group):
                rows.append(measure("bucketed", k))
    run.write_section(
        "synthesis", "bucketed",
        "Bucketed and accumulate cores, D = E = 32, b = 16, N ≤ 1,024, ECP5",
        ["k", "dataflow", "lanes", "LUT, mapped", "FF", "DSP", "block RAM", "full rate from N"],
        rows,
        tools=PLACING[:2],
    )
    run.write_section(
        "energy", "state", "The state as sums and as tables, D = E = 32, b = 16",
        ["N", "accumulate, pJ per token and head", "bucketed", "saved", "of all of the attention"],
        [energies(tokens) for tokens in options.tokens],
    )


class _Alone(wiring.Component):
    """A core with pins, whose blocks are always taken."""

    def __init__(self, core):
        self.core = core
        members = dict(core.signature.members)
        members["blocks"] = Out(stream.Signature(Block(core.config)))
        super().__init__(members)

    def elaborate(self, platform):
        m = Module()
        m.submodules.core = core = self.core
        connect(m, flipped(self.keys), core.keys)
        m.d.comb += [
            core.grant.eq(self.grant),
            self.launch.eq(core.launch),
            self.blocks.payload.eq(core.blocks.payload),
            self.blocks.valid.eq(core.blocks.valid),
        ]
        return m


def measure(dataflow: str, k: int) -> list:
    """Row of one core."""
    config = replace(BASE, dataflow=dataflow, cycles_per_token=k)
    core = CORES[dataflow](config)
    with tempfile.TemporaryDirectory() as folder:
        counts = synthesise(
            to_verilog(_Alone(core), "core"), "core", TARGETS["ecp5"], Path(folder), units=False
        )["resources"]
    name = dataflow if dataflow == "accumulate" else f"{dataflow}, {config.group_bits} bits"
    row = [
        k, name, config.state_fold.lanes,
        *(f"{counts[resource]:,}" for resource in ("LUT", "FF", "DSP", "block RAM")),
        core.full_rate_tokens,
    ]
    print(*row, file=sys.stderr, flush=True)
    return row


def energies(tokens: int) -> list:
    """Row of one length; DRAM not counted, which is the same for both."""
    layer = Attention(name="", part="attention", tokens=tokens, heads=1, kind="ecoformer",
                      head_dim=BASE.head_dim, value_dim=BASE.value_dim)
    state, total = [], []
    for dataflow in CORES:
        honest = Honest(BASE.code_bits, BASE.anchors, replace(BASE, dataflow=dataflow))
        costs = [o for o in honest.operations(layer) if o.kind != "dram"]
        state.append(sum(o.energy for o in costs if o.what in STATE) / tokens)
        total.append(sum(o.energy for o in costs) / tokens)
    return [
        f"{tokens:,}", *(f"{energy:,.0f}" for energy in state), f"{1 - state[1] / state[0]:.0%}",
        f"{1 - total[1] / total[0]:.0%}",
    ]


if __name__ == "__main__":
    main()
