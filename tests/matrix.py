# SPDX-License-Identifier: Apache-2.0
"""The tested matrix: the ends of every range, every pair of values, and random sizes."""

from collections import OrderedDict
from itertools import combinations

from allpairspy import AllPairs

from ecoformer.sim.stimulus import random_image, random_workload
from ecoformer.spec.choices import CHOICES, Queries, ValueTerm
from ecoformer.spec.config import GOALS, RANGES, SWITCHES, Config
from ecoformer.spec.memory_map import MemoryMap

__all__ = ["edge_configs", "pair_configs", "random_config", "uncovered_pairs", "trial"]

PRIMES = {
    "head_dim": 31,
    "value_dim": 29,
    "code_bits": 13,
    "anchors": 23,
    "token_width": 7,
    "value_width": 5,
    "output_width": 17,
    "output_fraction": 7,
    "offset_fraction": 3,
    "max_tokens": 97,
    "engines": 3,
    "state_banks": 5,
    "contexts": 61,
    "parameter_sets": 11,
    "bus_bytes": 13,
    "tuser_width": 13,
    "next_set_depth": 7,
}
FOLDINGS = tuple(1 << exponent for exponent in range(11))
PAIRED_FOLDINGS = (1, 2, 32, 1_024)
MAX_MULTIPLIERS = 320
"""Multipliers of a tested engine; more only makes its simulation slow to compile."""
SMALLEST = dict(
    head_dim=1, value_dim=1, code_bits=1, anchors=1, max_tokens=1, cycles_per_token=1_024,
    engines=1, parameter_sets=1, bus_bytes=512, output_width=4, output_fraction=0,
    offset_fraction=0, token_width=4, value_width=4, state_banks=2,
)
"""What completes a pair of values: whatever the pair is, it is buildable if it can be."""

LONGEST = 64
"""Tokens of the longest sequence of a trial; an engine for more is tested on shorter ones."""
MOST_WORK = 600_000
"""Lane-steps of a trial over all its tokens, so that wide engines get fewer of them."""
MOST_WORDS = 3_000
"""Parameter words that a trial loads, if one set has no more."""


