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
from sim.build import build, last_words, start_step
from sim.compiled import collect_compiled, start_compiled
from sim.faults import check_faults, packet
from sim.run import SimulationRun

__all__ = ["simulate", "start_bench", "Engine"]

POLL_SECONDS = 0.02


def simulate(
    config, verilog, image, workload, *, stall=0.0, seed=0, simulator="verilator", waves=None,
    faults=None, updates=None, trace=True, build_dir, reporter=None,
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
        named one is under way, and counts from the named one on. Not with ``compiled``.
    trace : bool
        Record the code of every token; ``compiled`` never does.
    build_dir : Path
        Folder in which builds are kept from call to call.
    reporter : callable
        Called as ``reporter(stage, done, total)``; stages are ``build`` and ``simulate``.

    Returns
    -------
    SimulationRun

    Raises
    ------
    EcoformerError
        No simulator, a design it refuses, or a workload that does not fit.
    """
    faults, updates = dict(faults or {}), dict(sorted((updates or {}).items()))
    _check(config, image, workload, stall, faults)
    _check_updates(config, image, workload, updates, simulator)
    waves = _wave_file(waves, simulator)
    built = build(
        verilog, build_dir, simulator=simulator, reporter=reporter,
        waves=waves.suffix[1:] if waves else None,
    )  # fmt: skip
    folder = Path(tempfile.mkdtemp(prefix="run-", dir=Path(build_dir).resolve()))
    trace = trace and simulator != "compiled"
    settings = _write_job(folder, config, image, workload, faults, stall)
    settings.update(seed=seed, trace=trace, updates=list(updates))
    (folder / "settings.json").write_text(json.dumps(settings))
    for packet_number, update in updates.items():
        update.save(folder / f"update{packet_number}.safetensors", config)
    start = time.monotonic()
    if simulator == "compiled":
        process = start_compiled(folder, built.folder / "engine", config, image, settings)
    else:
        process = start_bench(folder, built, "sim.tb_engine", waves=waves is not None)
    _wait(process, folder, _progress(config, workload, reporter))
    if simulator == "compiled":
        collect_compiled(folder, config)
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


class Engine:
    """Simulated hardware as a function: what a driver and an accelerator do together.

    Parameters
    ----------
    config : Config
    verilog : Path or str
    image : ParameterImage
    build_dir : Path
        Folder in which the build is kept; the first call builds.
    options : dict
        Further arguments of :func:`simulate`.

    Members
    -------
    run : SimulationRun
        The last run, for cycle counts.
    """

    def __init__(self, config, verilog, image, build_dir, **options):
        self.config, self.verilog, self.image = config, verilog, image
        self.build_dir, self.run = build_dir, None
        self.options = {"simulator": "compiled", **options}

    def attend(self, workload):
        """Results of every sequence: list of int64 [N, E]."""
        self.run = simulate(
            self.config, self.verilog, self.image, workload, build_dir=self.build_dir,
            **self.options,
        )  # fmt: skip
        outputs = self.run.outputs
        if self.run.errors.any() or list(map(len, outputs)) != workload.lengths.tolist():
            raise EcoformerError("engine: it does not answer every sequence; run 'verify'")
        return outputs


def _check(config, image, workload, stall, faults):
    if not 0 <= stall < 1:
        raise EcoformerError(f"stall {stall}: must be at least 0 and below 1")
    try:
        image.check(config)
        workload.check(config)
    except ValueError as error:
        raise EcoformerError(f"simulation: {error}; use matching files") from error
    if workload.sets.max() >= image.sets:
        raise EcoformerError(
            f"workload: asks for parameter set {workload.sets.max()}, but the image has "
            f"{image.sets}; export more sets"
        )
    check_faults(config, image, workload, faults)


def _check_updates(config, image, workload, updates, simulator):
    if updates and simulator == "compiled":
        raise EcoformerError("updates: 'compiled' cannot load during a run; use 'verilator'")
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


def _write_job(folder, config, image, workload, faults, stall):
    packets = [
        packet(config, image, sequence, faults.get(i))
        for i, sequence in enumerate(workload.sequences())
    ]
    beats = [beats for beats, _ in packets]
    lengths = np.array(list(map(len, beats)), dtype=np.int64)
    np.savez(
        folder / "packets.npz",
        beats=np.concatenate(beats),
        lasts=np.cumsum(lengths) - 1,
        users=np.array([user for _, user in packets], dtype=np.int64),
    )
    (folder / "config.toml").write_text(config.as_toml())
    image.save(folder / "parameters.safetensors", config)
    longest = -(-int(lengths.max()) // config.input_beats)
    quiet = (2 * longest + 64) * config.cycles_per_token + 4096
    return {"stall": stall, "patience": int(quiet / (1 - stall) ** 2)}


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


def _progress(config, workload, reporter):
    total = int(workload.lengths.sum())
    if reporter is None:
        return lambda path: None

    def report(path):
        with contextlib.suppress(OSError, ValueError, IndexError):
            beats = int(path.read_text().split()[0])
            reporter("simulate", min(total, beats // config.output_beats), total)

    return report


def _read_result(folder, config):
    path = folder / "result.npz"
    if not path.is_file():
        why = last_words(folder / "simulation.log", folder / "test.out")
        raise EcoformerError(f"{folder / 'simulation.log'}: the simulation stopped: {why}")
    with np.load(path) as file:
        result = {name: file[name] for name in file.files}
    ends = result["ends"].tolist()
    bits = np.unpackbits(result["codes"], axis=1, bitorder="little")[:, : config.code_bits]
    return {
        "beats": [result["beats"][a:b] for a, b in zip([0, *ends], ends)],
        "users": result["users"],
        "stamps": {name: result[name] for name in ("first_in", "last_in", "first_out", "last_out")},
        "extra_beats": len(result["beats"]) - (ends[-1] if ends else 0),
        "codes": 2 * bits.astype(np.int64) - 1,
        "cycles": int(result["cycles"]),
        "interrupts": result.get("interrupts"),
        "registers": json.loads(str(result["registers"])),
    }
