# SPDX-License-Identifier: Apache-2.0

import numpy as np
import pytest

from ecoformer.presets import PRESETS
from ecoformer.sim.simulate import simulate
from ecoformer.sim.stimulus import random_image, random_workload
from ecoformer.sim.verify import compare
from ecoformer.spec.config import Config
from tests.emitted import emitted

OFTEN = ("smallest", "demo", "softmax")


@pytest.mark.parametrize("preset", [
    pytest.param(name, marks=() if name in OFTEN else pytest.mark.full) for name in PRESETS
])
def test_presets_are_exact_and_at_their_rate(preset, builds):
    config = Config.load(preset)
    rng = np.random.default_rng(0)
    image = random_image(config, rng)
    text = emitted(config)
    for stall, lengths in ((0.0, 49), (0.3, (1, 64))):
        workload = random_workload(config, rng, 20, lengths=lengths)
        run = simulate(
            config, text, image, workload, simulator="compiled", stall=stall, build_dir=builds
        )
        report = compare(config, image, workload, run)
        assert report.ok, "\n".join(map(str, report.mismatches[:10]))
        if stall == 0 and config.dataflow == "accumulate":
            assert run.cycles_per_token == config.cycles_per_token
