# SPDX-License-Identifier: Apache-2.0
"""Cycle-level simulation of images or tokens on the Verilog of a network, in any simulator."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ecoformer.errors import EcoformerError
from ecoformer.files import move_atomic
from ecoformer.hw.emit.network import at_full_rate
from ecoformer.processes import scratch
from ecoformer.progress import SILENT, Progress
from ecoformer.sim.build import Build, build
from ecoformer.sim.network.busy import busy_bits
from ecoformer.sim.network.compiled import NETWORK, TAIL, CompiledNetwork, patience
from ecoformer.sim.network.packets import Packet
from ecoformer.sim.network.record import NetworkRecord, State
from ecoformer.sim.network.subjects import Stimuli, packets_for
from ecoformer.sim.simulate import bench, stopped, wave_file_of
from ecoformer.spec.network.load import Design
from ecoformer.spec.units import units

__all__ = ["NetworkRun", "record_packets", "simulate_network"]


@dataclass(frozen=True, kw_only=True)
class NetworkRun:
    """A simulation of images, or of tokens of a decoder.

    Parameters
    ----------
    design : NetworkDesign or DecoderDesign
    record : NetworkRecord
    undefined : int or None
        Cycles in which a pin that has a meaning was neither 0 nor 1; None where there is no X.
    seconds : float
        Wall-clock time, without the build.
    simulator : str
        Name and version.
    waves : Path or None
    """

    design: Design
    record: NetworkRecord
    undefined: int | None
    seconds: float
    simulator: str
    waves: Path | None = None

    @property
    def latency(self) -> int:
        """Cycles from the first beat of the first image or token to the last of its answer."""
        return int(self.record.last_out[0] - self.record.first_in[0])

    @property
    def steady_part(self) -> tuple[int, int] | None:
        """The first and the last answer between which the pipeline is full; None without them.

        It is from the first answer on, and until the last image begins to come.
        """
        last, begun = self.record.last_out, self.record.first_in
        end = int(np.searchsorted(last, begun[-1], side="right")) - 1
        return (0, end) if end > 0 else None

    @property
    def cycles_per_image(self) -> float | None:
        """Of an image or a token, in the steady part."""
        if self.steady_part is None:
            return None
        first, end = self.steady_part
        last = self.record.last_out
        return float(last[end] - last[first]) / (end - first)

    @property
    def layers(self) -> dict[str, dict[str, Any]] | None:
        """How busy every linear layer and every unit of a head was, by name.

        ``lanes``, of all heads; ``busy``, the share of the cycles from the first pixel to the last
        score in which it worked; ``useful``, that of its lanes' cycles that contributed to results;
        ``steady_busy`` and ``steady_useful`` of the steady part, None if there is none. None for a
        network without probes.
        """
        record = self.record
        if record.busy is None or not len(record.busy):
            return None
        whole = int(record.last_out[-1] - record.first_in[0]) + 1
        parts = [(record.busy[-1], whole)]
        if self.steady_part is not None:
            first, end = self.steady_part
            span = int(record.last_out[end] - record.last_out[first])
            parts.append((record.busy[end] - record.busy[first], span))
        shares = {}
        for name, place in busy_bits(self.design).items():
            lanes, fill = self._lanes(name)
            busy = [int(counts[place]) / span for counts, span in parts]
            steady = busy[1] if len(busy) > 1 else None
            shares[name] = {
                "lanes": lanes, "busy": busy[0], "useful": busy[0] * fill, "steady_busy": steady,
                "steady_useful": None if steady is None else steady * fill,
            }
        return shares

    def _lanes(self, name):
        """Lanes of a layer or unit, and the share of them that works in an average step."""
        if ".attention." in name:
            unit = units(self.design.engine)[name.rsplit(".", 1)[1]]
            return self.design.heads * unit.lanes, unit.fill
        fold = self.design.fold(self.design.linear_hardware[name])
        return fold.lanes, fold.inputs * fold.outputs / (fold.lanes * fold.steps)

    def summary(self) -> dict[str, Any]:
        """The figures of the run as a dict for JSON."""
        return {
            "simulator": self.simulator,
            "images": len(self.record.last_out),
            "bad_images": int((self.record.beats[:, -1] >> 1 & 1).sum()),
            "cycles": self.record.cycles,
            "latency": self.latency,
            "cycles_per_image": self.cycles_per_image,
            "published_cycles_per_image": (
                self.design.steady_packet if at_full_rate(self.design) else None
            ),
            "layers": self.layers,
            "undefined_cycles": self.undefined,
            "seconds": round(self.seconds, 3),
            "cycles_per_second": round(self.record.cycles / max(1e-9, self.seconds)),
        }


def simulate_network(
    design: Design,
    verilog: str | Path,
    stimuli: Stimuli,
    *,
    stall: float = 0.0,
    seed: int = 0,
    simulator: str = "compiled",
    waves: str | Path | None = None,
    build_dir: str | Path,
    progress: Progress = SILENT,
) -> NetworkRun:
    """Stream images uint8 [n, channels, S, S], or a tape, through the network of ``verilog``.

    Parameters
    ----------
    stall : float
        Probability of a gap before a beat, and of back-pressure on one.
    seed : int
        Of the stalls.
    simulator : str
        One of `sim.toolchain.SIMULATORS`; all but ``compiled`` run a cocotb bench.
    waves : Path
        File to record a waveform in, as for `sim.simulate.simulate`.

    Raises
    ------
    EcoformerError
        No simulator, a design that it refuses, or a network that does not answer.
    """
    wave_file = wave_file_of(waves, simulator)
    packets = packets_for(design, stimuli)
    built = build(
        verilog, build_dir, simulator=simulator, harness=NETWORK, progress=progress,
        waves=wave_file.suffix[1:] if wave_file else None,
    )
    progress.update("simulate", 0, 1)
    start = time.monotonic()
    record, undefined = record_packets(
        design, built, packets, stall=stall, seed=seed, build_dir=build_dir, wave_file=wave_file
    )
    seconds = time.monotonic() - start
    progress.update("simulate", 1, 1)
    if record.state != State.DONE:
        where = f"; a pin is undefined in {undefined:,} cycles" if undefined else ""
        raise EcoformerError(
            f"network: {record.state.name.lower()} after {len(record.last_out)} of {len(packets)} "
            f"answers{where}; 'ecoformer verify' says where it goes wrong"
        )
    return NetworkRun(
        design=design, record=record, undefined=undefined, seconds=seconds, waves=wave_file,
        simulator=f"{built.simulator.name} {built.simulator.version}",
    )


def record_packets(
    design: Design,
    built: Build,
    packets: Sequence[Packet],
    *,
    stall: float,
    seed: int,
    build_dir: str | Path,
    wave_file: Path | None = None,
) -> tuple[NetworkRecord, int | None]:
    """What a build does with ``packets``, however the run ends.

    Also returns in how many cycles a pin that has a meaning was neither 0 nor 1; None where there
    is no X.
    """
    if built.simulator.name == "compiled":
        network = CompiledNetwork(design, built.folder, seed)
        network.count(len(busy_bits(design)))
        return network.play(packets, gaps=stall, pressure=stall, seed=seed), None
    record, undefined = _in_simulator(design, built, packets, stall, seed, build_dir, wave_file)
    return record, undefined if built.simulator.name == "icarus" else None


def _in_simulator(design, built, packets, stall, seed, build_dir, wave_file):
    settings = {
        "stall": stall, "seed": seed, "patience": patience(design, stall),
        "most": len(packets) * design.answer_beats, "tail": TAIL, "bits": len(busy_bits(design)),
    }
    with scratch(Path(build_dir).resolve(), "run-") as folder:
        np.savez(
            folder / "packets.npz", beats=np.concatenate([packet.beats for packet in packets]),
            marks=np.concatenate([packet.marks for packet in packets]),
        )
        (folder / "settings.json").write_text(json.dumps(settings), encoding="utf-8")
        module = "ecoformer.sim.network.tb_network"
        with bench(folder, built, module, waves=bool(wave_file)) as process:
            status = process.wait()
        if not (folder / "result.npz").is_file():
            raise stopped(folder, status)
        with np.load(folder / "result.npz") as file:
            arrays = {name: file[name] for name in file.files}
        if wave_file:
            move_atomic(folder / f"dump.{built.waves}", wave_file)
    record = NetworkRecord(
        State(int(arrays["state"])), arrays["beats"], arrays["first_in"], arrays["last_out"],
        int(arrays["cycles"]), busy=arrays["busy"],
    )
    return record, len(arrays["undefined"])
