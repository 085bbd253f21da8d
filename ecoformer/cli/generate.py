# SPDX-License-Identifier: Apache-2.0
"""``ecoformer generate``: from a configuration to a folder with everything for an engine."""

import json
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from ecoformer.cli.common import (
    ConfigOption,
    JsonOption,
    NetworkOption,
    OutputOption,
    SeedOption,
    show_table,
    write_json,
)
from ecoformer.cli.estimate import rows
from ecoformer.cli.guard import Source
from ecoformer.cli.network.generate import DEFAULT_NAME as NETWORK_NAME
from ecoformer.cli.network.generate import generate_network, show_network
from ecoformer.driver.export import driver_files
from ecoformer.errors import EcoformerError
from ecoformer.files import checksum
from ecoformer.hw.emit.packages.files import package_files, package_paths
from ecoformer.outputs import OutputFolder
from ecoformer.spec.config import Config
from ecoformer.spec.cost.estimate import Estimate, estimate
from ecoformer.spec.names import check_module_name
from ecoformer.spec.parameter_export import as_binary, as_c
from ecoformer.spec.parameters import ParameterImage
from ecoformer.spec.register_export import as_json, as_markdown, c_header, svd
from ecoformer.spec.stream_export import as_markdown as streams
from ecoformer.spec.workload import Workload

__all__ = ["command", "generate", "results"]

EPILOG = (
    "Example: ecoformer generate -c smallest -o engine\n\nThen: ecoformer verify engine\n\n"
    "With learned parameters, which 'export', 'convert' and 'demo' write: "
    "ecoformer generate -c demo -p parameters.safetensors -o engine\n\n"
    "A whole network: ecoformer generate --network -c exported/network.toml "
    "-p exported/network.safetensors -o chip"
)
ENGINE_NAME = "ecoformer_engine"
RANDOM_SEQUENCES = 8
RANDOM_TOKENS = 24
"""Random vectors stay short: people read them, and plain Verilog simulators run them."""
MARK = "manifest.json"
PARAMETERS = "parameters.safetensors"
VECTORS = (
    "expected.hex", "expected.npz", "input.hex", "parameters.hex", "queries.hex", "steps.hex",
    "workload.npz",
)


def command(
    config: ConfigOption,
    output: OutputOption,
    parameters: Annotated[
        Path | None,
        typer.Option(
            "-p", "--parameters", metavar="FILE",
            help="Learned parameters (.safetensors) [random ones, for trials].",
        ),
        Source(),
    ] = None,
    workload: Annotated[
        Path | None,
        typer.Option(
            "-w", "--workload", metavar="FILE",
            help="Sequences of the test vectors (.npz) [random ones, with extremes]; with "
            "--network images.",
        ),
        Source(),
    ] = None,
    network: NetworkOption = False,
    name: Annotated[
        str | None,
        typer.Option(
            "--name",
            help=f"Name of the Verilog top module [{ENGINE_NAME}, or {NETWORK_NAME}].",
        ),
    ] = None,
    seed: SeedOption = 0,
    json_file: JsonOption = None,
) -> None:
    """Write Verilog, lint waivers, manifest, register map, drivers, test vectors and a testbench.

    The hardware depends on the configuration only: parameters are loaded at run time. Without
    -p they are random but reproducible, enough to verify, simulate and synthesise an engine.

    With --network the hardware takes images, or tokens of a text, and answers scores. Its
    parameters are part of the Verilog; with loadable = true others can be loaded. It has no
    registers.
    """
    if network:
        name = _checked(name or NETWORK_NAME)
        figures = generate_network(
            config, parameters, output, images=workload, name=name, seed=seed
        )
        write_json(json_file, figures)
        show_network(figures, parameters)
        return
    name = name or ENGINE_NAME
    figures = generate(config, parameters, output, workload=workload, name=name, seed=seed)
    write_json(json_file, figures)
    source = figures["parameters"]
    show_table(f"{name} in {output}", [
        ("parameters", f"random, seed {source['seed']}: for trials, not learned"
                       if source["source"] == "random" else parameters),
        ("parameter sets", figures["parameter_sets"]),
        ("sequences in the vectors", figures["sequences"]),
        ("tokens in the vectors", figures["tokens"]),
        *((f"{name}, estimated" if name != "cycles per token" else name, value)
          for name, value in rows(Estimate(**figures["estimate"]))),
        ("engines that take turns", figures["config"]["engines"]),
        ("fingerprint", figures["fingerprint"][:16]),
        *((file, f"{size:,} bytes") for file, size in figures["files"].items()),
    ])


