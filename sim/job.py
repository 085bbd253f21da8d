# SPDX-License-Identifier: Apache-2.0
"""What is streamed through an engine: checked, and packed into beats."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ecoformer.errors import EcoformerError
from ecoformer.sim.faults import check_faults, packet
from ecoformer.spec.checks import check_number
from ecoformer.spec.config import Config
from ecoformer.spec.parameters import ParameterImage
from ecoformer.spec.wire import STALLS
from ecoformer.spec.workload import Workload

__all__ = ["Job", "TAIL_CYCLES", "check_job"]

TAIL_CYCLES = 64
"""Cycles to keep listening after the last packet, for unexpected beats."""


@dataclass(frozen=True, eq=False)
class Job:
    """Packets on the wire.

    Parameters
    ----------
    beats : uint8 array [n, bus_bytes]
        Every beat of every packet.
    lasts, users : int64 array [packets]
        Index of each packet's last beat, and its ``tuser``.
    patience : int
        Cycles without a beat after which the engine counts as silent.
    """

    beats: np.ndarray
    lasts: np.ndarray
    users: np.ndarray
    patience: int

    @classmethod
    def pack(
        cls,
        config: Config,
        image: ParameterImage,
        workload: Workload,
        *,
        stall: float = 0.0,
        faults: dict[int, str] | None = None,
    ) -> Job:
        """The packets of ``workload``, some of them corrupted on purpose.

        Raises
        ------
        EcoformerError
            Image or workload does not fit ``config``, or a fault that cannot be made.
        """
        faults = faults or {}
        check_job(config, image, workload, stall=stall, faults=faults)
        packets = [
            packet(config, image, sequence, faults.get(i))
            for i, sequence in enumerate(workload.sequences())
        ]
        lengths = np.array([len(beats) for beats, _ in packets], dtype=np.int64)
        longest, k = -(-int(lengths.max()) // config.wire.input_beats), config.cycles_per_token
        quiet = (2 * longest + 64) * k + 2 * config.flow.transform_cycles + 4096
        return cls(
            beats=np.concatenate([beats for beats, _ in packets]),
            lasts=np.cumsum(lengths) - 1,
            users=np.array([user for _, user in packets], dtype=np.int64),
            patience=int(quiet / (1 - stall) ** 2),
        )


def check_job(
    config: Config,
    image: ParameterImage,
    workload: Workload,
    *,
    stall: float,
    faults: dict[int, str],
) -> None:
    """Refuse what cannot be streamed; see :meth:`Job.pack`."""
    try:
        check_number("stall", stall, float, *STALLS)
        image.check(config)
        workload.check(config)
    except (TypeError, ValueError) as error:
        raise EcoformerError(f"simulation: {error}; use matching files") from error
    if workload.sets.max() >= image.sets:
        raise EcoformerError(
            f"workload: asks for parameter set {workload.sets.max()}, but the image has "
            f"{image.sets}; export more sets"
        )
    check_faults(config, image, workload, faults)
