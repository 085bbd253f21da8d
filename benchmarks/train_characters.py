# SPDX-License-Identifier: Apache-2.0
"""The parameters in ``examples/characters``: a decoder trained on names, in integers.

First names and surnames are those of the package `names`. A tenth of them is held out; nothing
learns from it.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from benchmarks.packages import download
from benchmarks.results.records import ROOT
from ecoformer.files import write_atomic
from ecoformer.golden.attention_config import IN_HARDWARE, AttentionConfig
from ecoformer.golden.learn.decoder import perplexity, train_decoder
from ecoformer.golden.learn.words import Words, batch_of, read_words
from ecoformer.golden.networks.decoder import Decoder, DecoderConfig
from ecoformer.golden.quantize.decoder import decoder_shape, integer_logits, quantise_decoder
from ecoformer.presets import find_config
from ecoformer.progress import show_progress
from ecoformer.spec.network.decoder import DecoderDesign

__all__ = ["EXAMPLE", "load_words", "main", "make_model", "write_example"]

EXAMPLE = ROOT / "examples" / "characters"
PRESET = "characters"
NAMES = "names==0.3.0"
LISTS = "dist.female.first", "dist.male.first", "dist.all.last"
CALIBRATION = 2_000
"""Words that set the scales of integers."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=6_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("-o", "--output", type=Path, default=EXAMPLE)
    parser.add_argument("--threads", type=int, default=1, help="the last digits depend on them")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    design = DecoderDesign.load(find_config(PRESET))
    words = load_words(design)
    model = make_model(design, options.seed)
    with show_progress() as progress:
        train_decoder(model, words.train, options.steps, seed=options.seed, progress=progress)
    figures = write_example(design, model, words, options.output)
    print(json.dumps(figures, indent=2))
    return 0


def load_words(design: DecoderDesign) -> Words:
    """The names of the package that fit into a context with what begins it."""
    return read_words(_lines(download(NAMES, source=True)), design.positions - 1)


def make_model(design: DecoderDesign, seed: int) -> Decoder:
    """A decoder of the shape of ``design`` with random weights."""
    torch.manual_seed(seed)
    shape = DecoderConfig(
        vocabulary=design.vocabulary, positions=design.positions, width=design.width,
        heads=design.heads, depth=design.depth, mlp_ratio=design.hidden // design.width,
    )
    fields: dict[str, Any] = {name: getattr(design.attention, name) for name in IN_HARDWARE}
    return Decoder(shape, AttentionConfig(**fields | {"queries": str(fields["queries"])}))


def write_example(design: DecoderDesign, model: Decoder, words: Words, folder: Path) -> dict:
    """Quantise ``model`` and write its two files and ``export.json``; returns the figures."""
    for name, value in decoder_shape(model).items():
        if (own := getattr(design, name)) != value:
            raise ValueError(f"{name} must be that of the model, {value}, not {own}")
    tokens, targets = batch_of(words.train[:CALIBRATION], design.positions)
    quantised = quantise_decoder(design, model, tokens, targets >= 0)
    before = perplexity(model, words.held_out, design.positions)
    after = perplexity(lambda x: integer_logits(quantised, x), words.held_out, design.positions)
    figures = {
        "words": len(words.train), "held_out_words": len(words.held_out),
        "float_perplexity": before, "integer_perplexity": after,
        "score_scale": float(quantised.scales["scores"]),
        "parameters": sum(array.size for array in quantised.image.arrays.values()),
    }
    folder.mkdir(parents=True, exist_ok=True)
    write_atomic(folder / "network.toml", design.as_toml())
    quantised.image.save(folder / "network.safetensors", design)
    write_atomic(folder / "export.json", json.dumps(figures, indent=2) + "\n")
    return figures


def _lines(folder: Path) -> Iterator[str]:
    for name in LISTS:
        (path,) = folder.rglob(name)
        yield from path.read_text(encoding="utf-8").splitlines()


if __name__ == "__main__":
    sys.exit(main())
