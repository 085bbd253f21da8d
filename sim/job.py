# SPDX-License-Identifier: Apache-2.0
"""What is streamed through an engine: checked, and packed into beats."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from ecoformer.errors import EcoformerError
from ecoformer.sim.compiled import Packets
from ecoformer.sim.faults import check_faults, packets
from ecoformer.sim.limits import Limits
from ecoformer.sim.rows import row_bytes
from ecoformer.sim.script import Packet
from ecoformer.sim.selection import selection
from ecoformer.spec.checks import check_number
from ecoformer.spec.config import Config
from ecoformer.spec.parameters import ParameterImage
from ecoformer.spec.programming import register_writes
from ecoformer.spec.wire import STALLS
from ecoformer.spec.workload import Workload

__all__ = ["Job", "TAIL_CYCLES", "accesses", "check_job", "streams"]

TAIL_CYCLES = 64
"""Cycles to keep listening after the last packet, for unexpected beats."""


@dataclass(frozen=True, eq=False)
class Job:
    """Packets on the wire.

    Parameters
    ----------
    beats : uint8 array [n, row]
        Every beat of every packet (`sim.rows`).
    lasts, users : int64 array [packets]
        Index of each packet's last beat, and its number (`sim.selection`).
    limits : Limits
        What ends the stream of an engine that does not answer as it should.
    queries : (beats, lasts, users) or None
        Those of the stream of queries, where they come by themselves.
    """

    beats: np.ndarray
    lasts: np.ndarray
    users: np.ndarray
    limits: Limits
    queries: Packets | None = None

    @classmethod
    def pack(
        cls,
        config: Config,
        image: ParameterImage,
        workload: Workload,
        *,
        stall: float = 0.0,
        faults: dict[int, str] | None = None,
        accesses: int = 0,
    ) -> Job:
        """The packets of ``workload``, some of them corrupted on purpose.

        Parameters
        ----------
        accesses : int
            Register accesses while they stream.

        Raises
        ------
        EcoformerError
            Image or workload does not fit ``config``, or a fault that cannot be made.
        """
        faults = faults or {}
        check_job(config, image, workload, stall=stall, faults=faults)
        sent = packets(config, [image] * len(workload), workload, faults)
        (beats, lasts, users), *others = streams(config, sent)
        lengths = [packet.lengths for packet in sent]
        return cls(
            beats=beats, lasts=lasts, users=users, queries=others[0] if others else None,
            limits=Limits.of(config, lengths, stall, stall, accesses),
        )


def streams(config: Config, sent: Iterable[Packet]) -> list[Packets]:
    """What a bench sends on each stream: beats, last beat and number of each packet."""
    none, request = np.zeros((0, row_bytes(config)), np.uint8), selection(config).request
    sent = list(sent)
    found = []
    for i in range(len(config.wire.inlets)):
        mine = [packet.streams[i] for packet in sent]
        lengths = np.array([len(packet.beats) for packet in mine], dtype=np.int64)
        users = np.array([request(packet.user, packet.asked) for packet in mine], np.int64)
        beats = np.concatenate([none, *(packet.beats for packet in mine)])
        found.append((beats, np.cumsum(lengths) - 1, users))
    return found


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
    except (TypeError, ValueError) as error:
        raise EcoformerError(f"simulation: {error}; choose another") from error
    try:
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


def accesses(config: Config, updates: dict[int, ParameterImage]) -> int:
    """Register accesses that load ``updates``."""
    return sum(1 for image in updates.values() for _ in register_writes(config, image))
