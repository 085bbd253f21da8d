"""The tested matrix: configurations that reach the ends of every range, and random ones."""

from dataclasses import replace

from ecoformer.config import MAX_XNOR_TOKENS, RANGES, Config

__all__ = ["edge_configs", "random_config"]

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
    "state_banks": 5,
    "parameter_sets": 11,
    "bus_bytes": 13,
}
MAX_MULTIPLIERS = 320
"""Multipliers of a random engine; more only makes its simulation slow to compile."""


def edge_configs():
    """Minimum, maximum and one prime of every range, and every k: dict name → Config."""
    base = dict(
        head_dim=6, value_dim=5, code_bits=7, anchors=5, max_tokens=24, cycles_per_token=16,
        parameter_sets=3, bus_bytes=8,
    )  # fmt: skip
    configs = {}
    for name, prime in PRIMES.items():
        for value in (RANGES[name][0], prime, RANGES[name][1]):
            changed = base | {name: value}
            if name in ("head_dim", "value_dim", "code_bits", "anchors") and value > 64:
                changed["cycles_per_token"] = 64
            if name == "bus_bytes" and value == 1:
                changed["cycles_per_token"] = 32
            configs[f"{name}={value}"] = Config(**changed)
    for exponent in range(11):
        k = 1 << exponent
        configs[f"cycles_per_token={k}"] = Config(**base | {"cycles_per_token": k, "bus_bytes": 16})
    for tokens in (1, 7, MAX_XNOR_TOKENS):
        configs[f"xnor, max_tokens={tokens}"] = Config(
            **base | {"dataflow": "xnor", "max_tokens": tokens}
        )
    return configs


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
        config = dict(
            sizes,
            code_bits=int(rng.integers(1, 33)),
            token_width=int(rng.integers(4, 9)),
            value_width=int(rng.integers(4, 9)),
            output_width=int(rng.integers(4, 25)),
            output_fraction=int(rng.integers(0, 13)),
            offset_fraction=int(rng.integers(0, 9)),
            max_tokens=int(rng.integers(1, 80)),
            cycles_per_token=1 << int(rng.integers(0, 8)),
            state_banks=int(rng.integers(2, 9)),
            parameter_sets=int(rng.integers(1, 10)),
            bus_bytes=int(2 ** rng.uniform(0, 7)),
        )
        try:
            config = Config(**config)
        except ValueError:
            continue
        if config.dot_fold.lanes + config.projection_fold.lanes > MAX_MULTIPLIERS:
            continue
        if config.state_fold.lanes > MAX_MULTIPLIERS:
            continue
        if config.max_tokens <= MAX_XNOR_TOKENS and rng.random() < 0.2:
            config = replace(config, dataflow="xnor")
        return config
