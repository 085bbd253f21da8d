# SPDX-License-Identifier: Apache-2.0
"""The fast path of a network: Verilated, with its pins driven by compiled C++."""

from __future__ import annotations

import ctypes
import weakref
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

from ecoformer.errors import EcoformerError
from ecoformer.hw.emit.network import emit_network
from ecoformer.hw.network.chain import BUSY_PROBE, probe_name
from ecoformer.progress import SILENT, Progress
from ecoformer.sim.build import build
from ecoformer.sim.compiled import LIBRARY, Harness
from ecoformer.sim.network.loads import Load
from ecoformer.sim.network.packets import Packet
from ecoformer.sim.network.record import LoadEvent, NetworkRecord, State, Violation
from ecoformer.spec.network.image import NetworkImage
from ecoformer.spec.network.load import Design

__all__ = ["Answers", "CompiledNetwork", "NETWORK", "TAIL", "patience"]

NETWORK = Harness(Path(__file__).with_name("harness.cpp"), ("aclk", "m_axis_tuser"))
RECORDS = ("beats", "first_in", "last_out", "violations", "busy", "loads")
"""What a run records of the pins; behind it comes what layers sent."""
TAIL = 64
"""Cycles to keep listening after the last answer, for unexpected beats."""
NEVER = -1


