# SPDX-License-Identifier: Apache-2.0
"""Bit-exact comparison of a simulation with the integer model; every difference is located."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from ecoformer.sim.contexts import history
from ecoformer.sim.contract import Answer, Resident, answer_to
from ecoformer.sim.faults import packets
from ecoformer.sim.rows import TID_SHIFT, answer_rows, data_of, error_row
from ecoformer.sim.run import SimulationRun
from ecoformer.spec.config import Config
from ecoformer.spec.parameters import ParameterImage
from ecoformer.spec.registers import constants, errors_of
from ecoformer.spec.wire import unpack_sequence
from ecoformer.spec.workload import Workload

__all__ = [
    "Mismatch", "Report", "compare", "compare_answers", "compare_extra", "compare_registers",
    "counters", "expected_outputs", "held_in",
]


@dataclass(frozen=True, kw_only=True)
class Mismatch:
    """One difference.

    Parameters
    ----------
    stage : str
        ``hash`` if the code of the token already differs, ``attention`` if it does not, ``output``
        if codes were not traced, ``packet`` for a wrong frame (set, error flag, beats),
        ``padding`` for unused bytes and ``tkeep``, ``register`` for a register or ``irq``,
        ``handshake`` for what must not happen in any cycle, ``stream`` for an engine that stops
        answering or never ends.
    phase, scene : str or None
        Phase of a plan and scene within it.
    sequence, token, lane : int or None
        Where; None if it does not apply. Sequences count from the start of the scene.
    got, want : int or None
        None for a value that never came or was not expected.
    what : str
        The quantity that differs.
    """

    stage: str
    phase: str | None = None
    scene: str | None = None
    sequence: int | None = None
    token: int | None = None
    lane: int | None = None
    got: int | None
    want: int | None
    what: str

    def __str__(self) -> str:
        where = " ".join(
            f"{name} {value}"
            for name in ("phase", "scene", "sequence", "token", "lane")
            if (value := getattr(self, name)) is not None
        )
        if self.got is None and self.want is None:
            return f"{where or 'run'}: {self.what} (stage {self.stage})"
        return f"{where or 'run'}: {self.what} is {self.got}, not {self.want} (stage {self.stage})"


@dataclass
class Report:
    """Result of a comparison.

    Parameters
    ----------
    sequences, words, codes, registers : int
        Packets, output elements, token codes and register values that were compared.
    mismatches : list of Mismatch
    """

    sequences: int = 0
    words: int = 0
    codes: int = 0
    registers: int = 0
    mismatches: list[Mismatch] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """True if there was something to compare and every bit agreed."""
        return not self.mismatches and self.sequences > 0

    def note(
        self,
        stage: str,
        got: Any,
        want: Any,
        what: str,
        *,
        sequence: int | None = None,
        token: Any = None,
        lane: Any = None,
    ) -> None:
        """Add a `Mismatch`; numbers may be numpy's."""
        plain = (None if number is None else int(number) for number in (token, lane, got, want))
        token, lane, got, want = plain
        self.mismatches.append(Mismatch(
            stage=stage, sequence=sequence, token=token, lane=lane, got=got, want=want, what=what,
        ))

    def as_dict(self) -> dict[str, Any]:
        """The report as a dict for JSON."""
        return {
            "ok": self.ok,
            "sequences": self.sequences,
            "words": self.words,
            "codes": self.codes,
            "registers": self.registers,
            "mismatches": [asdict(mismatch) for mismatch in self.mismatches],
        }


