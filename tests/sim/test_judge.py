# SPDX-License-Identifier: Apache-2.0
import contextlib
import copy
from dataclasses import replace
from itertools import islice

import numpy as np
import pytest

from ecoformer.sim.bench import play
from ecoformer.sim.build import build
from ecoformer.sim.compiled import CompiledEngine, State
from ecoformer.sim.compiled_bench import CompiledBench, run_now
from ecoformer.sim.contract import packet_error
from ecoformer.sim.judge import judge
from ecoformer.sim.phases import PHASES
from ecoformer.sim.phases.draw import Draw
from ecoformer.sim.record import Violation
from ecoformer.spec.config import Config
from ecoformer.spec.registers import Error
from tests.emitted import emitted
from tests.sim.test_engine import SMALL

CONFIG = SMALL["primes"]


@pytest.fixture(scope="module")
def played(builds):
    """A few random scenes and their records."""
    built = build(emitted(CONFIG, name="ecoformer_engine"), builds, simulator="compiled")
    draw = Draw(CONFIG, np.random.default_rng(1), 1_000_000)
    scenes = list(islice(PHASES["scripts"].random(draw), 12))
    with contextlib.closing(CompiledEngine(built.folder)) as engine:
        bench = CompiledBench(CONFIG, engine)
        return [(scene, run_now(play(bench, CONFIG, scene))) for scene in scenes]


def flip_a_bit(record):
    if not record.beats:
        return False
    record.beats[-1] = record.beats[-1].copy()
    record.beats[-1][-1, 0] ^= 1
    return True


def drop_answer(number):
    def change(record):
        if len(record.beats) < 2 or not record.registers:
            return False  # before a reset it might not have come yet
        del record.beats[number], record.users[number]
        return True

    return change


def repeat_the_last_answer(record):
    if not record.beats or not record.registers:
        return False
    record.beats.append(record.beats[-1])
    record.users.append(record.users[-1])
    return True


def add_a_beat(record):
    record.rest = np.zeros((1, CONFIG.bus_bytes), np.uint8)
    return bool(record.registers)


def change_tuser(record):
    record.users = [user ^ 1 for user in record.users]
    return len(record.users) > 0


def set_the_error_bit(record):
    record.users = [user ^ 1 << CONFIG.tuser_width for user in record.users]
    return len(record.users) > 0


def count_too_few(record):
    if not record.registers.get("TOKENS"):
        return False
    record.registers["TOKENS"] -= 1
    return True


def miss_a_busy_cycle(record):
    record.counted["BUSY"] += 1
    return bool(record.registers)


def refuse_an_access(record):
    if not record.accesses:
        return False
    record.accesses[0] = replace(record.accesses[0], response=2)
    return True


def interrupt_for_nothing(record):
    record.interrupts = [(-1, 1)]
    return True


def withdraw_a_beat(record):
    record.violations = [Violation(7, "m_axis_tvalid falls before the beat is taken")]
    return True


def be_active_in_reset(record):
    record.quiet = False
    return True


def fall_silent(record):
    record.state = State.SILENT
    return True


@pytest.mark.parametrize(
    "change",
    [
        flip_a_bit, drop_answer(1), drop_answer(-1), repeat_the_last_answer, add_a_beat,
        change_tuser, set_the_error_bit, count_too_few, miss_a_busy_cycle, refuse_an_access,
        interrupt_for_nothing, withdraw_a_beat, be_active_in_reset, fall_silent,
    ],
)
def test_what_is_wrong_is_seen(played, change):
    changed = 0
    for scene, record in played:
        assert not judge(CONFIG, scene, record)[0].mismatches
        altered = copy.deepcopy(record)
        if change(altered):
            changed += 1
            assert judge(CONFIG, scene, altered)[0].mismatches
    assert changed > 2


@pytest.mark.parametrize(
    "beats, known, error",
    [
        (6, True, None), (2, True, None), (1, True, (0, Error.MISALIGNED)),
        (5, True, (4, Error.MISALIGNED)), (7, True, (6, Error.TOO_LONG)),
        (8, True, (6, Error.TOO_LONG)), (6, False, (0, Error.UNKNOWN_SET)),
        (9, False, (0, Error.UNKNOWN_SET)),
    ],
)
def test_the_rules_of_the_contract(beats, known, error):
    config = Config(
        head_dim=2, value_dim=2, bus_bytes=2, max_tokens=3, cycles_per_token=4, code_bits=2,
        output_width=8,
    )
    assert config.input_beats == 2
    assert packet_error(config, beats, known, config.max_tokens) == error


@pytest.mark.parametrize(
    "beats, known, mismatch, error",
    [
        (6, True, 0, (0, Error.KEEP_MISMATCH)), (6, True, 5, (5, Error.KEEP_MISMATCH)),
        (5, True, 4, (4, Error.KEEP_MISMATCH)), (5, True, 3, (3, Error.KEEP_MISMATCH)),
        (9, True, 5, (5, Error.KEEP_MISMATCH)), (9, True, 6, (6, Error.TOO_LONG)),
        (9, True, 8, (6, Error.TOO_LONG)), (6, False, 0, (0, Error.UNKNOWN_SET)),
    ],
)
def test_null_bytes_come_after_the_set_and_the_length_and_before_tlast(
    beats, known, mismatch, error
):
    config = Config(head_dim=2, value_dim=2, bus_bytes=2, max_tokens=3, tkeep=True)
    assert packet_error(config, beats, known, config.max_tokens, mismatch) == error
