# SPDX-License-Identifier: Apache-2.0
"""Cycles of LightGlue's attention, against softmax attention by the same generator.

The engine of `benchmarks.lightglue` and one for softmax attention with the same heads, pins and
folding, simulated. Softmax takes a cycle per pair of tokens; its buffers hold no 2,048 tokens of
this width, so its cycles there follow from those per pair at half the length.
"""

import re
from argparse import Namespace

import numpy as np

from benchmarks.lightglue import HEADS, LAYERS, WIDTH, engine
from benchmarks.results.section import SIMULATING, arguments, begin
from benchmarks.workloads import random_sequences
from ecoformer.files import cache_folder
from ecoformer.golden.attention_config import AttentionConfig
from ecoformer.hw.emit.verilog import emit
from ecoformer.sim.rtl import Rtl
from ecoformer.sim.stimulus import random_image
from ecoformer.spec.config import Config

__all__ = ["main"]

POINTS = 2048
SIMULATED = 1024
"""Most tokens of a sequence of the softmax engine."""
CALLS = 4 * LAYERS * HEADS
"""Sequences of a pair of images: self and cross attention of both, every layer and head."""


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--bits", type=int, default=128)
    parser.add_argument("--weights", default="ternary")
    parser.add_argument("--sequences", type=int, default=3)
    run = begin(parser)
    options = run.options
    attention = AttentionConfig(
        hash="linear", weights=options.weights, code_bits=options.bits, queries="separate"
    )
    eco = engine(attention, POINTS, 1, "separate")
    soft = Config(
        head_dim=WIDTH, value_dim=WIDTH, hash="none", dataflow="softmax", max_tokens=SIMULATED,
        cycles_per_token=eco.cycles_per_token, parameter_sets=1, bus_bytes=eco.bus_bytes,
    )
    linear, quadratic = (simulate(config, options) for config in (eco, soft))
    cycles = linear[0], quadratic[0] * (POINTS / SIMULATED) ** 2
    fewer = cycles[1] / cycles[0]
    rows = [
        [name, products, f"{head:,.0f}", f"{CALLS * head:,.0f}", ratio]
        for name, (_, products), head, ratio in zip(
            ("softmax", "EcoFormer"), (quadratic, linear), reversed(cycles),
            ("1×", f"{fewer:.0f}×"), strict=True,
        )
    ]
    run.write_section(
        "conversion", "lightglue-cycles", "Cycles of the matcher's attention",
        ["attention", "multipliers", "cycles of a head", "of a pair of images", "fewer"], rows,
        headline=f"LightGlue at {POINTS:,} key points: {fewer:.0f}× fewer cycles than softmax on "
        f"{linear[1]} of {quadratic[1]} multipliers",
        tools=SIMULATING,
        notes=[
            f"{POINTS:,} key points in each image, {CALLS} sequences in a pair of images, back to "
            f"back; b = {options.bits}, {options.weights} weights. Softmax was simulated at "
            f"{SIMULATED:,}, {quadratic[0] / SIMULATED**2:.3f} cycles a pair of tokens."
        ],
    )


def simulate(config: Config, options: Namespace) -> tuple[float, int]:
    """Steady cycles of one of the longest sequences, and products in the Verilog."""
    rng, text = np.random.default_rng(options.seed), emit(config)
    rtl = Rtl(config, text, random_image(config, rng), cache_folder("builds"))
    rtl.attend(random_sequences(config, rng, [config.max_tokens] * options.sequences))
    return rtl.run.cycles_per_token * config.max_tokens, len(re.findall(r" \* ", text))


if __name__ == "__main__":
    main()