def expected_outputs(
    config: Config, image: ParameterImage, workload: Workload
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Results of the integer model per sequence: list of (int64 [N, E], guarded tokens)."""
    expected = _expected(config, [image] * len(workload), workload, {})
    return [(answer.outputs, answer.guarded) for answer in expected]


def compare(
    config: Config, image: ParameterImage, workload: Workload, run: SimulationRun
) -> Report:
    """Compare ``run`` with the integer model.

    Parameters
    ----------
    workload : Workload
        What was streamed; faults and updates are taken from ``run``.
    """
    report = Report()
    images = _images(image, run.updates, len(workload))
    expected = _expected(config, images, workload, run.faults)
    compare_answers(report, config, expected, run.beats, run.users.tolist(), run.codes)
    compare_extra(report, run.extra_beats, run.beats[len(workload) :])
    want = {**constants(config), **run.counted, **counters(config, expected)}
    compare_registers(report, want, run.registers)
    if run.interrupts is not None:
        levels = [0, int(want["ERRORS"] > 0), 0]
        for got, value, when in zip(run.interrupts, levels, ("disabled", "enabled", "cleared")):
            if got != value:
                report.note("register", got, value, f"irq, {when}")
    return report


def compare_answers(
    report: Report,
    config: Config,
    expected: list[Answer],
    beats: list[np.ndarray],
    users: list[int],
    codes: list[np.ndarray] | None,
) -> None:
    """Compare answers with what is expected, and the codes of their tokens if they are traced.

    Parameters
    ----------
    expected : list of Answer
    beats : list of uint8 [n, row]
        Every beat of each answer (`sim.rows`).
    users : list of int
        Number of each answer (`sim.selection`).
    codes : list of int64 [tokens, b] for every side, or None
        Per engine, the keys of the tokens of all packets; then those of queries that come by
        themselves.
    """
    wrong_codes = set() if codes is None else _compare_codes(report, config, expected, codes)
    wire = config.wire
    flag = 1 << wire.error_bit
    for i, answer in enumerate(expected):
        report.sequences += 1
        if i >= len(beats):
            report.note("packet", None, 1, "answer (1) or silence (None)", sequence=i)
            continue
        failed = bool(users[i] & flag)
        got, want = (
            (number >> TID_SHIFT, wire.answered_set(number & (1 << TID_SHIFT) - 1))
            for number in (users[i], answer.tag)
        )
        for what, value, wanted in zip(("context in tid", "parameter set in tuser"), got, want):
            if value != wanted:
                report.note("packet", value, wanted, what, sequence=i)
        if failed != (answer.error is not None):
            report.note(
                "packet", failed, answer.error is not None, "error bit in tuser", sequence=i
            )
        mine = beats[i]
        if answer.error is not None:
            body = answer.answered * config.wire.output_beats
            _compare_error(report, config, i, mine[body:])
            mine = mine[:body]
        if len(mine) and (answer.error is not None or not failed):
            got = _outputs(config, mine)
            # A wrong code corrupts the sums of its whole sequence, not only its own token.
            hashed_wrong = any(sequence == i for sequence, _ in wrong_codes)
            stage = "hash" if hashed_wrong else "output" if codes is None else "attention"
            _compare_tokens(report, i, got, answer.outputs, stage)
            _compare_padding(report, config, i, mine, got)


def compare_extra(report: Report, extra: int, unexpected: list[np.ndarray]) -> None:
    """Note ``extra`` beats after the last complete answer, and whole ``unexpected`` answers."""
    if extra := extra + sum(map(len, unexpected)):
        report.note("packet", extra, 0, "number of unexpected beats")


def compare_registers(report: Report, want: dict[str, int], got: dict[str, int]) -> None:
    """Compare the registers that ``want`` names."""
    for name, value in want.items():
        report.registers += 1
        if got.get(name) != value:
            report.note("register", got.get(name), value, name)


def counters(config: Config, expected: list[Answer]) -> dict[str, int]:
    """Counters and flags that the answers leave, by register; from zero."""
    errors = errors_of(config)
    counts = {error.name: sum(answer.error == error for answer in expected) for error in errors}
    counts["DENOMINATOR"] = sum(answer.guarded for answer in expected)
    return {
        **counts,
        "TOKENS": sum(answer.answered for answer in expected),
        "SEQUENCES": sum(answer.error is None for answer in expected),
        "ERRORS": sum((counts[error.name] > 0) << error for error in errors),
    }


def _expected(config, images, workload, faults):
    """The answer to every packet of a workload, under the image of each."""
    before = history(config)
    return [
        answer_to(config, before, sent, held_in(image))
        for image, sent in zip(images, packets(config, images, workload, faults), strict=True)
    ]


def held_in(image: ParameterImage | None) -> Resident:
    """What packets use while the sets of ``image`` are loaded, and no others."""
    sets = 0 if image is None else image.sets
    return lambda user, _: (image, user) if user < sets else (None, 0)


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


def _outputs(config, beats):
    """Results of an answer, whole tokens only: int64 [N, E]."""
    whole = len(beats) // config.output_beats * config.output_beats
    if not whole:  # an error answer is shorter than a token
        return np.zeros((0, config.value_dim), dtype=np.int64)
    return unpack_sequence(config, data_of(config, beats[:whole]))


def _compare_codes(report, config, expected, codes):
    """Compare the traced codes; returns the (sequence, token) pairs whose code differs."""
    wrong, at = set(), [0] * len(codes)
    for i, answer in enumerate(expected):
        for stream, want in enumerate(answer.codes):
            if not len(want):
                continue
            place = i % config.engines + stream * config.engines  # packets are dealt in turn
            got = codes[place][at[place] : at[place] + len(want)]
            at[place] += len(want)
            report.codes += len(got)
            for token, bit in zip(*np.nonzero(got != want[: len(got)])):
                wrong.add((i, int(token)))
                report.note(
                    "hash", got[token, bit], want[token, bit],
                    config.wire.inlets[stream].bit_name(int(bit)), sequence=i, token=token,
                )
    for got, want in zip(codes, at, strict=True):
        if len(got) != want:
            report.note("hash", len(got), want, "number of traced tokens")
    return wrong


def _compare_tokens(report, i, got, want, stage):
    if len(got) != len(want):
        report.note("packet", len(got), len(want), "number of tokens", sequence=i)
    count = min(len(got), len(want))
    report.words += want[:count].size
    for token, lane in zip(*np.nonzero(got[:count] != want[:count])):
        report.note(
            stage, got[token, lane], want[token, lane], "output", sequence=i, token=token,
            lane=lane,
        )


def _compare_padding(report, config, i, beats, outputs):
    clean = answer_rows(config, outputs)
    if len(beats) != len(clean):
        report.note("packet", len(beats), len(clean), "number of beats", sequence=i)
        return
    for beat, byte in zip(*np.nonzero(beats != clean)):
        report.note(
            "padding", beats[beat, byte], clean[beat, byte],
            f"{_place(config, byte)} of beat {beat}", sequence=i, token=beat // config.output_beats,
        )


def _place(config, byte):
    """What is at a place of a row."""
    keep = byte - config.bus_bytes
    return f"byte {byte}" if keep < 0 else f"tkeep[{8 * keep + 7}:{8 * keep}]"


def _compare_error(report, config, i, beats):
    if len(beats) != 1:
        report.note("packet", len(beats), 1, "number of beats of an error answer", sequence=i)
    want = error_row(config)
    for _, byte in zip(*np.nonzero(beats[:1] != want[: len(beats)])):
        report.note(
            "packet", beats[0, byte], want[0, byte], f"{_place(config, byte)} of an error answer",
            sequence=i,
        )