def edge_configs():
    """Minimum, maximum and one prime of every range, and every choice: dict name → Config."""
    base = dict(
        head_dim=6, value_dim=5, code_bits=7, anchors=5, max_tokens=24, cycles_per_token=16,
        parameter_sets=3, bus_bytes=8,
    )
    configs = {}
    for name, prime in PRIMES.items():
        for value in (RANGES[name][0], prime, RANGES[name][1]):
            changed = base | {name: value}
            if name in ("head_dim", "value_dim", "code_bits", "anchors") and value > 64:
                changed["cycles_per_token"] = 64
            if name == "bus_bytes" and value == 1:
                changed["cycles_per_token"] = 32
            if name == "engines":
                changed["bus_bytes"] = 16
            changed = _paired(changed)
            configs[f"{name}={value}"] = Config(**changed)
    for k in FOLDINGS:
        configs[f"cycles_per_token={k}"] = Config(**base | {"cycles_per_token": k, "bus_bytes": 16})
    for term in ValueTerm:  # a state of several columns of cells
        wide = {"cycles_per_token": 1, "code_bits": 13, "value_dim": 19, "bus_bytes": 64}
        configs[f"cycles_per_token=1, value_term={term}"] = Config(
            **base | wide | {"value_term": term}
        )
    configs["tuser_width=2"] = Config(**base | {"tuser_width": 2})  # just enough for 3 sets
    for name, choices in CHOICES.items():
        for value in choices.built():
            configs[f"{name}={value}"] = Config(**_paired(base | {name: value}))
    for tokens in (1, 2, 13, 100):
        configs[f"softmax, max_tokens={tokens}"] = Config(
            **_paired(base | {"hash": "none", "max_tokens": tokens})
        )
    for dataflow, changes in {"xnor": {}, "softmax": {"hash": "none"}}.items():
        configs[f"{dataflow}, engines=2"] = Config(
            **base | {"dataflow": dataflow, "engines": 2, **changes}
        )
    for tokens in (1, 7, 100):
        configs[f"xnor, max_tokens={tokens}"] = Config(
            **base | {"dataflow": "xnor", "max_tokens": tokens}
        )
    for bits, k in ((1, 1), (13, 2), (30, 16), (128, 64)):
        configs[f"bucketed, code_bits={bits}, k={k}"] = Config(
            **base
            | {"dataflow": "bucketed", "code_bits": bits, "cycles_per_token": k, "bus_bytes": 16}
        )
    for bits, k in ((1, 1), (40, 2), (13, 64)):
        configs[f"hadamard, code_bits={bits}, k={k}"] = Config(
            **base
            | {"hash": "hadamard", "code_bits": bits, "cycles_per_token": k, "bus_bytes": 16}
        )
    configs["hadamard, serial"] = Config(**base | {
        "hash": "hadamard", "head_dim": 9, "value_dim": 8, "cycles_per_token": 128, "bus_bytes": 1,
    })
    for name, changes in {
        "k=1": {"cycles_per_token": 1, "bus_bytes": 32},
        "k=1, codes": {"cycles_per_token": 1, "bus_bytes": 16, "hash": "codes"},
        "linear": {"hash": "linear", "weights": "ternary", "value_term": "own"},
        "serial": {"head_dim": 9, "value_dim": 8, "cycles_per_token": 128, "bus_bytes": 1},
        "bucketed": {"dataflow": "bucketed"},
        "xnor": {"dataflow": "xnor"},
        "softmax": {"dataflow": "softmax", "hash": "none"},
        "engines=2": {"engines": 2, "bus_bytes": 16, "tuser_width": 0},
    }.items():
        configs[f"queries=separate, {name}"] = Config(**base | changes | {"queries": "separate"})
    for name, changes in {
        "k=4": {"cycles_per_token": 4, "contexts": 7, "bus_bytes": 16},
        "k=4, codes, own": {
            "cycles_per_token": 4, "contexts": 2, "hash": "codes", "value_term": "own",
        },
        "k=64": {"cycles_per_token": 64, "contexts": 3, "bus_bytes": 1},
        "one token": {"max_tokens": 1, "contexts": 3},
        "no tuser": {"tuser_width": 0, "contexts": 16},
        "separate": {"queries": "separate", "contexts": 5, "hash": "linear"},
        "xnor": {"dataflow": "xnor", "contexts": 5},
        "xnor, separate, own": {
            "dataflow": "xnor", "contexts": 2, "queries": "separate", "value_term": "own",
        },
    }.items():
        configs[f"mask=causal, {name}"] = Config(**base | {"mask": "causal"} | changes)
    for name, changes in {
        "k=1": {"cycles_per_token": 1, "bus_bytes": 32},
        "k=2, codes": {"cycles_per_token": 2, "bus_bytes": 16, "hash": "codes"},
        "linear": {"hash": "linear", "weights": "ternary", "state_banks": 4},
        "k=128, bytes": {"head_dim": 9, "value_dim": 8, "cycles_per_token": 128, "bus_bytes": 1},
        "one token": {"max_tokens": 1},
        "bucketed": {"dataflow": "bucketed", "hash": "linear"},
        "xnor": {"dataflow": "xnor"},
    }.items():
        configs[f"queries=cross, {name}"] = Config(**base | changes | {"queries": "cross"})
    for name, changes in {
        "padded": {}, "whole": {"bus_bytes": 1}, "one beat": {"bus_bytes": 13},
        "k=1": {"cycles_per_token": 1, "bus_bytes": 16},
        "serial": {"head_dim": 9, "value_dim": 8, "cycles_per_token": 128, "bus_bytes": 1},
        "separate": {"queries": "separate", "hash": "codes"},
        "contexts": {"mask": "causal", "contexts": 3},
        "engines=2": {"engines": 2, "bus_bytes": 16, "tuser_width": 0},
        "error_low": {"error_low": True, "bus_bytes": 5},
    }.items():
        configs[f"tkeep, {name}"] = Config(**_paired({**base, "tkeep": True, **changes}))
    for name, changes in {
        "tuser": {}, "no tuser": {"tuser_width": 0}, "contexts": {"mask": "causal", "contexts": 3},
    }.items():
        configs[f"error_low, {name}"] = Config(**{**base, "error_low": True, **changes})
    for name, changes in {
        "contexts": {"mask": "causal", "contexts": 3}, "k=1": {"cycles_per_token": 1},
    }.items():
        configs[f"next_set_depth, {name}"] = Config(
            **_paired({**base, "bus_bytes": 16, "next_set_depth": 2, **changes})
        )
    for bits, tokens in ((1, 3), (13, 100), (30, 50)):
        configs[f"own, code_bits={bits}, max_tokens={tokens}"] = Config(
            **base | {"value_term": "own", "code_bits": bits, "max_tokens": tokens}
        )
    return configs


def pair_configs():
    """Configurations that hold every buildable pair of values of two fields: list of Config.

    Values are every choice, and minimum, maximum and a prime of every range.
    """
    levels = _levels()
    names = list(levels)
    rows = [
        dict(zip(names, row))
        for row in AllPairs(levels, filter_func=lambda row: _fits(dict(zip(names, row))))
    ]
    left = _pairs(levels).difference(*map(_pairs_of, rows))
    while left:  # pairs that a row built from left to right does not reach
        row = {}
        for pair in sorted(left, key=sorted):
            joined = row | dict(pair)
            if all(joined[name] == value for name, value in row.items()) and _fits(joined):
                row = joined
        if not row:
            break
        rows.append({name: {**_smallest(row), **_paired(row)}[name] for name in names})
        left -= _pairs_of(rows[-1])
    return [_complete(row) for row in rows]


def uncovered_pairs(configs):
    """Pairs of values that no configuration holds: dict (field, value, field, value) → why."""
    levels = _levels()
    held = (_pairs_of({name: getattr(c, name) for name in levels}) for c in configs)
    reasons = {}
    for pair in _pairs(levels).difference(*held):
        (one, a), (other, b) = sorted(pair)
        try:
            _complete(dict(pair))
            reasons[one, a, other, b] = ""
        except ValueError as error:
            reasons[one, a, other, b] = str(error)
    return reasons


