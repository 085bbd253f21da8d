# SPDX-License-Identifier: Apache-2.0
"""Cycle-level simulation of a workload on generated Verilog, from plain Python."""

import contextlib
import json
import shutil
import subprocess
import time
from dataclasses import asdict
from pathlib import Path

import numpy as np

from ecoformer.errors import EcoformerError
from ecoformer.files import move_atomic
from ecoformer.logs import reason
from ecoformer.outputs import check_file
from ecoformer.processes import scratch
from ecoformer.progress import SILENT, Progress
from ecoformer.sim.build import Build, build, runner_step
from ecoformer.sim.job import Job, accesses, check_job
from ecoformer.sim.rtl import Rtl
from ecoformer.sim.run import COUNTED, SimulationRun
from ecoformer.sim.traces import unpack_codes
from ecoformer.spec.config import Config
from ecoformer.spec.parameters import ParameterImage
from ecoformer.spec.workload import Workload

__all__ = ["simulate", "bench", "stopped", "wave_file_of"]

POLL_SECONDS = 0.02


def simulate(
    config: Config,
    verilog: str | Path,
    image: ParameterImage,
    workload: Workload,
    *,
    stall: float = 0.0,
    seed: int = 0,
    simulator: str = "verilator",
    waves: str | Path | None = None,
    faults: dict[int, str] | None = None,
    updates: dict[int, ParameterImage] | None = None,
    trace: bool = True,
    build_dir: str | Path,
    progress: Progress = SILENT,
) -> SimulationRun:
    """Stream ``workload`` through the engine described by ``verilog``.

    Parameters
    ----------
    verilog : Path or str
        Verilog file or text.
    image : ParameterImage
        Every set of it is loaded before the first packet.
    stall : float
        Probability of a gap before an input beat and of back-pressure on an output beat.
    seed : int
        Seed of the gaps.
    simulator : str
        One of `sim.toolchain.SIMULATORS`.
    waves : Path
        File to record a waveform in: Verilator ``.fst`` or ``.vcd``, Icarus ``.fst``.
    faults : dict of int to str
        Fault by packet number, one of `sim.faults.FAULTS`.
    updates : dict of int to ParameterImage
        Images to load during the run, by packet number: all sets of an image are committed while
        the packet before is in flight, and apply from that packet on.
    trace : bool
        Record the key of every token; ``compiled`` never does.
    build_dir : Path
        Folder in which builds are kept from call to call.
    progress : Progress
        Stages ``build`` and ``simulate``.

    Raises
    ------
    EcoformerError
        No simulator, a design that it refuses, or a workload that does not fit.
    """
    faults, updates = dict(faults or {}), dict(sorted((updates or {}).items()))
    check_job(config, image, workload, stall=stall, faults=faults)  # before a minute of building
    _check_updates(config, image, workload, updates)
    wave_file = wave_file_of(waves, simulator)
    if simulator == "compiled":
        with contextlib.closing(Rtl(config, verilog, image, build_dir, progress=progress)) as rtl:
            return rtl.stream(workload, stall=stall, seed=seed, faults=faults, updates=updates)
    job = Job.pack(
        config, image, workload, stall=stall, faults=faults, accesses=accesses(config, updates)
    )
    built = build(
        verilog, build_dir, simulator=simulator, progress=progress,
        waves=wave_file.suffix[1:] if wave_file else None,
    )
    settings = {
        "stall": stall, "seed": seed, "limits": asdict(job.limits), "trace": trace,
        "updates": list(updates),
    }
    with scratch(Path(build_dir).resolve(), "run-") as folder:
        _write_job(folder, config, image, job, updates)
        (folder / "settings.json").write_text(json.dumps(settings), encoding="utf-8")
        start = time.monotonic()
        with bench(folder, built, "ecoformer.sim.tb_engine", waves=bool(wave_file)) as process:
            _wait(process, folder, _reader(config, workload, progress))
        result = _read_result(folder, config, process.returncode)
        seconds = time.monotonic() - start
        if wave_file:
            move_atomic(folder / f"dump.{built.waves}", wave_file)
    return SimulationRun(
        config=config,
        faults=faults,
        updates=updates,
        seconds=seconds,
        simulator=f"{built.simulator.name} {built.simulator.version}",
        waves=wave_file,
        **(result if trace else {**result, "codes": None}),
    )


