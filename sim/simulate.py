"""Cycle-level simulation of a workload on generated Verilog, from plain Python."""

import contextlib
import json
import os
import shutil
import signal
import tempfile
import time
from pathlib import Path

import numpy as np

from ecoformer.errors import EcoformerError
from ecoformer.progress import SILENT
from ecoformer.sim.build import build, last_words, start_step
from ecoformer.sim.job import Job, check_job
from ecoformer.sim.rtl import Rtl
from ecoformer.sim.run import COUNTED, SimulationRun

__all__ = ["simulate", "start_bench"]

POLL_SECONDS = 0.02


def simulate(
    config, verilog, image, workload, *, stall=0.0, seed=0, simulator="verilator", waves=None,
    faults=None, updates=None, trace=True, build_dir, progress=SILENT,
):  # fmt: skip
    """Stream ``workload`` through the engine described by ``verilog``.

    Parameters
    ----------
    config : Config
    verilog : Path or str
        Verilog file or text.
    image : ParameterImage
        Every set of it is loaded before the first packet.
    workload : Workload
    stall : float
        Probability of a gap before an input beat and of back-pressure on an output beat.
    seed : int
        Seed of the gaps.
    simulator : str
        One of `sim.toolchain.SIMULATORS`.
    waves : Path
        File to record a waveform in: Verilator ``.fst`` or ``.vcd``, Icarus ``.fst``.
    faults : dict of int to str
        Packets to spoil: ``truncated``, ``overlong`` or ``unknown_set``.
    updates : dict of int to ParameterImage
        Images to load during the run: every set of each is committed while the packet before the
        named one is under way, and counts from the named one on.
    trace : bool
        Record the code of every token; ``compiled`` never does.
    build_dir : Path
        Folder in which builds are kept from call to call.
    progress : Progress
        Stages ``build`` and ``simulate``.

    Returns
    -------
    SimulationRun

    Raises
    ------
    EcoformerError
        No simulator, a design it refuses, or a workload that does not fit.
    """
    faults, updates = dict(faults or {}), dict(sorted((updates or {}).items()))
    check_job(config, image, workload, stall=stall, faults=faults)  # before a minute of building
    _check_updates(config, image, workload, updates)
    waves = _wave_file(waves, simulator)
    if simulator == "compiled":
        with contextlib.closing(Rtl(config, verilog, image, build_dir, progress=progress)) as rtl:
            return rtl.stream(workload, stall=stall, seed=seed, faults=faults, updates=updates)
    job = Job.pack(config, image, workload, stall=stall, faults=faults)
    built = build(
        verilog, build_dir, simulator=simulator, progress=progress,
        waves=waves.suffix[1:] if waves else None,
    )  # fmt: skip
    folder = Path(tempfile.mkdtemp(prefix="run-", dir=Path(build_dir).resolve()))
    _write_job(folder, config, image, job, updates)
    settings = {
        "stall": stall, "seed": seed, "patience": job.patience, "trace": trace,
        "updates": list(updates),
    }  # fmt: skip
    (folder / "settings.json").write_text(json.dumps(settings))
    start = time.monotonic()
    process = start_bench(folder, built, "ecoformer.sim.tb_engine", waves=waves is not None)
    _wait(process, folder, _reader(config, workload, progress))
    result = _read_result(folder, config)
    seconds = time.monotonic() - start
    if waves:
        shutil.move(folder / f"dump.{built.waves}", waves)
    shutil.rmtree(folder)
    return SimulationRun(
        config=config,
        faults=faults,
        updates=updates,
        seconds=seconds,
        simulator=f"{built.simulator.name} {built.simulator.version}",
        waves=waves,
        **(result if trace else {**result, "codes": None}),
    )


def _check_updates(config, image, workload, updates):
    for index, update in updates.items():
        if not 1 <= index < len(workload):
            raise EcoformerError(f"update before packet {index}: choose 1…{len(workload) - 1}")
        update.check(config)
        if update.sets > image.sets:
            raise EcoformerError(f"update before packet {index}: has more sets than the image")


def _wave_file(waves, simulator):
    if waves is None:
        return None
    waves = Path(waves).resolve()
    formats = {"verilator": (".fst", ".vcd"), "icarus": (".fst",)}.get(simulator, ())
    if waves.suffix not in formats:
        known = " or ".join(f"*{suffix}" for suffix in formats) or "no waves"
        raise EcoformerError(
            f"{waves}: {simulator} records {known}; change the name or the simulator"
        )
    waves.parent.mkdir(parents=True, exist_ok=True)
    return waves


def _write_job(folder, config, image, job, updates):
    np.savez(folder / "packets.npz", beats=job.beats, lasts=job.lasts, users=job.users)
    (folder / "config.toml").write_text(config.as_toml())
    image.save(folder / "parameters.safetensors", config)
    for packet, update in updates.items():
        update.save(folder / f"update{packet}.safetensors", config)


def start_bench(folder, built, module, *, waves=False):
    """Start the cocotb bench ``module`` on a build, in ``folder``; returns the process."""
    arguments = {
        "test_module": module,
        "hdl_toplevel": built.top,
        "hdl_toplevel_lang": "verilog",
        "build_dir": str(built.folder),
        "test_dir": str(folder),
        "results_xml": str(folder / "results.xml"),
        "log_file": str(folder / "simulation.log"),
        "extra_env": {"ECOFORMER_JOB": str(folder), "COCOTB_LOG_LEVEL": "WARNING"},
        "waves": waves,
    }
    return start_step(folder, built.simulator.name, "test", arguments, built.simulator.env)


def _wait(process, folder, report):
    try:
        while process.poll() is None:
            time.sleep(POLL_SECONDS)
            report(folder / "progress")
    finally:
        if process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
            process.wait()


def _reader(config, workload, progress):
    total = int(workload.lengths.sum())

    def report(path):
        with contextlib.suppress(OSError, ValueError, IndexError):
            beats = int(path.read_text().split()[0])
            progress.update("simulate", min(total, beats // config.output_beats), total)

    return report


def _read_result(folder, config):
    path = folder / "result.npz"
    if not path.is_file():
        why = last_words(folder / "simulation.log", folder / "test.out")
        raise EcoformerError(f"{folder / 'simulation.log'}: the simulation stopped: {why}")
    with np.load(path) as file:
        result = {name: file[name] for name in file.files}
    ends = result["ends"].tolist()
    return {
        "beats": [result["beats"][a:b] for a, b in zip([0, *ends], ends)],
        "users": result["users"],
        "stamps": {name: result[name] for name in ("first_in", "last_in", "first_out", "last_out")},
        "extra_beats": len(result["beats"]) - (ends[-1] if ends else 0),
        "codes": np.split(_keys(config, result["codes"]), np.cumsum(result["traced"])[:-1]),
        "cycles": int(result["cycles"]),
        "interrupts": result.get("interrupts"),
        "registers": json.loads(str(result["registers"])),
        "busy": result.get("busy"),
        "counted": dict(zip(COUNTED, result["counted"].tolist(), strict=True)),
    }


def _keys(config, traced):
    """Codes ±1 of traced tokens, or their elements where there is no hash."""
    bits = np.unpackbits(traced, axis=1, bitorder="little")[:, : config.key_width].astype(np.int64)
    if config.hash != "none":
        return 2 * bits - 1
    weights = 1 << np.arange(config.token_width)
    weights[-1] *= -1  # two's complement
    return bits.reshape(len(bits), config.head_dim, config.token_width) @ weights
