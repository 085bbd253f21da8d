# SPDX-License-Identifier: Apache-2.0
"""What engines pack to on ECP5, kept by their Verilog so that an interrupted run continues."""

import hashlib
import json
import tempfile
from dataclasses import asdict
from pathlib import Path

from benchmarks.devices import ECP5
from ecoformer.files import write_json
from ecoformer.hw.emit.verilog import emit
from ecoformer.hw.synth.flow import pack, synthesise
from ecoformer.hw.synth.targets import TARGETS
from ecoformer.spec.config import Config

__all__ = ["is_kept", "packed"]

TOP = "ecoformer_engine"


def packed(config: Config, kept: Path) -> dict[str, int]:
    """Cells, multipliers and block RAM after packing, as ``LUT``, ``FF``, ``DSP``, ``block RAM``.

    They are kept in the folder ``kept``, and taken from there for the same Verilog.
    """
    verilog = emit(config, TOP)
    path = _path(verilog, kept)
    if not path.exists():
        target = TARGETS["ecp5"]
        with tempfile.TemporaryDirectory() as scratch:
            figures = synthesise(verilog, TOP, target, Path(scratch), units=False, jobs=1)
            pack(figures, Path(scratch), device=ECP5["device"])
        kept.mkdir(parents=True, exist_ok=True)
        counts = target.totals(figures["packed"])
        write_json(path, {"config": asdict(config), "packed": counts})
    return json.loads(path.read_text())["packed"]


def is_kept(config: Config, kept: Path) -> bool:
    """Whether `packed` has measured an engine before."""
    return _path(emit(config, TOP), kept).exists()


def _path(verilog, kept):
    return kept / f"{hashlib.sha256(verilog.encode()).hexdigest()[:16]}.json"
