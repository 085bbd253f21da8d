# SPDX-License-Identifier: Apache-2.0
"""What a bench records of a scene."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from ecoformer.sim.compiled import State
from ecoformer.sim.contract import Commit
from ecoformer.sim.script import Level, Read, Write

__all__ = ["Access", "Record", "VIOLATIONS", "Violation", "packet_stamps", "split_answers"]

VIOLATIONS = (
    "m_axis_tvalid falls before the beat is taken",
    "the beat on m_axis changes before it is taken",
    "m_axis_tuser changes within a packet",
    "s_axil_bvalid falls before the response is taken",
    "s_axil_bresp changes before the response is taken",
    "s_axil_rvalid falls before the answer is taken",
    "the answer on s_axil changes before it is taken",
    "s_axil_bvalid without a write",
    "s_axil_rvalid without a read",
)
"""What must not happen at the pins in any cycle; the same numbers are in ``harness.cpp``."""
STAMPS = ("first_in", "last_in", "first_out", "last_out")


class Violation(NamedTuple):
    """Something that happened at the pins in a cycle and must not."""

    cycle: int
    what: str


@dataclass(frozen=True)
class Access:
    """What came of a register access.

    Parameters
    ----------
    event : Event
        A `Write` or a `Read`.
    cycle : int
        In which it was taken.
    response : int or None
        ``bresp`` or ``rresp``; None without an answer.
    data : int
        ``rdata``.
    """

    event: Write | Read
    cycle: int
    response: int | None
    data: int = 0


@dataclass(kw_only=True, eq=False)
class Record:
    """What happened in a scene.

    Parameters
    ----------
    beats : list of uint8 [n, row]
        Every answered packet (`sim.rows`).
    rest : uint8 [n, row]
        Beats after the last complete answer.
    users : list of int
        Number of each answer (`sim.selection`).
    taken : list of int64 array
        For each stream, the cycle in which each beat was taken.
    stamps : dict of str to int64 array
        As those of `sim.run.SimulationRun`.
    codes : list of int64 [tokens, b] for every side, or None
        Per engine, the key of every token that was hashed; then those of queries that come by
        themselves.
    cycles : int
    state : State
        What ended the stream; RUNNING if the scene was cut.
    quiet : bool
        Whether no pin was active in the reset.
    violations : list of Violation
    interrupts : list of (int, int)
        Cycle and new level of ``irq``.
    accesses : list of Access
        In order, those of :class:`Load` among them only if they were refused.
    commits : list of Commit
        Sets that were loaded after the first packet might begin.
    levels : list of (Level, bool)
        What ``irq`` was.
    registers : dict of str to int
        After the last answer; empty if the scene was cut.
    flags : list of (str, int, int)
        What was looked at, got and wanted, as every flag was enabled and cleared afterwards.
    counted : dict of str to int
        `sim.run.COUNTED` as the bench counted them.
    aborts : list of int
        Cycles of the soft resets.
    busy : int64 array [2, units] or None
        As that of `sim.run.SimulationRun`.
    settled : int
        Accesses before the registers were read.
    """

    beats: list[np.ndarray] = field(default_factory=list)
    rest: np.ndarray | None = None
    users: list[int] = field(default_factory=list)
    taken: list[np.ndarray] = field(default_factory=lambda: [np.zeros(0, np.int64)])
    stamps: dict[str, np.ndarray] = field(default_factory=dict)
    codes: list[np.ndarray] | None = None
    cycles: int = 0
    state: State = State.RUNNING
    quiet: bool = True
    violations: list[Violation] = field(default_factory=list)
    interrupts: list[tuple[int, int]] = field(default_factory=list)
    accesses: list[Access] = field(default_factory=list)
    commits: list[Commit] = field(default_factory=list)
    levels: list[tuple[Level, bool]] = field(default_factory=list)
    registers: dict[str, int] = field(default_factory=dict)
    flags: list[tuple[str, int, int]] = field(default_factory=list)
    counted: dict[str, int] = field(default_factory=dict)
    aborts: list[int] = field(default_factory=list)
    busy: np.ndarray | None = None
    settled: int = 0


def split_answers(record: Record, beats: np.ndarray, ends: np.ndarray) -> None:
    """Put the answers, which end before the beats ``ends``, into ``record``."""
    ends = ends.tolist()
    record.beats = [beats[a:b] for a, b in zip([0, *ends], ends)]
    record.rest = beats[ends[-1] if ends else 0 :]


def packet_stamps(found: dict[str, np.ndarray], streams: int = 1) -> dict[str, np.ndarray]:
    """Cycles of the first and the last beat of every packet, in and out, from those of a harness.

    A pair begins with the earlier of its packets, and ends with the later.
    """
    stamps = {name: found[name] for name in STAMPS}
    if streams > 1:
        for name, of in (("first_in", np.minimum), ("last_in", np.maximum)):
            mine, others = found[name], found[f"query_{name}"]
            count = min(len(mine), len(others))
            stamps[name] = of(mine[:count], others[:count])
    return stamps
