# SPDX-License-Identifier: Apache-2.0
"""``ecoformer demo``: everything once, small, on real images."""

import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import typer

from ecoformer.cli import export as exporting
from ecoformer.cli import generate as generating
from ecoformer.cli import train as training
from ecoformer.cli.common import (
    ConfigOption,
    Design,
    show_table,
    write_json,
)
from ecoformer.cli.export import export, network_design
from ecoformer.cli.generate import generate
from ecoformer.cli.guard import Range, TargetFolder
from ecoformer.cli.network.folder import NetworkFolder
from ecoformer.cli.network.generate import generate_network, network_results
from ecoformer.cli.train import OTHERS, train
from ecoformer.errors import EcoformerError
from ecoformer.outputs import OutputFolder
from ecoformer.progress import show_progress
from ecoformer.spec.config import Config
from ecoformer.spec.config_file import read_table, read_toml
from ecoformer.spec.network.decoder import DecoderDesign

__all__ = ["command", "demo"]

EPILOG = "Example: ecoformer demo -c demo -o demo   Then look into demo/engine."
MARK = "demo.json"
PARTS: dict[str, Callable[[Path], OutputFolder]] = {
    "training": training.results, "parameters": exporting.results, "engine": generating.results,
    "network": network_results,
}
"""Folders in the demo's, and what refuses each."""
STALL = 0.3
"""Probability of gaps and back-pressure while the recorded packets are verified."""
WHOLE_IMAGES = 40
"""Images through the whole network in Verilog, which takes as many cycles for one as it has tokens
times k."""


def command(
    config: ConfigOption = Path("demo"),
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="DIR", help="Folder for everything."),
        TargetFolder(),
    ] = Path("demo"),
    images: Annotated[
        int,
        typer.Option("--images", metavar="N", help="Images through the RTL; 0: all."),
        Range(0, 1_000_000),
    ] = 0,
) -> None:
    """Train, quantise, generate, and run held-out images through the simulated RTL.

    Every layer and head of every image runs on the generated Verilog inside the network, and every
    word is compared with the integer model. Then the whole network becomes Verilog, if the chip has
    all of its layers, and takes pixels and gives scores. An interrupted training resumes.
    """
    figures = demo(config, output, images)
    show_table("EcoFormer attention, from images to verified hardware", _rows(figures))
    print(f"Everything is in {output}: models, parameters, Verilog, testbench, demo.json.")
    whole = figures["network"].get("mismatching_scores", 0)
    if figures["rtl"]["mismatching_words"] or whole or not figures["verification"]["ok"]:
        raise typer.Exit(1)


def demo(config_path: Path, output: Path, images: int = 0) -> dict:
    """Run every step; returns the figures, which are in ``output/demo.json`` too."""
    started = time.monotonic()
    output = Path(output)
    results = OutputFolder(output, MARK)
    for name, refuse in PARTS.items():
        refuse(output / name)
    _refuse_early(config_path)

    _say("1/6 train: softmax network, hash functions, fine-tuning, control")
    metrics = train(config_path, output / "training")
    _say("2/6 export: calibrate and quantise")
    model = output / "training" / "ecoformer.pt"
    why_not = _why_not_whole(config_path, model)
    exported = export(config_path, model, output / "parameters", whole=not why_not)
    _say("3/6 generate: Verilog, vectors, testbench")
    clock = time.monotonic()
    generate(
        config_path,
        output / "parameters" / "parameters.safetensors",
        output / "engine",
        workload=output / "parameters" / "workload.npz",
    )
    generate_seconds = time.monotonic() - clock
    design = Design.load(output / "engine")
    _say("4/6 verify: recorded packets, then everything that the pins promise")
    verification = _verify(design)
    _say("5/6 verify: held-out images, attention of every layer and head on the RTL")
    rtl = _rtl_in_network(config_path, design, model, images)
    if why_not:
        _say(f"6/6 the whole network as hardware: not this one; {why_not}")
        whole = {"refused": why_not}
    else:
        _say("6/6 the whole network as hardware: pixels in, scores out")
        whole = exported["network"] | _whole_network(config_path, output)

    figures = {
        "config": asdict(design.config),
        "seed": metrics["seed"],
        "accuracy": {
            "held_out_images": exported["held_out_images"],
            "controls": {
                name: metrics["held_out_accuracy"][name] for name in metrics["controls"]
            },
            "softmax": metrics["held_out_accuracy"]["softmax"],
            "ecoformer_float": exported["float_accuracy"],
            "ecoformer_integer": exported["integer_accuracy"],
        },
        "changed_predictions": exported["changed_predictions"],
        "code_disagreement": exported["mean_code_disagreement"],
        "verification": verification,
        "rtl": rtl,
        "network": whole,
        "generate_seconds": round(generate_seconds, 1),
        "seconds": round(time.monotonic() - started, 1),
    }
    with results.writing() as folder:
        write_json(folder / MARK, figures)
    return figures


