# SPDX-License-Identifier: Apache-2.0
"""What a bench sees of a network: the same for every bench."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

__all__ = ["LoadEvent", "NetworkRecord", "State", "Violation"]


class State(enum.IntEnum):
    """Why a run ended; the same numbers are in ``harness.cpp``."""

    DONE = 0
    SILENT = 1
    BABBLING = 2
    STOPPED = 3


class Violation(enum.IntEnum):
    """What a network must not do; the same numbers are in ``harness.cpp``."""

    WITHDRAWN = 0
    CHANGED = 1
    IN_RESET = 2
    LOADING = 3


class LoadEvent(NamedTuple):
    """What became of a parameter packet of which at least a byte was taken.

    Parameters
    ----------
    cycle : int
        In which its first byte was taken.
    entered, answered : int
        Packets of images or tokens by then, and how many of them had been answered.
    taken : int
        Bytes.
    answer, answer_cycle : int
        A `LoadAnswer`, and the first cycle in which it was offered; -1 if the run ended before.
    """

    cycle: int
    entered: int
    answered: int
    taken: int
    answer: int
    answer_cycle: int


@dataclass
class NetworkRecord:
    """What happened at the pins, and between the layers.

    Parameters
    ----------
    state : State
    beats : int64 array [n, words + 1]
        Every beat of the answers: words of 8 bytes, unsigned, and tlast + 2·tuser + 4·tid.
    first_in : int64 array [images]
        Cycles in which the first pixel of an image was taken.
    last_out : int64 array [answers]
        Cycles in which the last beat of an answer was taken.
    violations : list of (int, Violation)
        Cycle and kind.
    elements : dict of int64 array [n]
        What every layer sent, by its name; empty for a network without probes. Tokens are padded
        to whole beats.
    times : dict of int64 array
        Cycles in which they were sent, of a first part of them.
    busy : int64 array [answers, bits] or None
        Cycles in which each layer has worked when an answer ended (`sim.network.busy`).
    cycles : int
        Of the run.
    loads : list of LoadEvent
        Of the parameter packets, in their order.
    """

    state: State
    beats: np.ndarray
    first_in: np.ndarray
    last_out: np.ndarray
    cycles: int = 0
    violations: list[tuple[int, Violation]] = field(default_factory=list)
    elements: dict[str, np.ndarray] = field(default_factory=dict)
    times: dict[str, np.ndarray] = field(default_factory=dict)
    busy: np.ndarray | None = None
    loads: list[LoadEvent] = field(default_factory=list)
