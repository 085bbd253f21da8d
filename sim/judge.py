# SPDX-License-Identifier: Apache-2.0
"""The record of a scene against the contract: every beat, handshake, register and interrupt."""

from __future__ import annotations

from collections import Counter

import numpy as np

from ecoformer.sim.compiled import State
from ecoformer.sim.contract import answers
from ecoformer.sim.record import Record
from ecoformer.sim.script import Read, Scene, Write
from ecoformer.sim.verify import (
    Report,
    compare_answers,
    compare_extra,
    compare_registers,
    counters,
)
from ecoformer.spec.config import Config
from ecoformer.spec.registers import REGISTERS, Error, constants, errors_of

__all__ = ["judge"]

STATES = {
    State.SILENT: "nothing moves any more: number of answers",
    State.OVERDUE: "more cycles have passed than the packets can take: number of answers",
    State.BABBLING: "more beats come than the packets can be answered with",
}
NAMES = {register.offset: name for name, register in REGISTERS.items()}
FLAG_CYCLES = 16
"""Cycles after which an answered error has certainly set its flag."""


def judge(config: Config, scene: Scene, record: Record) -> tuple[Report, Counter]:
    """Compare the record of ``scene`` with what the contract says.

    Returns
    -------
    Report
    Counter
        What happened: answered errors by name, ``reset``, ``load`` and ``stall``.
    """
    report = Report()
    expected = answers(config, scene, record.taken, record.commits, record.aborts)
    finished = [answer for answer in expected if answer.finished]
    happened = Counter(answer.error.name for answer in finished if answer.error is not None)
    happened["load"] += len(record.commits)
    happened["reset"] += scene.cut
    _judge_stream(report, config, scene, record, expected)
    _judge_accesses(report, record)
    _judge_interrupt(report, config, record, expected)
    for event, got in record.levels:
        report.registers += 1
        if got != event.high:
            report.note("register", got, event.high, "irq")
    if record.registers:
        want = {**constants(config), **counters(config, finished), **record.counted}
        if refused := len(_refused_sets(config, record.accesses[: record.settled])):
            want["SET_REFUSED"] = refused
            want["ERRORS"] |= 1 << Error.SET_REFUSED
        cleared = _written(record.accesses[: record.settled], "ERRORS")
        if cleared:
            want["ERRORS"] = _flags(config, record, expected, cleared)
        compare_registers(report, want, record.registers)
        for what, value, wanted in record.flags:
            report.registers += 1
            if value != wanted:
                report.note("register", value, wanted, what)
    return report, happened


def _judge_stream(report, config, scene, record, expected):
    if not record.quiet:
        report.note("handshake", 1, 0, "active in reset: a valid or ready pin")
    for cycle, what in record.violations:
        report.note("handshake", None, None, f"in cycle {cycle} {what}")
    if record.state in STATES:
        report.note("stream", len(record.beats), len(scene.packets), STATES[record.state])
    expected, following = [a for a in expected if a.finished], expected[len(record.beats) :]
    answered = len(record.beats)
    done = record.state is State.DONE
    # An abort may catch the token that is just being hashed; then codes are not to be counted.
    codes = None if record.aborts or not done else record.codes
    compare_answers(
        report, config, expected if done else expected[:answered], record.beats, record.users,
        codes,
    )
    if done:
        compare_extra(report, len(record.rest), record.beats[len(expected) :])
    elif answered > len(expected):
        compare_extra(report, 0, record.beats[len(expected) :])
    elif len(record.rest) and scene.cut and not _begins(following, record.rest):
        report.note(
            "packet", len(record.rest), 0, "beats before the reset that are not of the next answer"
        )


def _begins(following, rest):
    """Whether the beats ``rest`` begin the first of the answers ``following``."""
    if not following:
        return False
    want = following[0].beats
    return len(rest) <= len(want) and np.array_equal(rest, want[: len(rest)])


def _judge_accesses(report, record):
    for access in record.accesses:
        event, response = access.event, access.response
        where = NAMES.get(event.address, f"{event.address:#04x}")
        what = "write to" if isinstance(event, Write) else "read of"
        report.registers += 1
        if response is None:
            report.note("register", None, 0, f"response to a {what} {where}")
        elif event.refused is not None and response != 2 * event.refused:
            report.note("register", response, 2 * event.refused, f"response to a {what} {where}")
        elif isinstance(event, Read) and not event.refused:
            got = access.data & event.mask
            if got != event.want & event.mask:
                report.note("register", got, event.want & event.mask, where)


def _written(accesses, name):
    """The accesses that wrote a register, in order."""
    return [
        access for access in accesses
        if isinstance(access.event, Write) and access.event.address == REGISTERS[name].offset
        and access.response == 0
    ]


def _refused_sets(config, accesses):
    """The accesses that wrote a queued NEXT_SET in vain, in order."""
    if Error.SET_REFUSED not in errors_of(config):
        return []
    return [
        access for access in accesses
        if isinstance(access.event, Write) and access.event.refused
        and access.event.address == REGISTERS["NEXT_SET"].offset
    ]


def _causes(config, record, expected):
    """When each flag is set: (flag, earliest cycle, latest cycle)."""
    for access in _refused_sets(config, record.accesses):
        yield Error.SET_REFUSED, access.cycle, access.cycle + 1
    for i, answer in enumerate(expected):
        last = record.stamps["last_out"]
        latest = int(last[i]) + FLAG_CYCLES if i < len(last) else float("inf")
        if answer.error is not None:
            yield answer.error, answer.cause, latest
        if answer.guarded:
            yield Error.DENOMINATOR, answer.since, latest


def _flags(config, record, expected, cleared):
    """ERRORS at the end, if its flags were cleared on the way; as read where it cannot be known."""
    flags = 0
    for flag in Error:
        clears = [a.cycle for a in cleared if a.event.data >> flag & 1]
        cleared_at = max(clears, default=-1)
        spans = [span[1:] for span in _causes(config, record, expected) if span[0] == flag]
        if any(earliest > cleared_at for earliest, _ in spans):
            flags |= 1 << flag
        elif any(latest > cleared_at for _, latest in spans):
            flags |= record.registers["ERRORS"] & 1 << flag
    return flags


def _judge_interrupt(report, config, record, expected):
    """``irq`` rises only for an enabled flag that has a cause, and falls only when it is asked to.

    Levels at rest are compared elsewhere.
    """
    enables = _written(record.accesses, "IRQ_ENABLE")
    asked = [access.cycle for access in enables + _written(record.accesses, "ERRORS")]
    causes = [(flag, earliest) for flag, earliest, _ in _causes(config, record, expected)]
    for cycle, level in record.interrupts:
        mask = next((a.event.data for a in reversed(enables) if a.cycle < cycle), 0)
        if level and not any(mask >> flag & 1 and when < cycle for flag, when in causes):
            report.note("register", 1, 0, f"irq in cycle {cycle}, for no enabled flag, ")
        if not level and not any(cycle - 3 <= when < cycle for when in asked):
            report.note("register", 0, 1, f"irq in cycle {cycle}, which nothing has cleared, ")
