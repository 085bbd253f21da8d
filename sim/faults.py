# SPDX-License-Identifier: Apache-2.0
"""Bad packets: how a good sequence is corrupted, and how the engine must answer it."""

import numpy as np

from ecoformer.errors import EcoformerError
from ecoformer.sim.selection import selection
from ecoformer.spec.config import Config
from ecoformer.spec.parameters import ParameterImage
from ecoformer.spec.wire import pack_sequence
from ecoformer.spec.workload import Sequence, Workload

__all__ = ["FAULTS", "COUNTERS", "traced_tokens", "packet", "check_faults", "impossible_faults"]

FAULTS = ("truncated", "overlong", "unknown_set")
"""``tlast`` inside a token; more than ``max_tokens`` tokens; a set that is not loaded."""
COUNTERS = {"truncated": "MISALIGNED", "overlong": "TOO_LONG", "unknown_set": "UNKNOWN_SET"}
"""Error counter that each fault raises."""


def impossible_faults(config: Config, sets: int) -> dict[str, str]:
    """Faults that no packet to an engine with ``sets`` loaded sets can have: kind → why."""
    reasons = {}
    if config.wire.input_beats == 1:
        reasons["truncated"] = "every beat ends a token; use a narrower bus"
    if not selection(config).reaches(sets):
        reasons["unknown_set"] = "every set is loaded; load fewer"
    return reasons


def check_faults(
    config: Config, image: ParameterImage, workload: Workload, faults: dict[int, str]
) -> None:
    """Refuse faults that cannot be made with this configuration and workload.

    Parameters
    ----------
    faults : dict of int to str
        Kind of fault by packet number.

    Raises
    ------
    EcoformerError
    """
    impossible = impossible_faults(config, image.sets)
    for index, kind in faults.items():
        if kind not in FAULTS:
            raise EcoformerError(f"fault {kind!r}: unknown; choose {', '.join(FAULTS)}")
        if not 0 <= index < len(workload):
            raise EcoformerError(f"fault in packet {index}: the workload has {len(workload)}")
        if kind in impossible:
            raise EcoformerError(f"fault {kind!r}: {impossible[kind]}")


def packet(
    config: Config, image: ParameterImage, sequence: Sequence, kind: str | None
) -> tuple[np.ndarray, int]:
    """Beats (uint8 [n, bus_bytes]) and ``tuser`` of one packet, with a fault unless None."""
    index, tokens, values = sequence
    if kind == "overlong":
        repeats = (np.arange(config.max_tokens + 2)) % len(tokens)
        tokens, values = tokens[repeats], values[repeats]
    beats = pack_sequence(config, tokens, values)
    if kind == "truncated":
        beats = beats[:-1]
    if kind == "unknown_set":
        index = image.sets
    return beats, index


def traced_tokens(config: Config, sequence: Sequence, kind: str | None) -> np.ndarray:
    """Tokens of a packet (int64 [N, D]) that reach the hash unit."""
    _, tokens, _ = sequence
    if kind == "unknown_set":
        return tokens[:0]
    if kind == "truncated":
        return tokens[:-1]
    if kind == "overlong":
        return tokens[np.arange(config.max_tokens) % len(tokens)]
    return tokens
