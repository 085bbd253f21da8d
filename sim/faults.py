# SPDX-License-Identifier: Apache-2.0
"""Bad packets: how a good sequence is corrupted, and how the engine must answer it."""

from ecoformer.errors import EcoformerError
from ecoformer.sim.contexts import FRESH, Asked
from ecoformer.sim.script import Packet
from ecoformer.sim.selection import selection
from ecoformer.spec.config import Config
from ecoformer.spec.parameters import ParameterImage
from ecoformer.spec.workload import Sequence, Workload

__all__ = ["FAULTS", "check_faults", "faults_of", "impossible_faults", "packet", "packets"]

FAULTS = ("truncated", "overlong", "unknown_set", "null_byte")
"""``tlast`` inside a token; more than ``max_tokens`` tokens; a set that is not loaded; a null byte
in the first token."""
OF_QUERIES = "query_"
"""What the names of faults of queries begin with, where they come by themselves."""
MISMATCH = "pair_mismatch"
"""Queries for another set than their keys."""


def faults_of(config: Config) -> tuple[str, ...]:
    """Faults that there are: those of a packet, and of pairs of packets where there are pairs."""
    more = [[f"{OF_QUERIES}{kind}" for kind in FAULTS] + [MISMATCH] for _ in config.wire.inlets[1:]]
    return (*FAULTS, *sum(more, []))


def impossible_faults(config: Config, sets: int) -> dict[str, str]:
    """Faults that no packet to an engine with ``sets`` loaded sets can have: kind → why."""
    reasons = {}
    for prefix, inlet in zip(("", OF_QUERIES), config.wire.inlets):
        if inlet.beats == 1:
            reasons[f"{prefix}truncated"] = "every beat ends a token; use a narrower bus"
        if not selection(config).reaches(sets):
            reasons[f"{prefix}unknown_set"] = "every set is loaded; load fewer"
        if not config.wire.keep_fields:
            reasons[f"{prefix}null_byte"] = "without tkeep every byte is data; set tkeep = true"
        if prefix and sets == 1:
            reasons[MISMATCH] = "only one set is loaded; load another"
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
        if kind not in (known := faults_of(config)):
            raise EcoformerError(f"fault {kind!r}: unknown; choose {', '.join(known)}")
        if not 0 <= index < len(workload):
            raise EcoformerError(f"fault in packet {index}: the workload has {len(workload)}")
        if kind in impossible:
            raise EcoformerError(f"fault {kind!r}: {impossible[kind]}")


def packet(
    config: Config,
    image: ParameterImage,
    sequence: Sequence,
    kind: str | None,
    asked: Asked = FRESH,
) -> Packet:
    """The packet of a sequence, with a fault unless ``kind`` is None."""
    (index, tokens, values, *queries), every = sequence, config.input_beats
    partner = None
    for asking in queries:
        own = kind.removeprefix(OF_QUERIES) if kind and kind.startswith(OF_QUERIES) else None
        user = (index + 1) % image.sets if kind == MISMATCH else _user(image, index, own)
        beats = _beats(config, len(asking), config.wire.inlets[1].beats, own)
        partner = Packet.of_queries(config, user, asking, beats=beats)
    sent = Packet.of(
        config, _user(image, index, kind), tokens, values, asked, partner=partner,
        beats=_beats(config, len(tokens), every, kind),
    )
    return sent.with_keep_flipped(config, 0, 0) if kind == "null_byte" else sent


def _user(image, index, kind):
    return image.sets if kind == "unknown_set" else index


def _beats(config, tokens, every, kind):
    """Beats of a packet, None for all of its tokens."""
    beats = {"overlong": (config.max_tokens + 2) * every, "truncated": tokens * every - 1}
    return beats.get(kind or "")


def packets(
    config: Config, images: list[ParameterImage], workload: Workload, faults: dict[int, str]
) -> list[Packet]:
    """The packets of a workload, each with the image that it meets and perhaps a fault."""
    asked = map(Asked, workload.contexts.tolist(), map(bool, workload.begins.tolist()))
    return [
        packet(config, image, sequence, faults.get(i), context)
        for i, (image, sequence, context) in enumerate(
            zip(images, workload.sequences(), asked, strict=True)
        )
    ]
