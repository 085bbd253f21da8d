# SPDX-License-Identifier: Apache-2.0
import contextlib
import copy

import numpy as np
import pytest

from ecoformer.sim.rtl import Rtl
from ecoformer.sim.stimulus import random_image
from ecoformer.spec.config import Config
from ecoformer.spec.registers import Error
from tests.emitted import emitted
from tests.sim.fault_scripts import judge, packet_error, play, random_script, run_scripts
from tests.sim.test_engine import SMALL

CONFIG = SMALL["primes"]


def draw(config, count, seed=0):
    """Image and scripts."""
    rng = np.random.default_rng(seed)
    image = random_image(config, rng, sets=max(1, config.parameter_sets - 1))
    return image, [random_script(config, rng, image) for _ in range(count)]


@pytest.mark.parametrize("name", ["primes", "no tuser"])
def test_after_any_faults_the_next_packet_is_exact(builds, name):
    config = SMALL[name]
    image, scripts = draw(config, 25)
    text = emitted(config, name="ecoformer_engine")
    outcome = run_scripts(config, text, image, scripts, builds)
    assert not outcome.mismatches and not outcome.hangs
    assert outcome.scripts == 25 and outcome.exact > 50
    kinds = ["MISALIGNED", "TOO_LONG", "UNKNOWN_SET", "ABORTED", "reset", "reload"]
    assert all(outcome.faults[kind] > 3 for kind in kinds), outcome.faults


@pytest.fixture(scope="module")
def played(builds):
    """Image, scene and result of every scene of a few scripts."""
    image, scripts = draw(CONFIG, 4, seed=1)
    text = emitted(CONFIG, name="ecoformer_engine")
    with contextlib.closing(Rtl(CONFIG, text, image, builds)) as rtl:
        return image, [(scene, play(rtl, scene)) for script in scripts for scene in script]


def mismatches(played, change):
    """Texts about the scenes of ``played`` whose result ``change`` alters; it returns True then."""
    image, scenes = played
    found, changed = [], 0
    for scene, result in scenes:
        altered = copy.deepcopy(result)
        if change(altered):
            changed += 1
            found.append(judge(CONFIG, image, scene, altered).mismatches)
    assert changed
    return found


def flip_a_bit(result):
    if not len(result["beats"]):
        return False
    result["beats"] = result["beats"].copy()
    result["beats"][-1, 0] ^= 1
    return True


def lose_an_answer(result):
    if len(result["ends"]) < 2:
        return False
    first, second = result["ends"][:2]
    result["beats"] = np.concatenate([result["beats"][:first], result["beats"][second:]])
    result["ends"] = np.concatenate([[first], result["ends"][2:] - (second - first)])
    result["users"] = np.delete(result["users"], 1)
    return True


def repeat_the_last_answer(result):
    ends = [0, *result["ends"]]
    if len(ends) < 2 or len(result["beats"]) != ends[-1]:
        return False
    result["beats"] = np.concatenate([result["beats"], result["beats"][ends[-2] : ends[-1]]])
    result["ends"] = np.append(result["ends"], 2 * ends[-1] - ends[-2])
    result["users"] = np.append(result["users"], result["users"][-1])
    return bool(result["registers"])  # before a reset it might be the answer to an equal packet


def lose_the_last_answer(result):
    ends = result["ends"]
    if not result["registers"]:
        return False  # before a reset it might not have come yet
    result["beats"] = result["beats"][: ends[-2] if len(ends) > 1 else 0]
    result["ends"], result["users"] = ends[:-1], result["users"][:-1]
    return True


def refuse_a_write(result):
    result["refused"] = 1
    return True


def change_tuser(result):
    result["users"] = result["users"] ^ 1
    return len(result["users"]) > 0


def count_too_few(result):
    if not result["registers"].get("TOKENS"):
        return False
    result["registers"]["TOKENS"] -= 1
    return True


def miss_a_busy_cycle(result):
    if not result["registers"]:
        return False
    result["counted"][0] += 1
    return True


@pytest.mark.parametrize(
    "change",
    [
        flip_a_bit, lose_an_answer, lose_the_last_answer, repeat_the_last_answer, change_tuser,
        count_too_few, miss_a_busy_cycle, refuse_a_write,
    ],
)
def test_what_is_wrong_is_seen(played, change):
    assert not any(mismatches(played, lambda result: True))
    assert all(mismatches(played, change))


def test_silence_is_a_hang(played):
    image, scenes = played
    for scene, result in scenes:
        assert judge(CONFIG, image, scene, result).hangs == 0
        assert judge(CONFIG, image, scene, {**result, "silent": True}).hangs == 1


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
    assert config.input_beats == 2 and packet_error(config, beats, known) == error
