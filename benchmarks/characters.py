# SPDX-License-Identifier: Apache-2.0
"""Characters from a trained decoder in hardware: written by its scores, context by context.

A host draws every character from the scores of the compiled Verilog and sends it back, to many
contexts in turn. The integer network sees the same characters. Then all of them are sent again, as
fast as they are taken.
"""

import json
import sys
import time

import numpy as np

from benchmarks.results.records import ROOT
from benchmarks.results.section import SIMULATING, arguments, begin
from ecoformer.golden.quantize.writing import Writer, integer_answers
from ecoformer.sim.network.answers import answers_of
from ecoformer.sim.network.compiled import CompiledNetwork
from ecoformer.sim.network.text import record_of, rtl_answers, tape_of
from ecoformer.spec.alphabet import as_text
from ecoformer.spec.network.decoder import DecoderDesign
from ecoformer.spec.network.image import NetworkImage

__all__ = ["EXAMPLE", "compare", "cycles_alone", "main"]

EXAMPLE = ROOT / "examples" / "characters"
FILES = "network.toml", "network.safetensors", "export.json"
BUILDS = ROOT / "build" / "networks"
TEMPERATURES = {1.0: "1", 0.25: "¼"}
SHOWN = 12
"""Words that are shown."""
PIECE = 512
"""Characters that are sent in a row."""


def main() -> int:
    parser = arguments(__doc__)
    parser.add_argument("--characters", type=int, default=10_000, help="of each row")
    run = begin(parser)
    options = run.options
    design = DecoderDesign.load(EXAMPLE / FILES[0])
    image = NetworkImage.load(EXAMPLE / FILES[1], design)
    figures = json.loads((EXAMPLE / FILES[2]).read_text(encoding="utf-8"))
    network = CompiledNetwork.of(design, image, BUILDS)
    answer, rows, words = rtl_answers(design, network), [], []
    for temperature, name in TEMPERATURES.items():
        writer = Writer(design, answer, design.score_scale / temperature, options.seed)
        rows.append([name, *compare(writer, network, image, options.characters)])
        written = [as_text(design.alphabet, text) for text in writer.texts[-SHOWN:]]
        words.append(f"At temperature {name}: {', '.join(filter(None, written))}.")
    before, after = (figures["network"][f"{kind}perplexity"] for kind in ("float_", ""))
    run.write_section(
        "networks", "characters", "Generated characters from a whole decoder",
        ["temperature", "characters sent", "scores, Verilog ≠ integer network",
         "sent again at full rate, Verilog ≠ integer network", "cycles a character, all contexts",
         "cycles a character, one context", "simulated cycles a second"],
        rows,
        headline=f"{rows[0][2]} scores differ over {rows[0][1]} characters, {rows[0][4]} cycles "
        "each",
        tools=SIMULATING, files=[f"examples/characters/{name}" for name in FILES],
        notes=[
            f"Perplexity on {figures['held_out_contexts']:,} held-out names: {before:.3f} of the "
            f"float network, {after:.3f} of the integer network.",
            *words,
        ],
    )
    return 0 if all(row[2].startswith("0 ") and row[3].startswith("0 ") for row in rows) else 1


def compare(
    writer: Writer, network: CompiledNetwork, image: NetworkImage, count: int
) -> list[str]:
    """Rest of a row: what the hardware wrote against the integer network."""
    design = writer.design
    began = time.monotonic()
    while len(writer.rows) < count:
        writer.step(design.contexts)
    scores = np.concatenate(writer.scores)
    want = integer_answers(design, image)(writer.rows)
    tape, again, cycles, steady = tape_of(writer.rows), [], 0, 0.0
    for start in range(0, len(tape), PIECE):
        record = record_of(network, design, tape[start : start + PIECE])
        again.append(answers_of(design, record))
        cycles += record.cycles
        late = record.last_out[len(record.last_out) // 2 :]
        steady = max(steady, float(np.diff(late).mean()) if len(late) > 1 else 0.0)
    return [
        f"{len(scores):,}",
        f"{int((scores != want).sum()):,} of {want.size:,}",
        f"{int((np.concatenate(again) != want).sum()):,} of {want.size:,}",
        f"{steady:.1f}",
        f"{cycles_alone(design, network)}",
        f"{cycles / (time.monotonic() - began):,.0f}",
    ]


def cycles_alone(design: DecoderDesign, network: CompiledNetwork) -> int:
    """Cycles from a character to the last score of what may follow it, with nothing else to do."""
    alone = record_of(network, design, tape_of([(design.vocabulary - 1, 0, True)]))
    return int(alone.last_out[0] - alone.first_in[0])


if __name__ == "__main__":
    sys.exit(main())
