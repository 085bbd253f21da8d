# SPDX-License-Identifier: Apache-2.0
"""The record of a simulation: what came out, when, and what follows from it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ecoformer.sim.rows import data_of
from ecoformer.sim.schedule import bound
from ecoformer.sim.utilisation import utilisation
from ecoformer.spec.config import Config
from ecoformer.spec.parameters import ParameterImage
from ecoformer.spec.wire import unpack_sequence

__all__ = ["SimulationRun", "COUNTED"]

COUNTED = ("BUSY", "STARVED", "BLOCKED")
"""Performance counters that every bench also counts itself, cycle by cycle at the pins."""


@dataclass(frozen=True, kw_only=True, eq=False)
class SimulationRun:
    """What an engine answered to a workload.

    Lists and arrays have one entry per answered packet, in order of arrival, which is the order of
    the workload. If an engine stops answering, they are short.

    Parameters
    ----------
    config : Config
    beats : list of uint8 [n, row]
        Every beat of each packet (`sim.rows`).
    users : int64 array
        What came with each packet (`sim.selection`): ``m_axis_tuser``, which is the set number and
        the error bit, and ``m_axis_tid``.
    stamps : dict of str to int64 array
        Cycle of the ``first_in``, ``last_in``, ``first_out`` and ``last_out`` beat of each packet.
    extra_beats : int
        Beats after the last complete packet.
    codes : list of int64 [tokens, b], or None
        Per engine, the code of every token that left its hash unit, in order, if traced; with
        separate queries those of q and of k side by side. Where queries come by themselves, those
        of the keys, then those of the queries.
    cycles : int
        Cycles simulated after programming.
    registers : dict of str to int
        Every readable register after the run.
    counted : dict of str to int
        :data:`COUNTED` as the bench counted them.
    faults : dict of int to str
        Injected faults, by packet number.
    updates : dict of int to ParameterImage
        Images loaded during the run, by the first packet that uses them.
    busy : int64 array [2, units] or None
        Cycles in which each unit of `spec.units.units` worked: all, and those of the steady
        part. None for a design without probes, such as a netlist.
    interrupts : int64 array [3] or None
        Level of ``irq`` with no flag enabled, with every flag enabled, and after clearing them.
    seconds : float
        Wall-clock time of the simulation, without the build.
    simulator : str
        Name and version.
    waves : Path or None
        Recorded waveform.
    """

    config: Config
    beats: list[np.ndarray]
    users: np.ndarray
    stamps: dict[str, np.ndarray]
    extra_beats: int
    codes: list[np.ndarray] | None
    cycles: int
    registers: dict[str, int]
    counted: dict[str, int]
    faults: dict[int, str] = field(default_factory=dict)
    updates: dict[int, ParameterImage] = field(default_factory=dict)
    busy: np.ndarray | None = None
    interrupts: np.ndarray | None = None
    seconds: float
    simulator: str
    waves: Path | None = None

    @property
    def outputs(self) -> list[np.ndarray]:
        """Results of each packet: int64 [N, E], whole tokens only."""
        return [self._tokens(beats) for beats in self.beats]

    @property
    def errors(self) -> np.ndarray:
        """Error flag of each packet."""
        return (self.users >> self.config.wire.error_bit & 1).astype(bool)

    @property
    def sets(self) -> np.ndarray:
        """Parameter set returned with each packet; 0 without ``s_axis_tuser``."""
        return self.config.wire.answered_set(self.users)

    @property
    def tokens(self) -> int:
        """Tokens of good packets."""
        good = [len(beats) for beats, error in zip(self.beats, self.errors) if not error]
        return sum(good) // self.config.wire.output_beats

    @property
    def busy_cycles(self) -> int:
        """Cycles from the first input beat to the last output beat, both counted."""
        if not len(self.stamps["last_out"]):
            return 0
        return int(self.stamps["last_out"][-1] - self.stamps["first_in"][0]) + 1

    @property
    def cycles_per_token(self) -> float:
        """Steady rate: first output beat of the second packet to that of the last one.

        With several engines, to the last packet of the same engine. Without such a packet, or with
        bad packets, it is the whole run over all its tokens.
        """
        first, engines = self.stamps["first_out"], self.config.engines
        end = 1 + max(0, len(first) - 2) // engines * engines
        if end == 1 or self.errors.any():
            return self.busy_cycles / max(1, self.tokens)
        tokens = sum(map(len, self.beats[1:end])) / self.config.wire.output_beats
        return float(first[end] - first[1]) / max(1, tokens)

    @property
    def utilisation(self) -> float:
        """Share of the run in which every engine worked on a token: k · tokens / (n · cycles)."""
        return self.config.folds.steady_cycles * self.tokens / max(1, self.busy_cycles)

    @property
    def steady_part(self) -> int:
        """Cycles of the steady part: from the first result of the second packet to the last input.

        Before it queries wait for the first sequence, after it nothing is left to hash.
        """
        first, last = self.stamps["first_out"], self.stamps["last_in"]
        return max(0, int(last[-1] - first[1])) if len(first) > 1 else 0

    @property
    def units(self) -> dict[str, dict[str, Any]] | None:
        """How busy each unit was, in the run and in its steady part (`sim.utilisation`).

        None for a design without probes.
        """
        if self.busy is None:
            return None
        return utilisation(self.config, self.busy, (self.busy_cycles, self.steady_part))

    @property
    def bound_cycles(self) -> int | None:
        """Cycles that the best schedule takes for these sequences, without pipeline latency.

        With several engines, those of the slowest. None where `sim.schedule` knows no bound: for
        dataflows without slots, and with bad packets.
        """
        c = self.config
        if not c.flow.is_slotted or self.errors.any():
            return None
        lengths = [len(beats) // c.wire.output_beats for beats in self.beats]
        dealt = (lengths[i :: c.engines] for i in range(c.engines))
        return max(
            bound(mine, c.state_banks, c.cycles_per_token, max_tokens=c.max_tokens)
            for mine in dealt
        )

    def summary(self) -> dict[str, Any]:
        """The figures of the run as a dict for JSON."""
        return {
            "simulator": self.simulator,
            "sequences": len(self.beats),
            "tokens": self.tokens,
            "error_packets": int(self.errors.sum()),
            "cycles": self.busy_cycles,
            "cycles_per_token": round(self.cycles_per_token, 4),
            "configured_cycles_per_token": self.config.folds.steady_cycles,
            "utilisation": round(self.utilisation, 4),
            "units": self.units,
            "bound_cycles": self.bound_cycles,
            "seconds": round(self.seconds, 3),
            "cycles_per_second": round(self.cycles / max(1e-9, self.seconds)),
            "registers": self.registers,
        }

    def _tokens(self, beats):
        whole = len(beats) // self.config.wire.output_beats * self.config.wire.output_beats
        if not whole:  # an error answer is shorter than a token
            return np.zeros((0, self.config.value_dim), dtype=np.int64)
        return unpack_sequence(self.config, data_of(self.config, beats[:whole]))
