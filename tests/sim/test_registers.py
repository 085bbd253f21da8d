# SPDX-License-Identifier: Apache-2.0
import xml.etree.ElementTree as xml

import numpy as np
import pytest

from ecoformer.logs import reason
from ecoformer.sim.build import build
from ecoformer.sim.simulate import bench
from ecoformer.sim.stimulus import random_image
from tests.emitted import emitted
from tests.sim.test_engine import SMALL


@pytest.mark.parametrize("name", ["one of everything", "primes"])
def test_register_port(builds, tmp_path, name):
    config = SMALL[name]
    (tmp_path / "config.toml").write_text(config.as_toml())
    image = random_image(config, np.random.default_rng(0))
    image.save(tmp_path / "parameters.safetensors", config)
    built = build(emitted(config, name="ecoformer_engine"), builds, simulator="icarus")
    with bench(tmp_path, built, "tests.sim.tb_registers") as process:
        process.wait(timeout=120)
    log = tmp_path / "simulation.log"
    assert (tmp_path / "results.xml").is_file(), reason(1, log, tmp_path / "test.out")
    cases = list(xml.parse(tmp_path / "results.xml").iter("testcase"))
    failed = [
        f"{case.get('name')}: {failure.get('error_msg') or failure.get('message')}"
        for case in cases
        for failure in case.iter("failure")
    ]
    assert not failed, "\n".join(failed)
    assert len(cases) == 7
