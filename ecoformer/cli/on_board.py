# SPDX-License-Identifier: Apache-2.0
"""What ``board`` can put on a board: an engine, or a whole network."""

from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from ecoformer.cli import generate as generating
from ecoformer.cli.network.generate import generate_network, network_results
from ecoformer.spec.config import Config
from ecoformer.spec.network.image import NetworkImage
from ecoformer.spec.network.load import load_design

if TYPE_CHECKING:
    from ecoformer.hw.boards.cores import Core

__all__ = ["EngineOnBoard", "NetworkOnBoard", "OnBoard"]


class OnBoard(Protocol):
    """A design that is generated into a folder of the board's."""

    folder: str
    """Its name, and what the design is."""
    core: "Core"
    fingerprint: str

    def check(self, output: Path) -> None:
        """Refuse the folder ``output`` if the design cannot be generated into it."""

    def generate(self, output: Path) -> None:
        """Write what ``generate`` writes."""


class EngineOnBoard:
    """An engine, whose parameters its driver loads.

    Parameters
    ----------
    config : path or str
    parameters : path or None
        None for random ones.
    seed : int
        Of these.
    """

    folder = "engine"

    def __init__(self, config: str | Path, parameters: str | Path | None, seed: int):
        from ecoformer.hw.boards.cores import EngineCore

        self._inputs, self._seed = (config, parameters), seed
        loaded = Config.load(config)
        self.core: Core = EngineCore(loaded)
        self.fingerprint = loaded.fingerprint

    def check(self, output: Path) -> None:
        generating.results(output)

    def generate(self, output: Path) -> None:
        generating.generate(*self._inputs, output, seed=self._seed)


class NetworkOnBoard:
    """A network with its parameters; the rest is as for an engine."""

    folder = "network"

    def __init__(self, config: str | Path, parameters: str | Path | None, seed: int):
        from ecoformer.hw.boards.cores import network_core
        from ecoformer.sim.network.stimulus import random_image

        self._inputs, self._seed = (config, parameters), seed
        design = load_design(config)
        if parameters is None:
            image = random_image(design, seed)
        else:
            image = NetworkImage.load(parameters, design)
        self.core: Core = network_core(design, image)
        self.fingerprint, self._design = design.fingerprint, design

    def check(self, output: Path) -> None:
        network_results(output, design=self._design)

    def generate(self, output: Path) -> None:
        generate_network(*self._inputs, output, seed=self._seed)
