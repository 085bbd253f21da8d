# SPDX-License-Identifier: Apache-2.0
"""Whole networks with what 'generate --network' writes of them, and the Verilog of their boards."""

import pytest

from ecoformer.cli.network.generate import generate_network
from ecoformer.hw.boards.catalogue import BOARDS
from ecoformer.hw.boards.cores import network_core
from ecoformer.hw.boards.top import BoardTop, board_verilog
from ecoformer.spec.network.image import NetworkImage
from tests.driver.conftest import BAUD, CLOCK_HZ

__all__ = ["generated"]


def generated(design, folder):
    """The folder of a generated network within ``folder``, its parameters, and its board."""
    pytest.importorskip("amaranth_boards", reason="pip install 'ecoformer[boards]'")
    (folder / "network.toml").write_text(design.as_toml())
    generate_network(folder / "network.toml", None, folder / "chip", seed=4)
    image = NetworkImage.load(folder / "chip" / "network.safetensors", design)
    top = BoardTop(
        BOARDS["ulx3s"], "85k", network_core(design, image), clock_hz=CLOCK_HZ, baud=BAUD,
        frame_bytes=64,
    )
    return folder / "chip", image, board_verilog(top)
