# SPDX-License-Identifier: Apache-2.0
"""Held-out images classified through the serial pins of a simulated board, by the driver.

A small network is trained, quantised and generated; its board's top is simulated with bits on the
pins, and every attention of every image goes through them. Then the line is damaged a thousand
times, in both directions, while sequences go on.
"""

import random
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.results.section import LEARNING, SIMULATING, arguments, begin
from ecoformer.cli.export import export
from ecoformer.cli.generate import generate
from ecoformer.cli.train import train
from ecoformer.driver.device import Device
from ecoformer.driver.framed import FramedTransport
from ecoformer.golden.integer.attention import attend
from ecoformer.golden.integer.engine import IntegerEngine
from ecoformer.golden.learn.data import load
from ecoformer.golden.learn.recipe import TrainingConfig
from ecoformer.golden.networks.vit import load_model
from ecoformer.golden.quantize.device import DeviceEngine
from ecoformer.golden.quantize.evaluation import CheckedEngine, predict_in_integers
from ecoformer.hw.boards.catalogue import BOARDS
from ecoformer.hw.boards.cores import EngineCore
from ecoformer.hw.boards.top import BoardTop, board_verilog
from ecoformer.progress import show_progress
from ecoformer.sim.board import SimulatedBoard
from ecoformer.sim.noise import NoisyLink
from ecoformer.spec.config import Config
from ecoformer.spec.config_file import read_table
from ecoformer.spec.parameters import ParameterImage

__all__ = ["main"]

CONFIG = Path(__file__).with_name("board.toml")
BUILDS = Path("build/boards")
CLOCK_HZ, BAUD = 100_000_000, 12_500_000
"""Eight cycles a bit: 3 Mbaud would take four times the cycles and nothing else."""
TIMEOUT = 300e-6
RATE = 0.002
"""Damages per byte."""


def main() -> int:
    parser = arguments(__doc__)
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--damages", type=int, default=1000)
    run = begin(parser)
    options = run.options
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        train(CONFIG, folder / "training")
        model = folder / "training" / "ecoformer.pt"
        export(CONFIG, model, folder / "parameters")
        generate(CONFIG, folder / "parameters" / "parameters.safetensors", folder / "engine")
        config = Config.load(CONFIG)
        image = ParameterImage.load(folder / "engine" / "parameters.safetensors", config)
        top = BoardTop(BOARDS["ulx3s"], "85k", EngineCore(config), clock_hz=CLOCK_HZ, baud=BAUD)
        verilog = board_verilog(top)

        def board(seed):
            return SimulatedBoard(verilog, BUILDS, clock_hz=CLOCK_HZ, baud=BAUD, seed=seed)

        classified = _classify(config, image, model, folder, board(0), options.images)
        noise = _damage(config, image, folder, board(1), options)
    run.write_section(
        "boards", "images", "Held-out images through the serial pins",
        ["images", "predictions, board ≠ integer", "words, board ≠ integer", "accuracy",
         "cycles", "wall time"],
        [[
            f"{classified['images']:,}", classified["different"],
            f"{classified['mismatches']:,} of {classified['words']:,}",
            f"{classified['accuracy']:.1%}", f"{classified['cycles']:,}",
            f"{classified['seconds']:.0f} s",
        ]],
        headline=f"{classified['images']:,} images through a simulated board's serial pins: "
        f"{classified['different']} predictions differ",
        tools=(*LEARNING, *SIMULATING), files=["benchmarks/board.toml"],
    )
    run.write_section(
        "boards", "noise", "A damaged line",
        ["damages", *noise["damages"], "frames lost, as noticed", "requests repeated",
         "sequences", "wrong or twice", "hangs"],
        [[
            f"{sum(noise['damages'].values()):,}", *noise["damages"].values(),
            f"{noise['lost']:,}", f"{noise['repeats']:,}", f"{noise['sequences']:,}",
            noise["wrong"], noise["hangs"],
        ]],
        tools=SIMULATING, files=["benchmarks/board.toml"],
    )
    return int(
        classified["different"] + classified["mismatches"] + noise["wrong"] + noise["hangs"] > 0
    )


def _classify(config, image, model_path, folder, board, count):
    """The network's predictions with every attention on the board."""
    training = read_table(CONFIG, "training", TrainingConfig)
    part = load(training.data, training.data_path or None, training.seed).held_out
    part = type(part)(part.images[:count], part.labels[:count])
    model = load_model(model_path)
    integer = predict_in_integers(config, model, image, IntegerEngine(config, image), part)
    total = len(part) * model.config.heads * model.config.depth
    begun = time.monotonic()
    with Device(folder / "engine", FramedTransport(board, timeout=TIMEOUT)) as device:
        device.load()
        with show_progress() as progress:
            engine = CheckedEngine(config, image, DeviceEngine(device), total, progress)
            predicted = predict_in_integers(config, model, image, engine, part)
        assert device.counters()["SEQUENCES"] == total
        cycles = board.cycles
    return {
        "images": len(part), "different": int((predicted != integer).sum()),
        "words": engine.words, "mismatches": engine.mismatches,
        "accuracy": float((predicted == part.labels).double().mean()),
        "cycles": cycles, "seconds": time.monotonic() - begun,
    }


def _damage(config, image, folder, board, options):
    """Sequences over a line that is damaged, until it was damaged often enough."""
    rng = np.random.default_rng(options.seed)
    noisy = NoisyLink(board, random.Random(options.seed), 0.0)
    sequences = wrong = hangs = 0
    with Device(folder / "engine", FramedTransport(noisy, timeout=TIMEOUT)) as device:
        device.load()
        noisy.rate = RATE
        with show_progress() as progress:
            while (done := sum(noisy.damages.values())) < options.damages:
                progress.update("damages", done, options.damages)
                index, length = int(rng.integers(config.parameter_sets)), rng.integers(1, 17)
                x = rng.integers(-128, 128, (length, config.head_dim))
                v = rng.integers(-128, 128, (length, config.value_dim))
                try:
                    (result,) = device.answer([(index, x, v)])
                except Exception as error:  # any is counted, whatever it is
                    print(error, file=sys.stderr)
                    hangs += 1
                    continue
                expected, _ = attend(config, image, index, x, v)
                wrong += not np.array_equal(result, expected)
                sequences += 1
        noisy.rate = 0.0
        wrong += abs(device.counters()["SEQUENCES"] - sequences)  # lost or carried out twice
        transport = device.transport
        return {
            "damages": noisy.damages, "lost": transport.faults.total(), "wrong": wrong,
            "repeats": transport.repeats, "sequences": sequences, "hangs": hangs,
        }


if __name__ == "__main__":
    sys.exit(main())
