"""``ecoformer generate``: from configuration and parameters to a folder with everything."""

import json
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from ecoformer.cli.common import (
    ConfigOption,
    JsonOption,
    SeedOption,
    WorkloadOption,
    import_room,
    show_table,
    staged,
    write_json,
)
from ecoformer.errors import EcoformerError
from ecoformer.spec.config import Config
from ecoformer.spec.parameters import ParameterImage
from ecoformer.spec.register_export import as_json, as_markdown, c_header, svd
from ecoformer.spec.workload import Workload

__all__ = ["command", "generate"]

EPILOG = (
    "Example: ecoformer generate -c demo -p parameters.safetensors -o engine   "
    "Then: ecoformer verify engine"
)
RANDOM_SEQUENCES = 8
RANDOM_TOKENS = 24
"""Random vectors stay short: they are read by people and by plain Verilog simulators."""
MARK = "manifest.json"


def command(
    config: ConfigOption,
    parameters: Annotated[
        Path,
        typer.Option(
            "-p", "--parameters", metavar="FILE", help="Parameter image that 'export' wrote."
        ),
    ],
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="DIR", help="Folder to write.")
    ],
    workload: WorkloadOption = None,
    name: Annotated[
        str, typer.Option("--name", help="Name of the Verilog top module.")
    ] = "ecoformer_engine",
    seed: SeedOption = 0,
    json_file: JsonOption = None,
):
    """Write Verilog, lint waivers, manifest, register map, test vectors and a testbench.

    Without -w the vectors are random sequences with the extremes among them.
    """
    figures = generate(config, parameters, output, workload=workload, name=name, seed=seed)
    write_json(json_file, figures)
    show_table(f"{name} in {output}", [
        ("parameter sets loaded", figures["parameter_sets"]),
        ("sequences in the vectors", figures["sequences"]),
        ("tokens in the vectors", figures["tokens"]),
        ("cycles per token", figures["config"]["cycles_per_token"]),
        ("engines that take turns", figures["config"]["engines"]),
        ("fingerprint", figures["fingerprint"][:16]),
        *((file, f"{size:,} bytes") for file, size in figures["files"].items()),
    ])  # fmt: skip


def generate(config_path, parameters, output, *, workload=None, name="ecoformer_engine", seed=0):
    """Write the folder ``output``; returns its figures as a dict for JSON."""
    if not name.isidentifier() or not name.isascii():
        raise EcoformerError(f"--name {name!r}: must be a Verilog identifier, like my_engine")
    config = Config.load(config_path)
    image = ParameterImage.load(parameters, config)
    emit = import_room("ecoformer.hw.emit.verilog").emit
    manifest = import_room("ecoformer.hw.emit.manifest").manifest
    waivers = import_room("ecoformer.hw.emit.lint").waivers
    chosen = _workload(config, image, workload, seed)
    write_testbench = import_room("ecoformer.sim.testbench").write_testbench
    with staged(output, MARK) as folder:
        (folder / "rtl").mkdir()
        (folder / "rtl" / f"{name}.v").write_text(emit(config, name=name))
        (folder / "lint").mkdir()
        (folder / "lint" / f"{name}.vlt").write_text(waivers(name))
        (folder / "include").mkdir()
        for path, form in (
            (f"include/{name}.h", c_header),
            (f"{name}.svd", svd),
            ("registers.json", as_json),
            ("registers.md", as_markdown),
        ):
            (folder / path).write_text(form(config, name))
        (folder / "config.toml").write_text(config.as_toml())
        shutil.copyfile(parameters, folder / "parameters.safetensors")
        write_testbench(folder, config, image, chosen, name=name, seed=seed)
        chosen.save(folder / "vectors" / "workload.npz")
        facts = json.dumps(manifest(config, name), indent=2)
        (folder / MARK).write_text(facts + "\n")
        files = {
            str(path.relative_to(folder)): path.stat().st_size
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        }
    return {
        "name": name,
        "output": str(output),
        "config": asdict(config),
        "fingerprint": config.fingerprint,
        "parameter_sets": image.sets,
        "sequences": len(chosen),
        "tokens": int(chosen.lengths.sum()),
        "files": files,
    }


def _workload(config, image, path, seed):
    if path is None:
        numpy = import_room("numpy")
        return import_room("ecoformer.sim.stimulus").random_workload(
            config, numpy.random.default_rng(seed), RANDOM_SEQUENCES,
            lengths=(1, min(RANDOM_TOKENS, config.max_tokens)), sets=image.sets,
        )  # fmt: skip
    workload = Workload.load(path, config)
    if workload.sets.max() >= image.sets:
        raise EcoformerError(
            f"{path}: asks for parameter set {workload.sets.max()}, but the image has "
            f"{image.sets}; export more sets"
        )
    return workload
