# SPDX-License-Identifier: Apache-2.0
"""PVTv2-B0 at 224 × 224 with every EcoFormer head on the RTL, inside the network.

Random weights, hashes centred on the first image: what is compared, and how long it takes, does
not depend on what a network has learned.
"""

import contextlib
import sys
from dataclasses import replace

import torch

from benchmarks.results.section import SIMULATING, arguments, begin
from ecoformer.files import cache_folder
from ecoformer.golden.networks.images import synthetic_images
from ecoformer.golden.networks.pyramid import make_pyramid
from ecoformer.golden.networks.pyramid_config import NAMED
from ecoformer.golden.quantize.evaluation import CheckedEngine
from ecoformer.golden.quantize.inference import EngineAttention, override_attention
from ecoformer.golden.quantize.pyramids import export_pyramid
from ecoformer.golden.recording import observed
from ecoformer.hw.emit.verilog import emit
from ecoformer.sim.rtl import Rtl

__all__ = ["main"]

NETWORK = "PVTv2-B0"


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--images", type=int, default=2)
    parser.add_argument("--side", type=int, default=224, help="pixels of an image")
    parser.add_argument("--cycles-per-token", type=int, nargs="+", default=[16, 4])
    run = begin(parser)
    options = run.options
    torch.manual_seed(options.seed)
    model = make_pyramid(NAMED[NETWORK]).eval()
    images = model.pixels(synthetic_images(options.images, options.side, options.seed))
    centre_hashes(model, images[:1])
    engine, image, _, figures = export_pyramid(model, images)
    rows = []
    for k in options.cycles_per_token:
        config = replace(engine, cycles_per_token=k, bus_bytes=max(8, 128 // k))
        rows.append([k, *_measure(config, image, model, images)])
        print(*rows[-1], file=sys.stderr, flush=True)
    run.write_section(
        "released", "rtl", f"{NETWORK} at {options.side} × {options.side} on one engine",
        ["cycles per token", "images", "packets", "words compared", "mismatching words",
         "cycles per image", "of them k · tokens", "images/s at 100 MHz"],
        rows,
        headline=f"{NETWORK}, every head on the RTL: {sum(int(row[4]) for row in rows)} of "
        f"{sum(int(row[3].replace(',', '')) for row in rows):,} words differ",
        tools=SIMULATING,
        notes=[
            f"{len(figures['layers'])} blocks with {image.sets} heads; each layer waits for the "
            "one before it, as in a host that keeps one image in flight.",
        ],
    )


@torch.no_grad()
def centre_hashes(model: torch.nn.Module, images: torch.Tensor) -> None:
    """Give every hash of ``model`` thresholds with which its bits are balanced on ``images``."""
    cores = {core.layer: core for core in model.cores}
    with observed(model.cores, lambda layer, q, k, v, mask: cores[layer].hash.calibrate(k)):
        model(images)


class _Counting:
    """An engine that also adds up cycles and tokens."""

    def __init__(self, engine):
        self.engine = engine
        self.cycles = self.tokens = 0

    def attend(self, workload):
        results = self.engine.attend(workload)
        self.cycles += self.engine.run.busy_cycles
        self.tokens += self.engine.run.tokens
        return results


@torch.no_grad()
def _measure(config, image, model, images):
    with contextlib.closing(Rtl(config, emit(config), image, cache_folder("builds"))) as rtl:
        counting = _Counting(rtl)
        checked = CheckedEngine(config, image, counting)
        attention = EngineAttention(config, image, model.cores, checked)
        with override_attention(model.cores, attention):
            for one in images.split(1):
                model(one)
    each = counting.cycles / len(images)
    least = config.folds.steady_cycles * counting.tokens / len(images)
    return (
        len(images), checked.sequences, f"{checked.words:,}", checked.mismatches, f"{each:,.0f}",
        f"{least / each:.1%}", f"{1e8 / each:.0f}",
    )


if __name__ == "__main__":
    main()
