# SPDX-License-Identifier: Apache-2.0
"""Characters from trained decoders in hardware: written by their scores, context by context.

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

__all__ = ["EXAMPLES", "compare", "cycles_alone", "main"]

SECTIONS = {
    "characters": ("characters", "Generated characters from a whole decoder"),
    "moby-dick": ("text", "Generated text from a decoder that fills an FPGA"),
}
"""Name and title of the section of every decoder."""
EXAMPLES = {name: ROOT / "examples" / name for name in SECTIONS}
FILES = "network.toml", "network.safetensors", "export.json"
BUILDS = ROOT / "build" / "networks"
TEMPERATURES = {1.0: "1", 0.25: "¼"}
HELD_OUT = {"characters": "names", "moby-dick": "contexts of the text"}
"""What a decoder has learned, and is judged by."""
SHOWN = {"characters": 12, "moby-dick": 3}
"""Texts that are shown."""
PIECE = 512
"""Characters that are sent in a row."""


def main() -> int:
    parser = arguments(__doc__)
    parser.add_argument("network", nargs="?", default="characters", choices=EXAMPLES)
    parser.add_argument("--characters", type=int, default=10_000, help="of each row")
    run = begin(parser)
    options = run.options
    folder = EXAMPLES[options.network]
    design = DecoderDesign.load(folder / FILES[0])
    image = NetworkImage.load(folder / FILES[1], design)
    figures = json.loads((folder / FILES[2]).read_text(encoding="utf-8"))
    network = CompiledNetwork.of(design, image, BUILDS)
    answer, rows, texts = rtl_answers(design, network), [], []
    for temperature, name in TEMPERATURES.items():
        writer = Writer(design, answer, design.score_scale / temperature, options.seed)
        rows.append([name, *compare(writer, network, image, options.characters)])
        written = [as_text(design.alphabet, text).replace("\n", " ⏎ ")
                   for text in writer.texts[-SHOWN[options.network] :]]
        if shown := [f"`{text}`" for text in written if text]:
            texts.append(f"At temperature {name}: {', '.join(shown)}.")
    before, after = (figures["network"][f"{kind}perplexity"] for kind in ("float_", ""))
    run.write_section(
        "networks", *SECTIONS[options.network],
        ["temperature", "characters sent", "scores, Verilog ≠ integer network",
         "sent again at full rate, Verilog ≠ integer network", "cycles a character, all contexts",
         "cycles a character, one context", "simulated cycles a second"],
        rows,
        headline=f"{rows[0][2]} scores differ over {rows[0][1]} characters, {rows[0][4]} cycles "
        "each",
        tools=SIMULATING, files=[str((folder / name).relative_to(ROOT)) for name in FILES],
        engines=[f"network {options.network}"],
        notes=[
            f"Perplexity on {figures['held_out_contexts']:,} held-out "
            f"{HELD_OUT[options.network]}: {before:.3f} of the float network, {after:.3f} of the "
            "integer network.",
            *texts,
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
