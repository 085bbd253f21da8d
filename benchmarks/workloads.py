# SPDX-License-Identifier: Apache-2.0
"""Random sequences of given lengths, for the simulators."""

from collections.abc import Iterable

import numpy as np

from ecoformer.sim.stimulus import random_workload
from ecoformer.spec.config import Config
from ecoformer.spec.workload import Workload

__all__ = ["random_sequences"]


def random_sequences(
    config: Config, rng: np.random.Generator, lengths: Iterable[int]
) -> Workload:
    """A workload of one random sequence per length, in their order."""
    drawn = [random_workload(config, rng, 1, lengths=int(length)) for length in lengths]
    return Workload.from_sequences(sequence for one in drawn for sequence in one.sequences())