def random_config(rng):
    """A configuration of random sizes, few of them powers of two, small enough to simulate.

    Parameters
    ----------
    rng : numpy.random.Generator
    """
    while True:
        sizes = {
            name: int(2 ** rng.uniform(0, 6.2)) for name in ("head_dim", "value_dim", "anchors")
        }
        chosen = {
            name: str(rng.choice(choices.built()))
            for name, choices in CHOICES.items()
            if name not in ("queries", "mask")  # last, after what older seeds draw
        }
        config = dict(
            sizes,
            **chosen,
            code_bits=int(rng.integers(1, 33)),
            token_width=int(rng.integers(4, 9)),
            value_width=int(rng.integers(4, 9)),
            output_width=int(rng.integers(4, 25)),
            output_fraction=int(rng.integers(0, 13)),
            offset_fraction=int(rng.integers(0, 9)),
            max_tokens=int(rng.integers(1, 80)),
            cycles_per_token=1 << int(rng.integers(0, 8)),
            engines=int(rng.choice([1, 1, 1, 2, 3, 5])),
            state_banks=int(rng.integers(2, 9)),
            parameter_sets=int(rng.integers(1, 10)),
            bus_bytes=int(2 ** rng.uniform(0, 7)),
            tuser_width=int(rng.choice([0, 4, 8, 16])),
        )
        if rng.random() < 0.8:
            config["dataflow"] = "accumulate"
        config["queries"] = str(rng.choice(list(Queries)[:2]))
        if rng.random() < 0.25:
            config |= {"mask": "causal", "contexts": int(2 ** rng.uniform(0, 6.2))}
        elif rng.random() < 0.25:
            config["queries"] = "cross"
        config |= {name: bool(rng.random() < 0.25) for name in SWITCHES}
        config["next_set_depth"] = int(rng.choice([0, 1, 2, 5])) * (config["tuser_width"] == 0)
        try:
            config = Config(**config)
        except ValueError:
            continue
        if _simulates(config):
            return config


def trial(config, rng, sequences):
    """A random image and workload that a simulator can do in seconds.

    Parameters
    ----------
    config : Config
    rng : numpy.random.Generator
    sequences : int

    Returns
    -------
    image : ParameterImage
    workload : Workload
    """
    words = len(MemoryMap(config).load_words(random_image(config, rng, sets=1), 0))
    sets = max(1, min(config.parameter_sets, 8, MOST_WORDS // words))
    folds = [*config.hash_folds.values(), config.state_fold]
    work = sum(fold.lanes * fold.steps for fold in folds) + config.cycles_per_token
    longest = max(1, min(LONGEST, config.max_tokens, MOST_WORK // work // sequences * 2))
    image = random_image(config, rng, sets=sets)
    return image, random_workload(config, rng, sequences, lengths=(1, longest), sets=sets)


def _levels():
    levels = OrderedDict(
        (name, list(choices.built())) for name, choices in CHOICES.items()
    )
    for name, (low, high) in RANGES.items():
        if name == "cycles_per_token":
            levels[name] = list(PAIRED_FOLDINGS)
        elif name not in GOALS:
            levels[name] = [low, PRIMES[name], high]
    levels |= {name: [False, True] for name in SWITCHES}
    return OrderedDict((name, values) for name, values in levels.items() if len(values) > 1)


def _smallest(part):
    return {**{name: values[0] for name, values in _levels().items()}, **_least(part)}


def _complete(part):
    return Config(**_paired({**_least(part), **part}))


def _least(part):
    """The smallest of what ``part`` leaves open; contexts are least without sums of values."""
    return SMALLEST | ({"value_term": "own"} if part.get("contexts", 1) > 1 else {})


def _paired(part):
    """``part`` with softmax attention where there is no hash, the reverse, and alike a mask.

    With ``tuser`` where queries come by themselves, and without where sets wait in a queue.
    """
    if part.get("next_set_depth"):
        part = {"tuser_width": 0, **part}
    if part.get("queries") == Queries.CROSS:
        part = {"tuser_width": PRIMES["tuser_width"], **part}
    if part.get("contexts", 1) > 1:
        part = {"mask": "causal", **part}
    if part.get("hash") == "none":
        return {"dataflow": "softmax", **part}
    return {"hash": "none", **part} if part.get("dataflow") == "softmax" else part


def _fits(part):
    try:
        return _simulates(_complete(part))
    except ValueError:
        return False


def _simulates(config):
    hashing = sum(fold.lanes for fold in config.hash_folds.values())
    return config.engines * max(hashing, config.state_fold.lanes) <= MAX_MULTIPLIERS


def _pairs(levels):
    return {
        frozenset(((one, a), (other, b)))
        for one, other in combinations(levels, 2)
        for a in levels[one]
        for b in levels[other]
    }


def _pairs_of(row):
    return {frozenset(pair) for pair in combinations(row.items(), 2)}