def _check_updates(config, image, workload, updates):
    for index, update in updates.items():
        if not 1 <= index < len(workload):
            raise EcoformerError(f"update before packet {index}: choose 1…{len(workload) - 1}")
        update.check(config)
        if update.sets > image.sets:
            raise EcoformerError(f"update before packet {index}: has more sets than the image")


def wave_file_of(waves: str | Path | None, simulator: str) -> Path | None:
    """The file of a waveform, refused if the simulator cannot record it."""
    if waves is None:
        return None
    waves = Path(waves).resolve()
    formats = {"verilator": (".fst", ".vcd"), "icarus": (".fst",)}.get(simulator, ())
    if waves.suffix not in formats:
        known = " or ".join(f"*{suffix}" for suffix in formats) or "no waves"
        raise EcoformerError(
            f"{waves}: {simulator} records {known}; change the name or the simulator"
        )
    check_file(waves)
    return waves


def _write_job(folder, config, image, job, updates):
    arrays = {"beats": job.beats, "lasts": job.lasts, "users": job.users}
    for queries in filter(None, [job.queries]):
        arrays |= zip(("query_beats", "query_lasts", "query_users"), queries)
    np.savez(folder / "packets.npz", **arrays)
    (folder / "config.toml").write_text(config.as_toml(), encoding="utf-8")
    image.save(folder / "parameters.safetensors", config)
    for packet, update in updates.items():
        update.save(folder / f"update{packet}.safetensors", config)


def bench(
    folder: Path, built: Build, module: str, *, waves: bool = False
) -> contextlib.AbstractContextManager[subprocess.Popen]:
    """The cocotb bench ``module`` on a build, in ``folder``; ends with the block, at the latest."""
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
    return runner_step(folder, built.simulator.name, "test", arguments, built.simulator.env)


def _wait(process, folder, report):
    while process.poll() is None:
        time.sleep(POLL_SECONDS)
        report(folder / "progress")


def _reader(config, workload, progress):
    total = int(workload.answers.sum())

    def report(path):
        with contextlib.suppress(OSError, ValueError, IndexError):
            beats = int(path.read_text(encoding="utf-8").split()[0])
            progress.update("simulate", min(total, beats // config.wire.output_beats), total)

    return report


def stopped(folder: Path, status: int) -> EcoformerError:
    """The error of a simulator that stopped in ``folder``, which is kept for its logs."""
    failed = folder.with_name("ecoformer-failed-run")
    shutil.rmtree(failed, ignore_errors=True)
    folder.rename(failed)
    log = failed / "simulation.log"
    why = reason(status, log, failed / "test.out")
    return EcoformerError(f"the simulation stopped: {why}; the log is {log}")


def _read_result(folder, config, status):
    path = folder / "result.npz"
    if not path.is_file():
        raise stopped(folder, status)
    with np.load(path) as file:
        result = {name: file[name] for name in file.files}
    ends = result["ends"].tolist()
    return {
        "beats": [result["beats"][a:b] for a, b in zip([0, *ends], ends)],
        "users": result["users"],
        "stamps": {name: result[name] for name in ("first_in", "last_in", "first_out", "last_out")},
        "extra_beats": len(result["beats"]) - (ends[-1] if ends else 0),
        "codes": np.split(unpack_codes(config, result["codes"]), np.cumsum(result["traced"])[:-1]),
        "cycles": int(result["cycles"]),
        "interrupts": result.get("interrupts"),
        "registers": json.loads(str(result["registers"])),
        "busy": result.get("busy"),
        "counted": dict(zip(COUNTED, result["counted"].tolist(), strict=True)),
    }
