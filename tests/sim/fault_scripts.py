# SPDX-License-Identifier: Apache-2.0
"""Random fault scripts: whatever can go wrong on the wire, and exactly what must come back.

A script is a few scenes between resets. Into each go good packets and bad ones, in any order,
with random gaps and back-pressure; while they stream, soft resets abort packets, a parameter set is
replaced or loaded for the first time, and ``aresetn`` may cut the scene off at any cycle. What
must come back follows from the contract and from the cycles in which the engine took beats and
register writes; every beat and every counter is compared.
"""

import contextlib
from collections import Counter
from dataclasses import dataclass, field

import numpy as np

from ecoformer.golden.integer.attention import attend
from ecoformer.sim.compiled import State
from ecoformer.sim.job import TAIL_CYCLES
from ecoformer.sim.rtl import CHUNK_CYCLES, Rtl
from ecoformer.sim.run import COUNTED
from ecoformer.sim.stimulus import random_image, random_workload
from ecoformer.spec.programming import register_writes
from ecoformer.spec.registers import REGISTERS, Error
from ecoformer.spec.wire import pack_outputs, pack_sequence

__all__ = [
    "Packet", "Scene", "Outcome", "random_script", "run_scripts", "play", "judge", "packet_error",
]

STALLS = (0.0, 0.0, 0.1, 0.4, 0.8)
"""Probabilities of a gap and of back-pressure that scenes draw from."""
CONTROL, COMMIT = (REGISTERS[name].offset for name in ("CONTROL", "COMMIT"))
SOFT_RESET = REGISTERS["CONTROL"]["SOFT_RESET"].mask
RESET = None
"""Address of the action that ends a scene with the reset of the next one."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Packet:
    """One packet to send.

    Parameters
    ----------
    user : int
        Parameter set it asks for.
    tokens, values : int64 array [N, D], [N, E]
    beats : uint8 array [n, bus_bytes]
        The beats of the tokens; a bad packet has fewer or more.
    """

    user: int
    tokens: np.ndarray
    values: np.ndarray
    beats: np.ndarray


@dataclass(frozen=True, kw_only=True, eq=False)
class Scene:
    """What happens to an engine from one reset to the next, or to the end.

    Parameters
    ----------
    packets : list of Packet
    reset_cycles : int
        Cycles that ``aresetn`` is low before.
    gaps, pressure : float
        Probability of a cycle without an input beat, and of one that accepts no output beat.
    seed : int
        Of the stalls.
    actions : list of (sent, delay, address, data)
        Register writes: ``delay`` cycles after ``sent`` beats were taken and the action before was
        done. The address :data:`RESET` ends the scene.
    reload : ParameterImage
        Its set 0 becomes the set that COMMIT names in the actions, if it does.
    """

    packets: list
    reset_cycles: int
    gaps: float
    pressure: float
    seed: int
    actions: list
    reload: object


@dataclass
class Outcome:
    """What came of scripts.

    Parameters
    ----------
    scripts, packets, exact : int
        Scripts run, packets answered, and good ones among them that agreed bit by bit.
    faults : Counter
        Answered errors by name, and the resets and reloads that happened.
    hangs : int
        Scenes in which nothing moved any more.
    mismatches : list of str
    """

    scripts: int = 0
    packets: int = 0
    exact: int = 0
    faults: Counter = field(default_factory=Counter)
    hangs: int = 0
    mismatches: list = field(default_factory=list)

    def add(self, other):
        """Count another outcome in."""
        for name in ("scripts", "packets", "exact", "hangs"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.faults += other.faults
        self.mismatches += other.mismatches


def packet_error(config, beats, known):
    """Beat that makes a packet bad and its `Error`, or None: the rules of the contract.

    Parameters
    ----------
    beats : int
        Beats of the packet.
    known : bool
        Whether its parameter set is loaded.
    """
    if not known:
        return 0, Error.UNKNOWN_SET
    if beats > config.max_tokens * config.input_beats:
        return config.max_tokens * config.input_beats, Error.TOO_LONG
    if beats % config.input_beats:
        return beats - 1, Error.MISALIGNED
    return None


def random_script(config, rng, image):
    """One to three scenes, all but the last ending in a reset: list of Scene.

    Parameters
    ----------
    config : Config
    rng : numpy.random.Generator
    image : ParameterImage
        Loaded after every reset; perhaps fewer sets than the engine holds.
    """
    count = int(rng.integers(1, 4))
    return [_scene(config, rng, image, cut=i < count - 1) for i in range(count)]


def run_scripts(config, verilog, image, scripts, build_dir):
    """Run ``scripts`` (lists of Scene) on the compiled engine and compare; returns an `Outcome`.

    Raises
    ------
    EcoformerError
        The engine does not answer a register access, or moves beats in reset.
    """
    outcome = Outcome(scripts=len(scripts))
    with contextlib.closing(Rtl(config, verilog, image, build_dir)) as rtl:
        for number, script in enumerate(scripts):
            for scene in script:
                judged = judge(config, image, scene, play(rtl, scene))
                judged.mismatches = [f"script {number}: {text}" for text in judged.mismatches]
                outcome.add(judged)
    return outcome


def play(rtl, scene):
    """Let ``scene`` happen to the engine of an `Rtl`.

    Returns
    -------
    dict
        The records of `CompiledEngine`; ``acted``, the cycles in which the actions were taken;
        ``refused``, how many were not answered OKAY; ``silent``, whether nothing moved any more;
        ``counted`` at the pins; ``registers`` by name, empty if a reset ended the scene.
    """
    c, engine = rtl.config, rtl.engine
    rtl.reset(scene.reset_cycles)
    lengths = [len(packet.beats) for packet in scene.packets]
    engine.begin(
        np.concatenate([packet.beats for packet in scene.packets]),
        np.cumsum(lengths) - 1,
        [packet.user for packet in scene.packets],
        stall=scene.gaps, pressure=scene.pressure, seed=scene.seed, tail=TAIL_CYCLES,
        patience=50 * ((c.max_tokens + 64) * c.cycles_per_token + c.transform_cycles) + 4096,
    )
    state, acted, refused, cut = State.RUNNING, [], 0, False
    for sent, delay, address, data in scene.actions:
        while state is State.RUNNING and engine.sent < sent:
            state = engine.advance(1)
        if state is State.RUNNING and delay:
            state = engine.advance(delay)
        cut = state is State.RUNNING and address is RESET
        if cut or state is not State.RUNNING:
            break
        acted.append(engine.cycles)  # the write is taken in the next cycle to come
        refused += engine.write(address, data) != 0
    while state is State.RUNNING and not cut:
        state = engine.advance(CHUNK_CYCLES)
    records = engine.records()
    return {
        **records,
        "beats": records["beats"].reshape(-1, c.bus_bytes),
        "acted": acted,
        "refused": refused,
        "silent": state is State.SILENT,
        "counted": engine.counted(),
        "registers": {} if cut else rtl.registers(),
    }


def judge(config, image, scene, result):
    """Compare the result of one scene with what the contract says; returns an `Outcome`."""
    outcome = Outcome(hangs=int(result["silent"]))
    if result["refused"]:
        outcome.mismatches.append(f"{result['refused']} register writes are refused")
    expected, counters = _expected(config, image, scene, result, outcome)
    cut = not result["registers"]
    ends = result["ends"].tolist()
    answers = [result["beats"][a:b] for a, b in zip([0, *ends], ends, strict=False)]
    rest = result["beats"][ends[-1] if ends else 0 :]
    for i, (got, user) in enumerate(zip(answers, result["users"].tolist(), strict=True)):
        if i >= len(expected):
            outcome.mismatches.append(f"answer {i}: unexpected")
            continue
        want, wanted_user, error = expected[i]
        if user != wanted_user:
            outcome.mismatches.append(f"answer {i}: tuser is {user}, not {wanted_user}")
        if not np.array_equal(got, want):
            outcome.mismatches.append(f"answer {i}: beats differ, {len(got)} of {len(want)}")
        elif error is None:
            outcome.exact += 1
    outcome.packets = len(answers)
    if cut:
        outcome.faults["reset"] += 1
        following = [want for want, _, _ in expected[len(answers) : len(answers) + 1]]
        if len(rest) and not (following and np.array_equal(rest, following[0][: len(rest)])):
            outcome.mismatches.append("the beats before the reset are not of the next answer")
    else:
        if len(rest):
            outcome.mismatches.append(f"{len(rest)} beats after the last answer")
        if len(answers) < len(scene.packets):
            outcome.mismatches.append(f"{len(answers)} answers to {len(scene.packets)} packets")
        counters |= dict(zip(COUNTED, result["counted"], strict=True))
        outcome.mismatches += [
            f"{name} is {result['registers'][name]}, not {value}"
            for name, value in counters.items()
            if result["registers"][name] != value
        ]
    return outcome


def _expected(config, image, scene, result, outcome):
    """Answers to the packets taken, (beats, tuser, error) each, and the counters they leave."""
    acted = list(zip(result["acted"], scene.actions, strict=False))
    aborts = [cycle for cycle, action in acted if action[2] == CONTROL]
    commits = [(cycle, action[3]) for cycle, action in acted if action[2] == COMMIT]
    outcome.faults["reload"] += len(commits)
    counters = dict.fromkeys([error.name for error in Error] + ["TOKENS", "SEQUENCES"], 0)
    expected, at = [], 0
    for packet in scene.packets:
        count = len(packet.beats)
        taken = result["taken"][at : at + count].tolist()
        at += count
        if not taken:
            break
        reloaded = any(cycle < taken[0] and index == packet.user for cycle, index in commits)
        error = _error(config, packet, taken, reloaded or packet.user < image.sets, aborts)
        tag = packet.user if config.tuser_width else 0
        if error is not None:
            zero = np.zeros((1, config.bus_bytes), dtype=np.uint8)
            expected.append((zero, tag | 1 << config.tuser_width, error))
            outcome.faults[error.name] += 1
            counters[error.name] += 1
        elif len(taken) == count:
            used, index = (scene.reload, 0) if reloaded else (image, packet.user)
            outputs, guarded = attend(config, used, index, packet.tokens, packet.values)
            expected.append((pack_outputs(config, outputs), tag, None))
            counters["DENOMINATOR"] += int(guarded)
            counters["TOKENS"] += len(outputs)
            counters["SEQUENCES"] += 1
    counters["ERRORS"] = sum((counters[error.name] > 0) << error for error in Error)
    return expected, counters


def _error(config, packet, taken, known, aborts):
    """Error of a packet whose beats were taken in the cycles ``taken``, perhaps not all of them.

    A soft reset hits a packet that began before it and was not complete before it, unless it was
    found bad before or in the same cycle.
    """
    count, never = len(packet.beats), float("inf")
    found = packet_error(config, count, known)
    when = taken[found[0]] if found and found[0] < len(taken) else never
    end = taken[-1] if len(taken) == count else never
    if any(taken[0] < cycle <= end and cycle < when for cycle in aborts):
        return Error.ABORTED
    return found[1] if when < never else None


def _scene(config, rng, image, *, cut):
    bad = [*(rng.random(rng.integers(3, 9)) < 0.4), False]
    packets = [_packet(config, rng, image, bad=spoil) for spoil in bad]
    total = sum(len(packet.beats) for packet in packets)
    reload = random_image(config, rng, sets=1)
    actions = []
    for _ in range(rng.integers(0, 4)):
        actions.append((int(rng.integers(0, total + 1)), _delay(config, rng), CONTROL, SOFT_RESET))
    if rng.random() < 0.5:
        sent = int(rng.integers(0, total + 1))
        index = int(rng.integers(min(image.sets + 1, config.parameter_sets)))
        words = [(word >> 32 & 0xFF, word & 0xFFFFFFFF) for word in register_writes(config, reload)]
        actions += [(sent, 0, address, data) for address, data in words[:-1]]
        actions.append((sent, _delay(config, rng), COMMIT, index))
    if cut:
        actions.append((int(rng.integers(0, total + 1)), _delay(config, rng, 60), RESET, 0))
    return Scene(
        packets=packets,
        reset_cycles=int(rng.integers(1, 4)),
        gaps=float(rng.choice(STALLS)),
        pressure=float(rng.choice(STALLS)),
        seed=int(rng.integers(1 << 30)),
        actions=sorted(actions, key=lambda action: action[0]),
        reload=reload,
    )


def _delay(config, rng, most=3):
    """Cycles: mostly few, sometimes enough to reach behind the last beat of a packet."""
    return int(rng.integers(most * config.cycles_per_token + 1)) if rng.random() < 0.5 else 0


def _packet(config, rng, image, *, bad):
    """A packet of few tokens; a bad one has a wrong set, a wrong number of beats, or both."""
    longest = config.max_tokens if rng.random() < 0.3 else min(5, config.max_tokens)
    sequence = random_workload(config, rng, 1, lengths=(1, longest), sets=image.sets)
    ((user, tokens, values),) = sequence.sequences()
    beats = pack_sequence(config, tokens, values)
    if bad:
        numbers = 1 << (config.tuser_width or 32)
        choice = rng.integers(4)
        if choice == 0 and image.sets < numbers:
            near = rng.random() < 0.5
            user = image.sets if near else int(rng.integers(image.sets, numbers))
        if choice <= 1:
            beats = beats[: rng.integers(1, len(beats) + 1)]
        elif choice == 2:
            more = config.max_tokens * config.input_beats + rng.integers(1, 3 * config.input_beats)
            beats = beats[np.arange(more) % len(beats)]
        else:
            beats = beats[: len(beats) - rng.integers(config.input_beats)]
    count = len(beats) // config.input_beats
    if count <= len(tokens):
        tokens, values = tokens[:count], values[:count]
    return Packet(user=user, tokens=tokens, values=values, beats=beats)