@dataclass
class _CountingEngine:
    """An engine that also adds up cycles."""

    engine: object
    cycles: int = 0
    tokens: int = 0
    seconds: float = 0.0
    rate: float = 0.0

    def attend(self, workload):
        results = self.engine.attend(workload)
        run = self.engine.run
        self.cycles += run.busy_cycles
        self.tokens += run.tokens
        self.seconds += run.seconds
        self.rate = run.cycles_per_token
        return results


def _rtl_in_network(config_path, design, model_path, count):
    """Predictions with every attention on the RTL, against the integer model, image by image."""
    from ecoformer.golden.integer.engine import IntegerEngine
    from ecoformer.golden.networks.vit import load_model
    from ecoformer.golden.quantize.evaluation import CheckedEngine, predict_in_integers
    from ecoformer.sim.rtl import Rtl

    model = load_model(model_path)
    part = _held_out(config_path)
    if count:
        part = type(part)(part.images[:count], part.labels[:count])
    config, image = design.config, design.image

    integer = predict_in_integers(config, model, image, IntegerEngine(config, image), part)
    total = len(part) * model.config.heads * model.config.depth
    with show_progress() as progress:
        engine = _CountingEngine(Rtl(config, design.verilog, image, design.build_dir))
        checked = CheckedEngine(config, image, engine, total, progress)
        predicted = predict_in_integers(config, model, image, checked, part)
    return {
        "images": len(part),
        "accuracy": float((predicted == part.labels).double().mean()),
        "predictions_that_differ": int((predicted != integer).sum()),
        "sequences": checked.sequences,
        "words": checked.words,
        "mismatching_words": checked.mismatches,
        "cycles_per_token": engine.rate,
        "cycles_per_image": engine.cycles / len(part),
        "utilisation": config.steady_cycles * engine.tokens / engine.cycles,
        "simulated_cycles_per_second": round(engine.cycles / engine.seconds),
    }


def _why_not_whole(config_path, model_path):
    """Why the network cannot be on the chip as a whole; None if it can."""
    from ecoformer.golden.networks.vit import load_model

    try:
        network_design(config_path, Config.load(config_path), load_model(model_path))
    except EcoformerError as error:
        return str(error)
    return None


def _whole_network(config_path, output):
    """Scores of held-out images, Verilog against integer network."""
    from ecoformer.golden.integer.network.forward import run
    from ecoformer.sim.network.compiled import CompiledNetwork

    parameters = output / "parameters"
    generate_network(
        parameters / "network.toml", parameters / "network.safetensors", output / "network"
    )
    chip = NetworkFolder.load(output / "network")
    part = _held_out(config_path)
    pixels = part.images[:WHOLE_IMAGES].numpy()
    with show_progress() as progress:
        network = CompiledNetwork.of_verilog(
            chip.design, chip.verilog, chip.build_dir, progress=progress
        )
        clock = time.monotonic()
        answers = network.run(pixels)
    scores = run(chip.design, chip.image, pixels)
    right = answers.scores.argmax(axis=1) == part.labels[:WHOLE_IMAGES].numpy()
    return {
        "images": len(pixels),
        "rtl_accuracy": float(right.mean()),
        "scores": scores.size,
        "mismatching_scores": int((answers.scores != scores).sum()),
        "cycles_per_image": answers.cycles_per_image,
        "simulated_cycles_per_second": round(
            int(answers.last_out[-1]) / (time.monotonic() - clock)
        ),
    }


