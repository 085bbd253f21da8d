# SPDX-License-Identifier: Apache-2.0
import xml.etree.ElementTree as xml
from dataclasses import replace

import numpy as np
import pytest

from ecoformer.logs import reason
from ecoformer.sim.build import build
from ecoformer.sim.simulate import bench
from ecoformer.sim.stimulus import random_image, random_workload
from tests.emitted import emitted
from tests.sim.test_engine import SMALL

TESTS = 13
MARKED = {
    "tkeep": replace(SMALL["primes"], bus_bytes=7, tkeep=True, error_low=True),
    "queue": replace(SMALL["no tuser"], tkeep=True, next_set_depth=3),
}


@pytest.mark.parametrize(
    "name, simulator",
    [
        pytest.param("primes", "verilator", marks=pytest.mark.full),
        ("primes", "icarus"), ("no tuser", "icarus"), ("widest numbers", "icarus"),
        ("tkeep", "icarus"), ("queue", "icarus"),
    ],
)
def test_an_independent_client_agrees(builds, tmp_path, name, simulator):
    config, rng = {**SMALL, **MARKED}[name], np.random.default_rng(8)
    (tmp_path / "config.toml").write_text(config.as_toml())
    image = random_image(config, rng)
    image.save(tmp_path / "parameters.safetensors", config)
    random_workload(config, rng, 8).save(tmp_path / "workload.npz")
    built = build(emitted(config, name="ecoformer_engine"), builds, simulator=simulator)
    with bench(tmp_path, built, "tests.sim.tb_cocotbext") as process:
        process.wait(timeout=200)
    log = tmp_path / "simulation.log"
    assert (tmp_path / "results.xml").is_file(), reason(1, log, tmp_path / "test.out")
    cases = list(xml.parse(tmp_path / "results.xml").iter("testcase"))
    failed = [
        f"{case.get('name')}: {failure.get('error_msg') or failure.get('message')}"
        for case in cases
        for failure in case.iter("failure")
    ]
    assert not failed, "\n".join(failed)
    assert len(cases) == TESTS
    assert "Warning" not in log.read_text(), "warnings"
