# SPDX-License-Identifier: Apache-2.0
"""Two masters, a switch and two clocks, none of them ours, around one engine."""

import numpy as np
import pytest
from cocotb_tools.runner import get_runner

from ecoformer.sim.stimulus import random_image
from ecoformer.sim.toolchain import BUILD_ARGS
from ecoformer.spec.config import Config
from tests.emitted import emitted
from tests.sim.fabric import fabric_verilog

pytestmark = [pytest.mark.slow, pytest.mark.icarus]

SMALL = dict(
    head_dim=4, value_dim=3, code_bits=5, anchors=3, max_tokens=5, cycles_per_token=8,
    parameter_sets=4, bus_bytes=4, tuser_width=3,
)
BY_SET = Config(**SMALL)
BY_CONTEXT = Config(**SMALL, mask="causal", contexts=2, error_low=True)


def play(config, master_of, tmp_path):
    """Run the bench; a failed check fails here."""
    (tmp_path / "config.toml").write_text(config.as_toml())
    image = random_image(config, np.random.default_rng(3))
    image.save(tmp_path / "parameters.safetensors", config)
    (tmp_path / "engine.v").write_text(emitted(config))
    (tmp_path / "fabric.v").write_text(fabric_verilog(config, master_of))
    runner = get_runner("icarus")
    runner.build(
        sources=[tmp_path / "fabric.v", tmp_path / "engine.v"], hdl_toplevel="fabric",
        build_dir=tmp_path, build_args=BUILD_ARGS["icarus"], timescale=("1ns", "1ps"), always=True,
        log_file=tmp_path / "build.log",
    )
    runner.test(
        test_module="tests.sim.tb_fabric", hdl_toplevel="fabric", build_dir=tmp_path,
        test_dir=tmp_path, extra_env={"ECOFORMER_JOB": str(tmp_path)},
        log_file=tmp_path / "test.log",
    )


@pytest.mark.parametrize("config, master_of", [
    pytest.param(BY_SET, lambda beat: beat.user[0], id="by set"),
    pytest.param(BY_CONTEXT, lambda beat: beat.id, id="by context"),
])
def test_answers_return_to_their_masters_exact(config, master_of, tmp_path):
    play(config, master_of, tmp_path)


def test_a_switch_that_returns_answers_to_the_wrong_master_is_seen(tmp_path):
    with pytest.raises(SystemExit):
        play(BY_SET, lambda beat: beat.user[1], tmp_path)
    assert "master 0, packet" in (tmp_path / "test.log").read_text()
