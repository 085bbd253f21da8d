# SPDX-License-Identifier: Apache-2.0
"""Bit-exact comparison of a simulation with the integer model; every difference is located."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from ecoformer.golden.integer.attention import attend
from ecoformer.golden.integer.hashing import hash_tokens
from ecoformer.sim.faults import COUNTERS, traced_tokens
from ecoformer.sim.run import SimulationRun
from ecoformer.sim.selection import selection
from ecoformer.spec.config import Config
from ecoformer.spec.parameters import ParameterImage
from ecoformer.spec.registers import Error, constants
from ecoformer.spec.wire import pack_outputs
from ecoformer.spec.workload import Workload

__all__ = ["compare", "expected_outputs", "Report", "Mismatch"]


@dataclass(frozen=True, kw_only=True)
class Mismatch:
    """One difference.

    Parameters
    ----------
    stage : str
        ``hash`` if the code of the token already differs, ``attention`` if it does not, ``output``
        if codes were not traced, ``packet`` for a wrong frame (set, error flag, beats),
        ``padding`` for unused bytes, ``register`` for a constant or a counter.
    sequence, token, lane : int or None
        Where; None if it does not apply.
    got, want : int or None
        None for a value that never came or was not expected.
    what : str
        The quantity that differs.
    """

    stage: str
    sequence: int | None = None
    token: int | None = None
    lane: int | None = None
    got: int | None
    want: int | None
    what: str

    def __str__(self) -> str:
        where = " ".join(
            f"{name} {value}"
            for name in ("sequence", "token", "lane")
            if (value := getattr(self, name)) is not None
        )
        return f"{where or 'run'}: {self.what} is {self.got}, not {self.want} (stage {self.stage})"


@dataclass
class Report:
    """Result of a comparison.

    Parameters
    ----------
    sequences, words, codes : int
        Sequences, output elements and token codes that were compared.
    mismatches : list of Mismatch
    """

    sequences: int = 0
    words: int = 0
    codes: int = 0
    mismatches: list[Mismatch] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """True if there was something to compare and every bit agreed."""
        return not self.mismatches and self.sequences > 0

    def as_dict(self) -> dict[str, Any]:
        """The report as a dict for JSON."""
        return {
            "ok": self.ok,
            "sequences": self.sequences,
            "words": self.words,
            "codes": self.codes,
            "mismatches": [asdict(mismatch) for mismatch in self.mismatches],
        }


def expected_outputs(
    config: Config, image: ParameterImage, workload: Workload
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Results of the integer model per sequence: list of (int64 [N, E], guarded tokens)."""
    return [
        attend(config, image, index, tokens, values)
        for index, tokens, values in workload.sequences()
    ]


def compare(
    config: Config, image: ParameterImage, workload: Workload, run: SimulationRun
) -> Report:
    """Compare ``run`` with the integer model.

    Parameters
    ----------
    workload : Workload
        What was streamed; faults and updates are taken from ``run``.
    """
    report, select = Report(), selection(config)
    images = _images(image, run.updates, len(workload))
    wrong_codes = _compare_codes(report, config, images, workload, run)
    guarded = tokens = 0
    outputs, errors, sets = run.outputs, run.errors, run.sets
    for i, sequence in enumerate(workload.sequences()):
        want, count = attend(config, images[i], *sequence)
        report.sequences += 1
        fault = run.faults.get(i)
        if i >= len(outputs):
            _note(report, "packet", i, None, 1, "answer (1) or silence (None)")
            continue
        wanted = select.answered(image.sets if fault == "unknown_set" else sequence[0])
        if sets[i] != wanted:
            _note(report, "packet", i, sets[i], wanted, "parameter set in tuser")
        if errors[i] != (fault is not None):
            _note(report, "packet", i, errors[i], fault is not None, "error bit in tuser")
        if fault is not None:
            _compare_error(report, i, run.beats[i])
            continue
        guarded, tokens = guarded + int(count), tokens + len(want)
        if not errors[i]:
            # A wrong code corrupts the sums of its whole sequence, not only its own token.
            hashed_wrong = any(sequence == i for sequence, _ in wrong_codes)
            stage = "hash" if hashed_wrong else "output" if run.codes is None else "attention"
            _compare_tokens(report, i, outputs[i], want, stage)
            _compare_padding(report, config, i, run.beats[i], outputs[i])
    if run.extra_beats or len(outputs) > len(workload):
        extra = run.extra_beats + sum(map(len, run.beats[len(workload) :]))
        _note(report, "packet", None, extra, 0, "number of unexpected beats")
    _compare_registers(report, config, run, guarded, tokens, len(workload) - len(run.faults))
    return report


