# SPDX-License-Identifier: Apache-2.0
"""``ecoformer generate --network``: from a network in integers to a folder with its hardware."""

import json
import shutil
from pathlib import Path
from typing import Any

from rich.table import Table

from ecoformer.cli.common import make_console, show_table
from ecoformer.cli.network.folder import (
    DESIGN,
    MARK,
    PACKET,
    PARAMETERS,
    load_stimuli,
    stimuli_file,
)
from ecoformer.driver.export import driver_files
from ecoformer.files import checksum
from ecoformer.outputs import OutputFolder
from ecoformer.spec.network.decoder import DecoderDesign
from ecoformer.spec.network.image import NetworkImage
from ecoformer.spec.network.load import Design, load_design
from ecoformer.spec.network.packet import parameter_packet
from ecoformer.spec.network.pixels import save_images
from ecoformer.spec.network.tape import Tape

__all__ = ["DEFAULT_NAME", "generate_network", "network_results", "show_network"]

DEFAULT_NAME = "ecoformer_network"
RANDOM = {"images": 5, "tokens": 64}
"""Images or tokens that are drawn where none are given."""
BENCH = {"images": 5, "tokens": 40}
"""Of them, those of the testbench; plain Verilog simulators are slow."""


def generate_network(
    config_path: str | Path,
    parameters: str | Path | None,
    output: str | Path,
    *,
    images: str | Path | None = None,
    name: str = DEFAULT_NAME,
    seed: int = 0,
) -> dict[str, Any]:
    """Write the folder ``output``; returns its figures as JSON-ready values.

    Without ``parameters`` they are drawn with ``seed``; the manifest says so.
    """
    from ecoformer.hw.emit.lint import network_waivers, waivers
    from ecoformer.hw.emit.network import NetworkVerilog
    from ecoformer.sim.network.stimulus import random_image
    from ecoformer.sim.network.subjects import random_stimuli
    from ecoformer.sim.network.testbench import write_testbench

    design = load_design(config_path)
    written = network_results(output, name, design)
    what = _what(design)
    if parameters is None:
        image, source = random_image(design, seed), {"source": "random", "seed": seed}
    else:
        image, source = NetworkImage.load(parameters, design), {"source": "file"}
    if images is None:
        stimuli = random_stimuli(design, seed, RANDOM[what])
    else:
        stimuli = load_stimuli(images, design)
    with written.writing() as folder:
        network = NetworkVerilog(design, image, name)
        for path, text in {
            f"rtl/{name}.v": network.text,
            f"lint/{name}.vlt": waivers(name, network_waivers(design)),
            DESIGN: design.as_toml(),
        }.items():
            (folder / path).parent.mkdir(exist_ok=True)
            (folder / path).write_text(text, encoding="utf-8")
        if parameters is None:
            image.save(folder / PARAMETERS, design)
        else:
            shutil.copyfile(parameters, folder / PARAMETERS)
        source["sha256"] = checksum(folder / PARAMETERS)
        if design.loadable:
            (folder / PACKET).write_bytes(parameter_packet(design, image))
        write_testbench(folder, design, image, stimuli[: BENCH[what]], name=name, seed=seed)
        if isinstance(stimuli, Tape):
            stimuli.save(folder / stimuli_file(design))
        else:
            save_images(folder / stimuli_file(design), stimuli)
        for path, text in _driver().items():
            (folder / path).parent.mkdir(exist_ok=True)
            (folder / path).write_text(text, encoding="utf-8")
        facts = network.manifest | {"parameters": source}
        (folder / MARK).write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
        names = [path.relative_to(folder) for path in folder.rglob("*") if path.is_file()]
    return {
        **facts,
        "output": str(output),
        what: len(stimuli),
        "files": {str(name): (Path(output) / name).stat().st_size for name in sorted(names)},
    }


def network_results(
    output: str | Path, name: str = DEFAULT_NAME, design: Design | None = None
) -> OutputFolder:
    """The folder that a generation writes, refused if it cannot; without a design for images."""
    return OutputFolder(output, MARK, (
        f"rtl/{name}.v", f"lint/{name}.vlt", f"tb/tb_{name}.v", DESIGN, PARAMETERS,
        stimuli_file(design), f"vectors/{_what(design)}.hex", "vectors/expected.hex",
        *(_loads() if design is not None and design.loadable else ()),
        *_driver(),
    ))


def _loads():
    """Files of a network whose parameters can be loaded."""
    from ecoformer.sim.network.testbench import LOAD_VECTORS

    return [PACKET, *(f"vectors/{file}" for file in LOAD_VECTORS)]


def _what(design):
    """What the network takes."""
    return "tokens" if isinstance(design, DecoderDesign) else "images"


def _driver():
    """The host's side of a board, by path."""
    return {f"driver/{file}": text for file, text in driver_files().items()}


def show_network(figures: dict[str, Any], parameters: object) -> None:
    """Print what was generated, and every layer."""
    source, cycles = figures["parameters"], figures["cycles"]
    show_table(f"{figures['name']} in {figures['output']}", [
        ("parameters", f"random, seed {source['seed']}: for trials, not learned"
                       if source["source"] == "random" else parameters),
        *((f"cycles per {what}", cycles.get(f"per_{what}", "see 'ecoformer simulate'"))
          for what in ("token", "image") if what == "token" or "images" in figures),
        ("multipliers", sum(layer["multipliers"] for layer in figures["layers"])),
        ("bits of weights", sum(layer["weight_bits"] for layer in figures["layers"])),
        ("bits of memories", figures["memory_bits"]),
        *((f"{what} in the vectors", figures[what]) for what in RANDOM if what in figures),
        ("fingerprint", figures["fingerprint"][:16]),
        *((file, f"{size:,} bytes") for file, size in figures["files"].items()),
    ])
    columns = {
        "lanes": "lanes", "multipliers": "multipliers", "steps": "cycles at work",
        "cycles": "of", "weight_bits": "bits of weights", "memory_bits": "bits of memories",
        "latency": "latency",
    }
    table = Table(title="Layers, along the path of a token", title_justify="left")
    table.add_column("layer")
    for title in columns.values():
        table.add_column(title, justify="right")
    for layer in figures["layers"]:
        values = (layer[column] for column in columns)
        table.add_row(layer["name"], *("–" if v is None else f"{v:,}" for v in values))
    make_console().print(table)
