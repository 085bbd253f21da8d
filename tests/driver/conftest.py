# SPDX-License-Identifier: Apache-2.0
"""Small engines with what 'generate' writes of them, and their simulated boards."""

import importlib
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from ecoformer.cli.generate import generate
from ecoformer.driver.device import Device
from ecoformer.driver.framed import FramedTransport
from ecoformer.golden.integer.attention import attend
from ecoformer.hw.boards.catalogue import BOARDS
from ecoformer.hw.boards.cores import EngineCore
from ecoformer.hw.boards.top import BoardTop, board_verilog
from ecoformer.sim.board import SimulatedBoard
from ecoformer.spec.config import Config
from ecoformer.spec.parameters import ParameterImage
from tests.golden import small

EXAMPLES = Path(__file__).parents[2] / "examples"
CLOCK_HZ, BAUD = 100_000_000, 20_000_000
"""Five cycles a bit: simulations spend their time on the line."""
CONFIGS = {
    "tuser": small.CONFIG,
    "next-set": Config(
        head_dim=5, value_dim=3, code_bits=6, anchors=7, max_tokens=8, parameter_sets=3,
        cycles_per_token=8, bus_bytes=3, tuser_width=0,
    ),
}
CONFIGS["queue"] = replace(CONFIGS["next-set"], next_set_depth=2, error_low=True)
UNTAGGED = {
    "next-set": CONFIGS["next-set"],
    "queue, tkeep": replace(CONFIGS["queue"], bus_bytes=2, tkeep=True),
}


@dataclass
class Made:
    """A generated engine."""

    config: Config
    folder: Path
    image: ParameterImage

    def expected(self, index, tokens, values):
        """Results of the integer model."""
        return attend(self.config, self.image, index, tokens, values)[0]

    def top(self, name="ulx3s", **options):
        """The top of a board with the engine."""
        board = BOARDS[name]
        return BoardTop(
            board, board.devices[0], EngineCore(self.config), frame_bytes=64, **options
        )

    def board(self, builds, top=None, **options):
        """Its board, simulated."""
        top = top or self.top(clock_hz=CLOCK_HZ, baud=BAUD)
        return SimulatedBoard(
            board_verilog(top), builds, clock_hz=top.clock.hertz, baud=top.baud, **options
        )

    def device(self, link):
        """The driver's device behind a link."""
        return Device(self.folder, FramedTransport(link, timeout=300e-6))


@pytest.fixture(scope="session", params=CONFIGS)
def made(request, tmp_path_factory):
    """An engine of every kind."""
    return _made(request.param, tmp_path_factory.mktemp(request.param))


@pytest.fixture(scope="session")
def engine(tmp_path_factory):
    """One engine, for what does not depend on its kind."""
    return _made("tuser", tmp_path_factory.mktemp("engine"))


@pytest.fixture(scope="session", params=UNTAGGED)
def untagged(request, tmp_path_factory):
    """An engine without tuser, whose sets are selected by a register, or wait in a queue."""
    return _made(request.param, tmp_path_factory.mktemp("untagged"))


@pytest.fixture(scope="session")
def program():
    """The user's program of the examples."""
    sys.path.insert(0, str(EXAMPLES))
    try:
        return importlib.import_module("drive_board").program
    finally:
        sys.path.remove(str(EXAMPLES))


@pytest.fixture
def rng():
    return np.random.default_rng(5)


def _made(name, folder):
    pytest.importorskip("amaranth_boards", reason="pip install 'ecoformer[boards]'")
    config = {**CONFIGS, **UNTAGGED}[name]
    (folder / "config.toml").write_text(config.as_toml())
    generate(folder / "config.toml", None, folder / "engine", seed=4)
    image = ParameterImage.load(folder / "engine" / "parameters.safetensors", config)
    return Made(config, folder / "engine", image)
