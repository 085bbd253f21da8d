# SPDX-License-Identifier: Apache-2.0
"""What softmax attention loses in integers: networks of Fashion-MNIST, in float and as the engine.

The networks are those that ``make bench-fashion`` keeps.
"""

import argparse
import math
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import torch

from benchmarks.results.records import ROOT
from benchmarks.results.section import LEARNING, arguments, begin
from ecoformer.golden.integer.attention import divide
from ecoformer.golden.integer.dataflows.softmax import softmax_sums
from ecoformer.golden.learn import data as datasets
from ecoformer.golden.learn.fit import predict
from ecoformer.golden.networks.vit import load_model
from ecoformer.golden.recording import record
from ecoformer.spec.arithmetic import SCALE_WIDTH, SHIFT_WIDTH
from ecoformer.spec.config import Config

__all__ = ["IntegerSoftmax", "main"]

CALIBRATION_IMAGES = 128


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--seeds", type=int, default=5, help="so many, from --seed on")
    parser.add_argument("--models", type=Path, default=ROOT / "build" / "fashion")
    run = begin(parser)
    options = run.options
    rows = list(accuracy(options))
    run.write_section(
        "softmax", "integers", "Softmax attention in integers, Fashion-MNIST",
        ["seed", "float", "integer", "drop", "changed predictions"], rows,
        seed=f"{options.seed}…{options.seed + options.seeds - 1}", tools=LEARNING,
    )


def accuracy(options: argparse.Namespace) -> Iterator[list]:
    """Rows of held-out accuracy of softmax networks, in float and with integer attention."""
    rows = []
    for seed in range(options.seed, options.seed + options.seeds):
        path = options.models / f"seed-{seed}" / "fashion" / "softmax.pt"
        if not path.exists():
            raise SystemExit(f"{path}: no such network; run 'make bench-fashion' first")
        model = load_model(path).eval()
        data = datasets.load("fashion", None, seed)
        layers = model.attention_layers()
        images = data.train.images[:CALIBRATION_IMAGES]
        tape = record(layers, partial(model, images))
        exact = predict(model, data.held_out.images)
        for layer, calls in zip(layers, tape):
            layer._attend = IntegerSoftmax(calls)
        integer = predict(model, data.held_out.images)
        right = [(labels == data.held_out.labels).double().mean() for labels in (exact, integer)]
        rows.append([*map(float, right), int((exact != integer).sum())])
        yield [seed, *_shown(*rows[-1])]
    yield ["mean", *_shown(*np.mean(rows, axis=0))]


def _shown(before, after, changed):
    return f"{before:.2%}", f"{after:.2%}", f"{before - after:.2%}", f"{changed:.1f}"


class IntegerSoftmax:
    """The arithmetic of the softmax engine for one layer: int8 tokens, scaled per head.

    The engine takes shared queries; the arithmetic is the same for separate ones.
    """

    def __init__(self, calls):
        heads, self.head_dim = calls[0].q.shape[1], calls[0].q.shape[3]
        self.config = Config(
            head_dim=self.head_dim, value_dim=calls[0].v.shape[3], hash="none", dataflow="softmax"
        )
        self.steps = {
            name: torch.stack([getattr(c, name).abs().amax((0, 2, 3)) for c in calls]).amax(0) / 127
            for name in "qkv"
        }
        self.scale, self.shift = [], []
        for head in range(heads):
            q, k = (float(self.steps[name][head]) for name in "qk")
            factor = 256 * q * k / math.sqrt(self.head_dim)
            largest = (1 << SCALE_WIDTH) - 1
            shift = min(math.floor(math.log2(largest / factor)), (1 << SHIFT_WIDTH) - 1)
            self.shift.append(shift)
            self.scale.append(min(round(factor * 2**shift), largest))

    def __call__(self, q, k, v, keys):
        heads = []
        for head, (scale, shift) in enumerate(zip(self.scale, self.shift)):
            queries, tokens, values = (
                (x[:, head] / self.steps[name][head]).round().clamp(-128, 127).long().numpy()
                for name, x in zip("qkv", (q, k, v))
            )
            sums = softmax_sums(tokens, values, scale, shift, queries)
            unit = self.steps["v"][head] / (1 << self.config.output_fraction)
            heads.append(torch.from_numpy(divide(self.config, *sums)) * unit)
        return torch.stack(heads, 1).to(v.dtype)


if __name__ == "__main__":
    main()
