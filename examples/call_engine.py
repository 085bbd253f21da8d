# SPDX-License-Identifier: Apache-2.0
"""From a configuration to a simulated engine that is called like a numpy function.

Run it from anywhere: python examples/call_engine.py
"""

import tempfile

import numpy as np

from ecoformer.golden.integer.attention import attend
from ecoformer.hw.emit.verilog import emit
from ecoformer.sim.rtl import Rtl
from ecoformer.sim.stimulus import random_image
from ecoformer.spec.config import Config

CONFIG = Config(
    head_dim=8, value_dim=4, code_bits=8, anchors=5, max_tokens=16, cycles_per_token=16,
    parameter_sets=1,
)


def main(build_dir):
    """Simulate one sequence and compare it with the integer model."""
    rng = np.random.default_rng(0)
    image = random_image(CONFIG, rng)  # stands in for learned parameters
    rtl = Rtl(CONFIG, emit(CONFIG), image, build_dir)

    x = rng.integers(-128, 128, (10, CONFIG.head_dim))  # ten tokens
    v = rng.integers(-128, 128, (10, CONFIG.value_dim))
    o = rtl(x, v, sets=0)
    expected, _ = attend(CONFIG, image, 0, x, v)
    assert np.array_equal(o, expected)
    print(f"{o.size} words in {rtl.run.busy_cycles} cycles, equal to the integer model")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        main(folder)
