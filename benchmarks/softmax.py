"""EcoFormer attention against softmax attention in hardware, simulated, and what softmax loses.

Both engines come from the same generator, with the same pins, normaliser, table and banks. The
linear one hashes in 16 cycles per token; the softmax one takes a cycle per pair of tokens with no
more multipliers, whose number is that of the products in the Verilog. At full rate the comparison
is with 1,024 multiply-accumulates per cycle that are never idle, which nobody has built.
"""

import argparse
import math
import re
import sys
import tempfile
from functools import partial
from pathlib import Path

import numpy as np
import torch

from benchmarks.results import write_section
from ecoformer.golden.integer.attention import divide, softmax_sums
from ecoformer.golden.learn import data as datasets
from ecoformer.golden.learn.fit import predict
from ecoformer.golden.networks.vit import load_model
from ecoformer.golden.recording import record
from ecoformer.hw.emit.verilog import emit
from ecoformer.sim.rtl import Rtl
from ecoformer.sim.stimulus import random_image, random_workload
from ecoformer.spec.arithmetic import SCALE_WIDTH, SHIFT_WIDTH
from ecoformer.spec.config import Config

ROOT = Path(__file__).parents[1]
LENGTHS = (196, 784, 3136)
SHAPE = dict(head_dim=32, value_dim=32, code_bits=16, anchors=25, parameter_sets=1, bus_bytes=8)
FULL = dict(head_dim=64, value_dim=64, code_bits=16, anchors=25, parameter_sets=1, bus_bytes=128)
MACS = 1024
CALIBRATION_IMAGES = 128


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", choices=("cycles", "full-rate", "accuracy"),
                        default=("cycles", "full-rate", "accuracy"))  # fmt: skip
    parser.add_argument("--sequences", type=int, default=4)
    parser.add_argument("--seeds", type=int, default=5, help="networks of 'make bench-fashion'")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--models", type=Path, default=ROOT / "build" / "fashion")
    options = parser.parse_args()
    command = " ".join(["python -m benchmarks.softmax", *sys.argv[1:]])
    if "cycles" in options.parts:
        write_section(
            "Against softmax attention on no more multipliers", command, options.seed,
            ["N", "softmax, cycles", "EcoFormer, cycles", "fewer", "multipliers, softmax",
             "EcoFormer", "fewer at equal multipliers"],
            list(cycles(options)),
        )  # fmt: skip
    if "full-rate" in options.parts:
        write_section(
            f"Full rate against softmax attention with {MACS:,} perfect multiply-accumulates",
            command, options.seed,
            ["N", "E", "softmax, 2·N²·E/1024", "EcoFormer back to back", "fewer", "isolated",
             "fewer"],
            list(full_rate(options)),
        )  # fmt: skip
    if "accuracy" in options.parts:
        write_section(
            "Softmax attention in integers, fashion", command,
            f"{options.seed}…{options.seed + options.seeds - 1}",
            ["seed", "float", "integer", "drop", "changed predictions"],
            list(accuracy(options)),
        )  # fmt: skip


def cycles(options):
    """Rows of cycles per sequence, back to back, from one simulation for every length."""
    tokens = max(LENGTHS)
    eco = Config(**SHAPE, max_tokens=tokens, cycles_per_token=16)
    soft = Config(
        **SHAPE, max_tokens=tokens, cycles_per_token=16, hash="none", dataflow="softmax"
    )
    texts = {config: emit(config) for config in (eco, soft)}
    products = {config: len(re.findall(r" \* ", text)) for config, text in texts.items()}
    taken = {config: _rates(config, text, LENGTHS, options) for config, text in texts.items()}
    for length in LENGTHS:
        ratio = taken[soft][length] / taken[eco][length]
        yield [
            length, f"{taken[soft][length]:,.0f}", f"{taken[eco][length]:,.0f}", f"{ratio:.1f}×",
            products[soft], products[eco], f"{ratio * products[soft] / products[eco]:.1f}×",
        ]  # fmt: skip


def full_rate(options):
    """The row of N = 1,024 and E = 64."""
    config = Config(**FULL, max_tokens=1024, cycles_per_token=1)
    n, e = config.max_tokens, config.value_dim
    text = emit(config)
    rate = _rates(config, text, [n], options)[n]
    isolated = _run(config, text, [n], options).busy_cycles
    perfect = 2 * n * n * e / MACS
    yield [
        n, e, f"{perfect:,.0f}", f"{rate:,.0f}", f"{perfect / rate:.0f}×", f"{isolated:,}",
        f"{perfect / isolated:.0f}×",
    ]  # fmt: skip


def _rates(config, text, lengths, options):
    """Steady cycles per sequence, by length."""
    return {
        length: _run(config, text, [length] * options.sequences, options).cycles_per_token * length
        for length in lengths
    }


def _run(config, text, lengths, options):
    rng = np.random.default_rng(options.seed)
    with tempfile.TemporaryDirectory() as folder:
        rtl = Rtl(config, text, random_image(config, rng), Path(folder))
        drawn = [random_workload(config, rng, 1, lengths=length) for length in lengths]
        rtl.attend(type(drawn[0]).from_sequences(s for one in drawn for s in one.sequences()))
        return rtl.run


def accuracy(options):
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
        found = predict(model, data.held_out.images)
        for layer, calls in zip(layers, tape):
            layer._attend = IntegerSoftmax(calls)
        integer = predict(model, data.held_out.images)
        right = [(labels == data.held_out.labels).double().mean() for labels in (found, integer)]
        rows.append([*map(float, right), int((found != integer).sum())])
        yield [seed, *_shown(*rows[-1])]
    yield ["mean", *_shown(*np.mean(rows, axis=0))]


def _shown(before, after, changed):
    return f"{before:.2%}", f"{after:.2%}", f"{before - after:.2%}", f"{changed:.1f}"


class IntegerSoftmax:
    """What the softmax engine computes, for one layer: int8 tokens, scaled per head.

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
