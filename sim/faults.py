# SPDX-License-Identifier: Apache-2.0
"""Bad packets: how a good sequence is corrupted, and how the engine must answer it."""

from ecoformer.errors import EcoformerError
from ecoformer.sim.contexts import FRESH, Asked
from ecoformer.sim.script import Packet
from ecoformer.sim.selection import selection
from ecoformer.spec.config import Config
from ecoformer.spec.parameters import ParameterImage
from ecoformer.spec.workload import Sequence, Workload

__all__ = ["FAULTS", "check_faults", "impossible_faults", "packet", "packets"]

FAULTS = ("truncated", "overlong", "unknown_set", "null_byte")
"""``tlast`` inside a token; more than ``max_tokens`` tokens; a set that is not loaded; a null byte
in the first token."""


def impossible_faults(config: Config, sets: int) -> dict[str, str]:
    """Faults that no packet to an engine with ``sets`` loaded sets can have: kind → why."""
    reasons = {}
    if config.wire.input_beats == 1:
        reasons["truncated"] = "every beat ends a token; use a narrower bus"
    if not selection(config).reaches(sets):
        reasons["unknown_set"] = "every set is loaded; load fewer"
    if not config.wire.keep_fields:
        reasons["null_byte"] = "without tkeep every byte is data; set tkeep = true"
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
    config: Config,
    image: ParameterImage,
    sequence: Sequence,
    kind: str | None,
    asked: Asked = FRESH,
) -> Packet:
    """The packet of a sequence, with a fault unless ``kind`` is None."""
    (index, tokens, values), every = sequence, config.input_beats
    beats = {"overlong": (config.max_tokens + 2) * every, "truncated": len(tokens) * every - 1}
    index = image.sets if kind == "unknown_set" else index
    sent = Packet.of(config, index, tokens, values, asked, beats=beats.get(kind or ""))
    return sent.with_keep_flipped(config, 0, 0) if kind == "null_byte" else sent


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
