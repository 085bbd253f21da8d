# SPDX-License-Identifier: Apache-2.0
"""``ecoformer generate --network``: from a network in integers to a folder with its hardware."""

import json
import shutil
from pathlib import Path
from typing import Any

from rich.table import Table

from ecoformer.cli.common import make_console, show_table
from ecoformer.cli.network.folder import DESIGN, IMAGES, MARK, PARAMETERS
from ecoformer.driver.export import driver_files
from ecoformer.files import checksum
from ecoformer.outputs import OutputFolder
from ecoformer.spec.network.design import NetworkDesign
from ecoformer.spec.network.image import NetworkImage
from ecoformer.spec.network.pixels import load_images, save_images

__all__ = ["DEFAULT_NAME", "generate_network", "network_results", "show_network"]

DEFAULT_NAME = "ecoformer_network"
RANDOM_IMAGES = 5
BENCH_IMAGES = 5
"""Images of the testbench; plain Verilog simulators are slow."""


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
    from ecoformer.hw.emit.lint import NETWORK_WAIVERS, waivers
    from ecoformer.hw.emit.network import NetworkVerilog
    from ecoformer.sim.network.stimulus import random_image, random_pixels
    from ecoformer.sim.network.testbench import write_testbench

    written = network_results(output, name)
    design = NetworkDesign.load(config_path)
    if parameters is None:
        image, source = random_image(design, seed), {"source": "random", "seed": seed}
    else:
        image, source = NetworkImage.load(parameters, design), {"source": "file"}
    if images is None:
        pixels = random_pixels(design, seed, RANDOM_IMAGES)
    else:
        pixels = load_images(images, design)
    with written.writing() as folder:
        network = NetworkVerilog(design, image, name)
        for path, text in {
            f"rtl/{name}.v": network.text,
            f"lint/{name}.vlt": waivers(name, NETWORK_WAIVERS),
            DESIGN: design.as_toml(),
        }.items():
            (folder / path).parent.mkdir(exist_ok=True)
            (folder / path).write_text(text, encoding="utf-8")
        if parameters is None:
            image.save(folder / PARAMETERS, design)
        else:
            shutil.copyfile(parameters, folder / PARAMETERS)
        source["sha256"] = checksum(folder / PARAMETERS)
        write_testbench(folder, design, image, pixels[:BENCH_IMAGES], name=name, seed=seed)
        save_images(folder / IMAGES, pixels)
        (folder / "driver").mkdir()
        for file, text in driver_files().items():
            (folder / "driver" / file).write_text(text, encoding="utf-8")
        facts = network.manifest | {"parameters": source}
        (folder / MARK).write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
        names = [path.relative_to(folder) for path in folder.rglob("*") if path.is_file()]
    return {
        **facts,
        "output": str(output),
        "images": len(pixels),
        "files": {str(name): (Path(output) / name).stat().st_size for name in sorted(names)},
    }


def network_results(output: str | Path, name: str = DEFAULT_NAME) -> OutputFolder:
    """The folder that a generation writes, refused if it cannot."""
    return OutputFolder(output, MARK, (
        f"rtl/{name}.v", f"lint/{name}.vlt", f"tb/tb_{name}.v", DESIGN, PARAMETERS, IMAGES,
        "vectors/images.hex", "vectors/expected.hex",
        *(f"driver/{file}" for file in driver_files()),
    ))


def show_network(figures: dict[str, Any], parameters: object) -> None:
    """Print what was generated, and every layer."""
    source, cycles = figures["parameters"], figures["cycles"]
    show_table(f"{figures['name']} in {figures['output']}", [
        ("parameters", f"random, seed {source['seed']}: for trials, not learned"
                       if source["source"] == "random" else parameters),
        *((f"cycles per {what}", cycles.get(f"per_{what}", "see 'ecoformer simulate'"))
          for what in ("token", "image")),
        ("multipliers", sum(layer["multipliers"] for layer in figures["layers"])),
        ("bits of weights", sum(layer["weight_bits"] for layer in figures["layers"])),
        ("bits of memories", figures["memory_bits"]),
        ("images in the vectors", figures["images"]),
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
