# SPDX-License-Identifier: Apache-2.0
"""Scripts in a simulator of their own: one start for many scenes."""

from __future__ import annotations

import pickle
import time
from collections.abc import Generator, Sequence
from pathlib import Path

from ecoformer.processes import scratch
from ecoformer.sim.build import Build
from ecoformer.sim.record import Record
from ecoformer.sim.script import Scene
from ecoformer.sim.simulate import bench, stopped
from ecoformer.spec.config import Config

__all__ = ["play_in_simulator"]

POLL_SECONDS = 0.02


def play_in_simulator(
    config: Config, built: Build, scenes: Sequence[Scene], build_dir: str | Path
) -> Generator[Record, None, None]:
    """Play ``scenes`` on a build for cocotb; yields the record of each as it is done.

    Raises
    ------
    EcoformerError
        The simulator stopped, which no engine can make it do.
    """
    with scratch(Path(build_dir).resolve(), "run-") as folder:
        (folder / "scenes.pickle").write_bytes(pickle.dumps((config, list(scenes))))
        with bench(folder, built, "ecoformer.sim.tb_script") as process:
            for number in range(len(scenes)):
                path = folder / f"{number}.pickle"
                while not path.is_file() and process.poll() is None:
                    time.sleep(POLL_SECONDS)
                if not path.is_file():
                    raise stopped(folder, process.wait())
                yield pickle.loads(path.read_bytes())
