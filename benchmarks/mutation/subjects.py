# SPDX-License-Identifier: Apache-2.0
"""What mutants are put into: engines and whole networks, each with who must notice them."""

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path

import numpy as np

from benchmarks.mutation.killers import Scenes
from benchmarks.mutation.netlist import Mutated
from ecoformer.cli.generate import RANDOM_SEQUENCES, RANDOM_TOKENS
from ecoformer.cli.network.generate import BENCH, RANDOM
from ecoformer.cli.network.verify import FULL_ROUNDS as NETWORK_ROUNDS
from ecoformer.cli.verify import FULL_ROUNDS
from ecoformer.hw.emit.network import emit_network
from ecoformer.hw.emit.verilog import emit
from ecoformer.sim.build import build
from ecoformer.sim.compiled import CompiledEngine
from ecoformer.sim.network import stimulus as network_stimulus
from ecoformer.sim.network.compiled import NETWORK, CompiledNetwork
from ecoformer.sim.network.subjects import random_stimuli, subject_of
from ecoformer.sim.network.testbench import write_testbench as write_network_testbench
from ecoformer.sim.network.verification import NetworkVerification, play_scenes
from ecoformer.sim.plan import Phase, make_plan
from ecoformer.sim.stimulus import random_image, random_workload
from ecoformer.sim.testbench.write import write_testbench
from ecoformer.sim.verification import verify_on
from ecoformer.spec.config import Config
from ecoformer.spec.network.decoder import DecoderDesign
from ecoformer.spec.network.load import Design

__all__ = ["EngineSubject", "NetworkSubject", "Subject"]

BUILDS = Path("build/mutants/simulations")


class Subject(ABC):
    """A design into which mutants are put.

    Parameters
    ----------
    seed : int
        Of its parameters, and of everything that is sent to it.
    """

    top: str
    """Its top module."""

    def __init__(self, seed: int):
        self.seed = seed

    @property
    @abstractmethod
    def verilog(self) -> str:
        """Text of the design without a mutant."""

    @abstractmethod
    def scenes(self, design: Mutated, *, full: bool = False) -> Scenes:
        """Those of ``ecoformer verify``; or of ``--full``, with another seed."""

    @abstractmethod
    def write_testbench(self, folder: Path) -> None:
        """Write the testbench of ``ecoformer generate`` into ``folder``."""


class EngineSubject(Subject):
    """An engine.

    Parameters
    ----------
    config : Config
    """

    top = "ecoformer_engine"

    def __init__(self, config: Config, seed: int):
        super().__init__(seed)
        self.config = config

    @property
    def verilog(self) -> str:
        return emit(self.config, self.top)

    def scenes(self, design: Mutated, *, full: bool = False) -> Scenes:
        seed, rounds = (self.seed + 1, FULL_ROUNDS) if full else (self.seed, 1)
        plan = make_plan(self.config, *_generated(self.config, seed), rounds=rounds, seed=seed)
        return _EngineScenes(self.config, design, plan, seed)

    def write_testbench(self, folder: Path) -> None:
        write_testbench(
            folder, self.config, *_generated(self.config, self.seed), name=self.top, seed=self.seed
        )


class _EngineScenes:
    """The scenes of an engine, the cheap ones first: each begins with a reset."""

    def __init__(self, config, design, plan, seed):
        self.config, self.seed = config, seed
        self.folder = build(design.verilog, BUILDS, simulator="compiled").folder
        scenes = [(phase, scene) for phase in plan for scene in phase.scenes]
        self.scenes = sorted(scenes, key=lambda pair: _cost(pair[1]))

    def __len__(self):
        return len(self.scenes)

    @contextlib.contextmanager
    def open(self) -> Iterator[Callable[[int], str]]:
        with contextlib.closing(CompiledEngine(self.folder, self.seed)) as engine:
            def play(number):
                phase, scene = self.scenes[number]
                alone = Phase(name=phase.name, about=phase.about, scenes=(scene,))
                found = verify_on(engine, self.config, [alone], first=True).mismatches
                return str(found[0]) if found else ""

            yield play


def _generated(config: Config, seed: int):
    """Image and workload that ``generate`` draws for a configuration."""
    rng = np.random.default_rng(seed)
    image = random_image(config, rng)
    lengths = (1, min(RANDOM_TOKENS, config.max_tokens))
    return image, random_workload(
        config, rng, RANDOM_SEQUENCES, lengths=lengths, sets=image.sets
    )


def _cost(scene) -> int:
    """Beats and register accesses of a scene."""
    return sum(len(packet.beats) for packet in scene.packets) + len(scene.events)


class NetworkSubject(Subject):
    """A whole network, whose parameters can be loaded.

    Parameters
    ----------
    network : NetworkDesign or DecoderDesign
        With others, a fault may have no effect because of what the memories hold.
    """

    top = "ecoformer_network"

    def __init__(self, network: Design, seed: int):
        super().__init__(seed)
        assert network.loadable
        self.network = network
        self.what = "tokens" if isinstance(network, DecoderDesign) else "images"

    @cached_property
    def image(self):
        """Its parameters."""
        return network_stimulus.random_image(self.network, self.seed)

    @property
    def verilog(self) -> str:
        return emit_network(self.network, self.image, self.top)

    def scenes(self, design: Mutated, *, full: bool = False) -> Scenes:
        seed, rounds = (self.seed + 1, NETWORK_ROUNDS) if full else (self.seed, 1)
        return _NetworkScenes(self, design, seed, rounds)

    def write_testbench(self, folder: Path) -> None:
        stimuli = random_stimuli(self.network, self.seed, RANDOM[self.what])[: BENCH[self.what]]
        write_network_testbench(
            folder, self.network, self.image, stimuli, name=self.top, seed=self.seed
        )


class _NetworkScenes:
    """The scenes of a network in their order: contexts and parameters outlast a scene.

    Each simulation is in a process of its own, and so has a copy of its own of what must come back.
    """

    def __init__(self, subject, design, seed, rounds):
        self.network, self.seed = subject.network, seed
        stimuli = random_stimuli(self.network, seed, RANDOM[subject.what])
        self.folder = build(
            design.verilog, BUILDS, simulator="compiled", harness=NETWORK
        ).folder
        self.expected = subject_of(self.network, subject.image, stimuli)
        self.scenes = [*self.expected.scenes(self.expected.phases, rounds=rounds, seed=seed)]

    def __len__(self):
        return len(self.scenes)

    @contextlib.contextmanager
    def open(self) -> Iterator[Callable[[int], str]]:
        simulated = CompiledNetwork(self.network, self.folder, self.seed)

        def play(number):
            result = NetworkVerification()
            play_scenes(result, self.expected, simulated, [self.scenes[number]])
            return str(result.mismatches[0]) if result.mismatches else ""

        yield play
