from pathlib import Path

import numpy as np
import pytest

from ecoformer.config import Config
from sim.simulate import simulate
from sim.stimulus import random_image, random_workload
from sim.verify import compare
from tests.emitted import emitted

PRESETS = sorted((Path(__file__).parents[2] / "configs").glob("*.toml"))


@pytest.mark.parametrize("path", PRESETS, ids=lambda path: path.stem)
def test_presets_are_exact_and_at_their_rate(path, builds):
    config = Config.load(path)
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