def generate(
    config_path: str | Path,
    parameters: str | Path | None,
    output: str | Path,
    *,
    workload: str | Path | None = None,
    name: str = ENGINE_NAME,
    seed: int = 0,
) -> dict[str, Any]:
    """Write the folder ``output``; returns its figures as JSON-ready values.

    Without ``parameters`` they are drawn with ``seed``; the manifest says so.
    """
    from ecoformer.hw.emit.lint import waivers
    from ecoformer.hw.emit.manifest import manifest
    from ecoformer.hw.emit.verilog import emit
    from ecoformer.sim.stimulus import random_image
    from ecoformer.sim.testbench.write import write_testbench

    _checked(name)
    written = results(output, name)
    config = Config.load(config_path)
    rng = np.random.default_rng(seed)
    if parameters is None:
        image, source = random_image(config, rng), {"source": "random", "seed": seed}
    else:
        image, source = ParameterImage.load(parameters, config), {"source": "file"}
    sequences = _workload(config, image, workload, rng)
    with written.writing() as folder:
        (folder / "rtl").mkdir()
        (folder / "rtl" / f"{name}.v").write_text(emit(config, name=name), encoding="utf-8")
        (folder / "lint").mkdir()
        (folder / "lint" / f"{name}.vlt").write_text(waivers(name), encoding="utf-8")
        (folder / "include").mkdir()
        for path, form in (
            (f"include/{name}.h", c_header),
            (f"{name}.svd", svd),
            ("registers.json", as_json),
            ("registers.md", as_markdown),
            ("streams.md", streams),
        ):
            (folder / path).write_text(form(config, name), encoding="utf-8")
        (folder / "config.toml").write_text(config.as_toml(), encoding="utf-8")
        if parameters is None:
            image.save(folder / PARAMETERS, config)
        else:
            shutil.copyfile(parameters, folder / PARAMETERS)
        source["sha256"] = checksum(folder / PARAMETERS)
        (folder / "parameters.bin").write_bytes(as_binary(config, image))
        (folder / "include" / f"{name}_parameters.h").write_text(
            as_c(config, image, name), encoding="utf-8"
        )
        (folder / "driver").mkdir()
        for file, text in driver_files().items():
            (folder / "driver" / file).write_text(text, encoding="utf-8")
        write_testbench(folder, config, image, sequences, name=name, seed=seed)
        sequences.save(folder / "vectors" / "workload.npz")
        description = manifest(config, name)
        for path, text in package_files(config, description).items():
            (folder / path).parent.mkdir(exist_ok=True)
            (folder / path).write_text(text, encoding="utf-8")
        facts = description | {"parameters": source}
        (folder / MARK).write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
        names = [path.relative_to(folder) for path in folder.rglob("*") if path.is_file()]
    return {
        "name": name,
        "output": str(output),
        "config": asdict(config),
        "fingerprint": config.fingerprint,
        "estimate": estimate(config).as_dict(),
        "parameters": source,
        "parameter_sets": image.sets,
        "sequences": len(sequences),
        "tokens": int(sequences.lengths.sum()),
        "files": {str(name): (Path(output) / name).stat().st_size for name in sorted(names)},
    }


def _checked(name):
    """``name``, if every tool takes it as that of a module."""
    try:
        check_module_name(name)
    except ValueError as error:
        raise EcoformerError(f"--name: {error}; choose another, like my_engine") from error
    return name


def results(output: str | Path, name: str = ENGINE_NAME) -> OutputFolder:
    """The folder that a generation writes, refused if it cannot."""
    return OutputFolder(output, MARK, (
        f"rtl/{name}.v", f"lint/{name}.vlt", f"include/{name}.h", f"include/{name}_parameters.h",
        f"{name}.svd", f"tb/tb_{name}.v", "registers.json", "registers.md", "streams.md",
        "config.toml",
        PARAMETERS, "parameters.bin",
        *(f"driver/{file}" for file in driver_files()),
        *package_paths(name),
        *(f"vectors/{file}" for file in VECTORS),
    ))


def _workload(config, image, path, rng):
    from ecoformer.sim.stimulus import random_workload

    if path is None:
        longest = min(RANDOM_TOKENS, config.max_tokens)
        return random_workload(
            config, rng, RANDOM_SEQUENCES, lengths=(1, longest), sets=image.sets
        )
    workload = Workload.load(path, config)
    if workload.sets.max() >= image.sets:
        raise EcoformerError(
            f"{path}: asks for parameter set {workload.sets.max()}, but the image has "
            f"{image.sets}; export more sets"
        )
    return workload