def _verify(design):
    """What ``ecoformer verify`` does, on the recorded packets."""
    from ecoformer.sim.plan import make_plan
    from ecoformer.sim.verification import verify

    plan = make_plan(design.config, design.image, design.workload(), stall=STALL)
    with show_progress() as progress:
        return verify(
            design.config, design.verilog, plan, build_dir=design.build_dir, progress=progress
        ).as_dict()


def _held_out(config_path):
    from ecoformer.golden.learn.recipe import TrainingConfig
    from ecoformer.golden.learn.sources import open_data
    from ecoformer.golden.networks.vit import NetworkConfig

    training = read_table(config_path, "training", TrainingConfig)
    network = read_table(config_path, "network", NetworkConfig)
    return open_data(training, network).held_out


def _refuse_early(config_path):
    """Find what would stop a later step now, not after minutes of training."""
    from ecoformer.golden.attention_config import read_attention
    from ecoformer.golden.networks.vit import NetworkConfig
    from ecoformer.golden.quantize.calibration import check_attention
    from ecoformer.sim.toolchain import find_simulator

    if DecoderDesign.table in read_toml(config_path):
        raise EcoformerError(
            f"{config_path}: the demo is of images; for a [decoder] run train, export --network, "
            "generate --network, verify and write"
        )
    config = Config.load(config_path)
    network = read_table(config_path, "network", NetworkConfig)
    if config.value_dim != network.head_dim:
        raise EcoformerError(
            f"{config_path}: [engine] value_dim must be width / heads = {network.head_dim} of "
            "[network]; correct the configuration"
        )
    attention, _ = read_attention(config_path)
    check_attention(
        config, attention, network.head_dim, network.depth * network.heads, network.tokens
    )
    with tempfile.TemporaryDirectory() as folder:
        find_simulator("compiled", folder)
    _held_out(config_path)


def _say(text):
    typer.echo(text, err=True)


def _rows(figures):
    accuracy, rtl = figures["accuracy"], figures["rtl"]
    verification = figures["verification"]
    images = accuracy["held_out_images"]
    return [
        (f"accuracy on {images:,} held-out images", ""),
        *((f"  {OTHERS[name]} float", f"{score:.1%}")
          for name, score in accuracy["controls"].items()),
        ("  softmax, float", f"{accuracy['softmax']:.1%}"),
        ("  EcoFormer, float", f"{accuracy['ecoformer_float']:.1%}"),
        ("  EcoFormer, integer model", f"{accuracy['ecoformer_integer']:.1%}"),
        (f"  EcoFormer, RTL, {rtl['images']:,} images", f"{rtl['accuracy']:.1%}"),
        ("code bits, integer ≠ float", f"{figures['code_disagreement']:.2%}"),
        ("predictions, integer ≠ float", f"{figures['changed_predictions']} of {images:,}"),
        (
            "predictions, RTL ≠ integer",
            f"{rtl['predictions_that_differ']} of {rtl['images']:,}",
        ),
        ("words, RTL ≠ integer", f"{rtl['mismatching_words']} of {rtl['words']:,}"),
        (
            f"mismatches in {verification['sequences']:,} packets to verify, "
            f"{verification['faults']:,} of them bad",
            f"{len(verification['mismatches'])}",
        ),
        ("cycles per token", f"{rtl['cycles_per_token']:.3f}"),
        ("cycles per image", f"{rtl['cycles_per_image']:,.0f}"),
        ("utilisation", f"{rtl['utilisation']:.1%}"),
        ("simulation", f"{rtl['simulated_cycles_per_second']:,} cycles/s"),
        *_whole_rows(figures["network"]),
        ("generate", f"{figures['generate_seconds']:.1f} s"),
        ("whole demo", f"{figures['seconds']:.0f} s"),
    ]


def _whole_rows(figures):
    if "refused" in figures:
        return [("the whole network as hardware", "no: the last step says why")]
    return [
        ("the whole network as hardware", ""),
        ("  in integers, all held-out images", f"{figures['accuracy']:.1%}"),
        (f"  in Verilog, {figures['images']:,} images", f"{figures['rtl_accuracy']:.1%}"),
        (
            "  scores, Verilog ≠ integers",
            f"{figures['mismatching_scores']} of {figures['scores']:,}",
        ),
        ("  cycles per image", f"{figures['cycles_per_image']:,.0f}"),
    ]
