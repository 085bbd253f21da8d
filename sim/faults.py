"""Bad packets: how a good sequence is spoilt, and what the engine must answer to it."""

import numpy as np

from ecoformer.errors import EcoformerError
from ecoformer.spec.wire import pack_sequence

__all__ = ["FAULTS", "COUNTERS", "traced_tokens", "packet", "check_faults", "impossible_faults"]

FAULTS = ("truncated", "overlong", "unknown_set")
"""``tlast`` inside a token; more than ``max_tokens`` tokens; a set that is not loaded."""
COUNTERS = {"truncated": "MISALIGNED", "overlong": "TOO_LONG", "unknown_set": "UNKNOWN_SET"}
"""Error counter that each fault raises."""


def impossible_faults(config, sets):
    """Kinds of fault that an engine with ``sets`` loaded sets cannot be given: dict kind → why."""
    reasons = {}
    if config.input_beats == 1:
        reasons["truncated"] = "every beat ends a token; use a narrower bus"
    if config.tuser_width and sets >> config.tuser_width:
        reasons["unknown_set"] = "every set is loaded; load fewer"
    return reasons


def check_faults(config, image, workload, faults):
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


def packet(config, image, sequence, kind):
    """Beats (uint8 [n, bus_bytes]) and ``tuser`` of one packet, spoilt by ``kind`` unless None."""
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


def traced_tokens(config, sequence, kind):
    """Tokens of a packet (int64 [N, D]) that the hash unit sees."""
    _, tokens, _ = sequence
    if kind == "unknown_set":
        return tokens[:0]
    if kind == "truncated":
        return tokens[:-1]
    if kind == "overlong":
        return tokens[np.arange(config.max_tokens) % len(tokens)]
    return tokens