def _images(image, updates, count):
    """Image in use for each packet; an update replaces the first sets and keeps the others."""
    images = []
    for i in range(count):
        if i in updates:
            image = _replaced(image, updates[i])
        images.append(image)
    return images


def _replaced(image, update):
    updated = update.arrays()
    return type(image)(**{
        name: np.concatenate([updated[name], array[update.sets :]])
        for name, array in image.arrays().items()
    })


def _compare_codes(report, config, images, workload, run):
    """Compare the traced codes; returns the (sequence, token) pairs whose code differs."""
    if run.codes is None:
        return set()
    wrong, at = set(), [0] * config.engines
    for i, sequence in enumerate(workload.sequences()):
        tokens = traced_tokens(config, sequence, run.faults.get(i))
        want = hash_tokens(config, images[i], sequence[0], tokens)
        engine = i % config.engines  # packets are dealt in turn
        got = run.codes[engine][at[engine] : at[engine] + len(want)]
        at[engine] += len(want)
        report.codes += len(got)
        for token, bit in zip(*np.nonzero(got != want[: len(got)])):
            wrong.add((i, int(token)))
            _note(
                report, "hash", i, got[token, bit], want[token, bit],
                config.sides.bit_name(int(bit)), token=token,
            )
    for got, want in zip(run.codes, at, strict=True):
        if len(got) != want:
            _note(report, "hash", None, len(got), want, "number of traced tokens")
    return wrong


def _compare_tokens(report, i, got, want, stage):
    if len(got) != len(want):
        _note(report, "packet", i, len(got), len(want), "number of tokens")
    count = min(len(got), len(want))
    report.words += want[:count].size
    for token, lane in zip(*np.nonzero(got[:count] != want[:count])):
        _note(
            report, stage, i, got[token, lane], want[token, lane], "output", token=token, lane=lane,
        )


def _compare_padding(report, config, i, beats, outputs):
    clean = pack_outputs(config, outputs)
    if len(beats) != len(clean):
        _note(report, "packet", i, len(beats), len(clean), "number of beats")
        return
    for beat, byte in zip(*np.nonzero(beats != clean)):
        _note(
            report, "padding", i, beats[beat, byte], clean[beat, byte],
            f"byte {byte} of beat {beat}", token=beat // config.output_beats,
        )


def _compare_error(report, i, beats):
    if len(beats) != 1:
        _note(report, "packet", i, len(beats), 1, "number of beats of an error answer")
    for byte in np.flatnonzero(beats[:1].ravel()):
        _note(report, "packet", i, beats[0, byte], 0, f"byte {byte} of an error answer")


def _compare_registers(report, config, run, guarded, tokens, good):
    want = {**constants(config), **run.counted}
    want |= {"TOKENS": tokens, "SEQUENCES": good, "DENOMINATOR": guarded, "ABORTED": 0}
    for fault, register in COUNTERS.items():
        want[register] = sum(kind == fault for kind in run.faults.values())
    want["ERRORS"] = sum((want[flag.name] > 0) << flag for flag in Error)
    for name, value in want.items():
        got = run.registers.get(name)
        if got != value:
            _note(report, "register", None, got, value, name)
    if run.interrupts is not None:
        levels = [0, int(want["ERRORS"] > 0), 0]
        for got, value, when in zip(run.interrupts, levels, ("disabled", "enabled", "cleared")):
            if got != value:
                _note(report, "register", None, got, value, f"irq, {when}")


def _note(report, stage, sequence, got, want, what, *, token=None, lane=None):
    def plain(number):
        return None if number is None else int(number)

    report.mismatches.append(Mismatch(
        stage=stage, sequence=sequence, token=plain(token), lane=plain(lane),
        got=plain(got), want=plain(want), what=what,
    ))