@dataclass(frozen=True)
class Answers:
    """What came back for a number of images.

    Parameters
    ----------
    scores : int64 array [images, classes]
        Zeros for a bad image.
    bad : bool array [images]
    first_in, last_out : int64 array [images]
        Cycles in which the first pixel of an image was taken, and the last beat of its answer.
    """

    scores: np.ndarray
    bad: np.ndarray
    first_in: np.ndarray
    last_out: np.ndarray

    @property
    def cycles_per_image(self) -> float:
        """Mean distance of the answers of the second half, when the pipeline is full."""
        late = self.last_out[len(self.last_out) // 2 :]
        return float(np.diff(late).mean()) if len(late) > 1 else float(late[0])


class CompiledNetwork:
    """A network in compiled Verilog, just reset.

    Parameters
    ----------
    design : NetworkDesign or DecoderDesign
    folder : Path
        Folder of its build.
    seed : int
        Of the random bits with which registers and memories start, unless they have initial values.
    """

    def __init__(self, design: Any, folder: Path, seed: int = 1):
        self.design = design
        self.folder = folder
        self._library = _load(folder / LIBRARY)
        self._handle = self._library.network_open(seed % (1 << 30) + 1)
        self._watched: list[str] = []
        self._counted = 0
        self._close = weakref.finalize(self, self._library.network_close, self._handle)

    @classmethod
    def of(
        cls,
        design: Design,
        image: NetworkImage,
        build_dir: str | Path,
        *,
        progress: Progress = SILENT,
    ) -> Self:
        """Emit, compile and open a network."""
        return cls.of_verilog(design, emit_network(design, image), build_dir, progress=progress)

    @classmethod
    def of_verilog(
        cls,
        design: Design,
        verilog: str | Path,
        build_dir: str | Path,
        *,
        progress: Progress = SILENT,
    ) -> Self:
        """Compile and open the network of a text, or of a file."""
        done = build(verilog, build_dir, simulator="compiled", harness=NETWORK, progress=progress)
        return cls(design, done.folder)

    def reset(self, cycles: int = 5) -> None:
        """Assert ``aresetn``: images in flight are lost, parameters stay.

        Unless a load has begun to write others: then they are spoilt.
        """
        self._library.network_reset(self._handle, cycles)

    def run(self, pixels: np.ndarray, *, stall: float = 0.0, seed: int = 0) -> Answers:
        """Answers to images uint8 [B, channels, S, S].

        Parameters
        ----------
        stall : float
            Probability that a cycle passes without a beat offered, or without one taken.
        seed : int
            Of the stalls.
        """
        beats = np.asarray(pixels).reshape(len(pixels), self.design.channels, -1)
        return self.run_packets([*beats.transpose(0, 2, 1)], stall=stall, seed=seed)

    def run_packets(
        self, packets: Sequence[np.ndarray], *, stall: float = 0.0, seed: int = 0
    ) -> Answers:
        """Answers to packets of pixels uint8 [pixels, channels], which may be bad images.

        Raises
        ------
        EcoformerError
            The network falls silent, or answers more than it was asked.
        """
        sent = [Packet(packet, number) for number, packet in enumerate(packets)]
        record = self.play(sent, gaps=stall, pressure=stall, seed=seed)
        if record.state != State.DONE:
            raise EcoformerError(
                f"network: {record.state.name.lower()} after {len(record.last_out)} of "
                f"{len(packets)} answers"
            )
        return self._answers(record.beats, record.first_in, record.last_out)

    def play(
        self,
        packets: Sequence[Packet],
        *,
        gaps: float = 0.0,
        pressure: float = 0.0,
        seed: int = 0,
        limit: int | None = None,
        loads: Sequence[Load] = (),
    ) -> NetworkRecord:
        """Send ``packets``; whatever comes back is no error.

        Parameters
        ----------
        gaps, pressure : float
            Probability that a cycle passes without a beat offered, and without one taken.
        seed : int
            Of the stalls.
        limit : int or None
            Cycles after which to stop, whatever is in flight.
        loads : sequence of Load
            Parameter packets that are sent beside them.
        """
        d = self.design
        load_bytes = np.frombuffer(b"".join(load.packet for load in loads), np.uint8)
        ends = np.cumsum([len(load.packet) for load in loads], dtype=np.int64)
        after = np.array([load.after for load in loads], np.int64)
        none = np.zeros((0, packets[0].beats.shape[1] if packets else 1), np.uint8)
        beats = np.concatenate([none, *(packet.beats for packet in packets)]).astype(np.uint8)
        marks = np.concatenate([np.zeros(0, np.int64), *(packet.marks for packet in packets)])
        state = self._library.network_run(
            self._handle, beats.ctypes, beats.shape[1], marks.ctypes, len(packets),
            load_bytes.ctypes, ends.ctypes, after.ctypes, len(loads), gaps, pressure,
            seed, patience(d, max(gaps, pressure)), len(packets) * d.answer_beats, TAIL,
            NEVER if limit is None else limit,
        )
        records = dict(zip(RECORDS, map(self._record, range(len(RECORDS))), strict=True))
        events = len(LoadEvent._fields)
        counted = records["busy"].reshape(-1, self._counted) if self._counted else None
        return NetworkRecord(
            State(state),
            records["beats"].reshape(-1, self._library.network_words() + 1),
            records["first_in"],
            records["last_out"],
            int(self._library.network_cycles(self._handle)),
            [(int(c), Violation(v)) for c, v in records["violations"].reshape(-1, 2)],
            self._sent(0),
            self._sent(1),
            counted,
            [LoadEvent(*row) for row in records["loads"].reshape(-1, events).tolist()],
        )

    def watch(self, layers: Iterable[str]) -> bool:
        """Record what ``layers`` send from now on, and nothing else; False without probes.

        Raises
        ------
        EcoformerError
            There is no such layer.
        """
        self._library.network_ignore(self._handle)
        self._watched = []
        for layer in layers:
            width = self.design.sent_widths.get(layer)
            if width is None:
                raise EcoformerError(f"network: no layer {layer!r}")
            name = probe_name(layer).encode()
            if not self._library.network_watch(self._handle, name, width, self.design.lanes):
                self._library.network_ignore(self._handle)
                self._watched = []
                return False
            self._watched.append(layer)
        return True

    def count(self, bits: int) -> bool:
        """Count which layers work, as ``bits`` bits show; False without probes."""
        found = self._library.network_count(self._handle, BUSY_PROBE.encode(), bits)
        self._counted = bits if found else 0
        return bool(found)

    def _answers(self, beats, first_in, last_out):
        scores, flags = beats[:, 0], beats[:, 1]
        ends = np.flatnonzero(flags & 1) + 1
        rows = np.split(scores, ends[:-1])
        bad = flags[ends - 1] >> 1 == 1
        sizes = {len(row) for row, wrong in zip(rows, bad, strict=True) if not wrong}
        if sizes - {self.design.classes} or any(len(rows[i]) != 1 for i in np.flatnonzero(bad)):
            raise EcoformerError("network: an answer has another number of beats than scores")
        full = np.zeros((len(rows), self.design.classes), np.int64)
        for number in np.flatnonzero(~bad):
            full[number] = rows[number]
        return Answers(_signed(full, self.design.score_bytes), bad, first_in, last_out)

    def elements(self, layer: str, pixels: np.ndarray) -> np.ndarray:
        """What ``layer`` sends while the network works on images: int64 [n], in their order.

        Parameters
        ----------
        layer : str
            A name of `golden.integer.network.forward.trace`.
        """
        if not self.watch([layer]):
            raise EcoformerError("network: the Verilog has no probes; generate again")
        beats = np.asarray(pixels).reshape(len(pixels), self.design.channels, -1)
        packets = [Packet(packet, None) for packet in beats.transpose(0, 2, 1)]
        return self.play(packets).elements[layer]

    def _sent(self, which):
        """Elements (0) or cycles (1) of every layer that is watched."""
        first = len(RECORDS) + which
        return {name: self._record(first + 2 * i) for i, name in enumerate(self._watched)}

    def _record(self, number):
        length = self._library.network_record(self._handle, number, None)
        record = np.empty(length, np.int64)
        self._library.network_record(self._handle, number, record.ctypes)
        return record


def patience(design: Any, stall: float) -> int:
    """Cycles without a beat after which a network counts as silent, with stalls this likely."""
    # In no stage of the pipeline does a token wait longer than for two images.
    tokens = design.waits + 15 + design.depth
    cycles = 64 * design.cycles_per_token * tokens + 16 * design.input_beats
    return int(cycles / (1 - stall))


def _signed(words, size):
    """Words of ``size`` bytes, which were copied without their sign."""
    unused = 64 - 8 * size
    return words << unused >> unused


def _load(path):
    library = ctypes.CDLL(str(path))
    handle, number, array = ctypes.c_void_p, ctypes.c_int64, ctypes.c_void_p
    library.network_open.restype = handle
    library.network_record.restype = number
    library.network_open.argtypes = [ctypes.c_int]
    library.network_close.argtypes = [handle]
    library.network_reset.argtypes = [handle, ctypes.c_int]
    library.network_watch.argtypes = [handle, ctypes.c_char_p, ctypes.c_int, ctypes.c_int]
    library.network_cycles.restype = number
    library.network_cycles.argtypes = [handle]
    library.network_ignore.argtypes = [handle]
    library.network_count.argtypes = [handle, ctypes.c_char_p, ctypes.c_uint64]
    probability = ctypes.c_double
    library.network_run.argtypes = [
        handle, array, ctypes.c_uint64, array, number, array, array, array, number, probability,
        probability, ctypes.c_uint64, number, number, number, number,
    ]
    library.network_record.argtypes = [handle, ctypes.c_int, array]
    return library
