# SPDX-License-Identifier: Apache-2.0
"""The fast path: a Verilated engine in a shared library, its pins driven by compiled C++.

`CompiledEngine` is the hardware: registers, streams, cycles. `sim.rtl.Rtl` makes a function of it.
Public probes tell which units work, and the key of every token that is hashed.
"""

from __future__ import annotations

import ctypes
import enum
import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ecoformer.spec.registers import REGISTERS

__all__ = [
    "CompiledEngine", "ENGINE", "Harness", "Packets", "State", "compile_commands", "LIBRARY",
    "PROBE",
]


@dataclass(frozen=True)
class Harness:
    """C++ that drives the pins of a Verilated design.

    Parameters
    ----------
    source : Path
    pins : tuple of str
        By which the design's top module is known.
    """

    source: Path
    pins: tuple[str, ...]


ENGINE = Harness(Path(__file__).with_name("harness.cpp"), ("aclk", "s_axil_awaddr"))
LIBRARY = "engine.so"
PROBE = 'public_flat_rd -module "*" -var "trace_*"'
"""Line of a Verilator control file that shows the probes to the harness."""
Packets = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Beats, index of each packet's last beat, and number of each packet, for one stream."""
NEVER = np.iinfo(np.int64).max
MAX_UNITS = 32
"""Units that the harness counts; the same constant is in ``harness.cpp``."""
RECORDS = {
    "beats": np.uint8, "ends": np.int64, "users": np.int64, "first_in": np.int64,
    "last_in": np.int64, "first_out": np.int64, "last_out": np.int64, "taken": np.int64,
    "violations": np.int64, "interrupts": np.int64, "query_first_in": np.int64,
    "query_last_in": np.int64, "query_taken": np.int64,
}
"""What the harness records of a stream, in its order. ``taken``: the cycle of every input beat;
``violations``: cycle and number of each, `sim.record.VIOLATIONS`; ``interrupts``: cycle and new
level of ``irq``; ``query_…``: of the stream of queries."""


def compile_commands(
    folder: str | Path,
    source: str | Path,
    top: str,
    build_args: Sequence[str],
    harness: str | Path = "",
) -> list[list[str]]:
    """Commands that compile the Verilog file ``source`` with ``harness`` into a shared library.

    Several libraries live in one process: none may resolve to another's symbols.
    """
    return [
        ["verilator", "--cc", "--exe", "--top-module", top, "--prefix", "Vengine", "-Mdir",
         str(folder), "-o", LIBRARY,
         "-CFLAGS", f"-fPIC -fvisibility=hidden -fno-gnu-unique -DENGINE_TOP={top}",
         "-LDFLAGS", "-shared -Wl,-Bsymbolic", *build_args, str(source), str(harness)],
        ["make", "-j", "2", "-C", str(folder), "-f", "Vengine.mk", "OPT_FAST=-O2"],
    ]


class State(enum.IntEnum):
    """Why :meth:`CompiledEngine.advance` returned."""

    RUNNING = 0
    """The requested cycles are over."""
    DONE = 1
    """Every packet is answered, and the tail is over."""
    SILENT = 2
    """Nothing has moved for too long."""
    BEGUN = 3
    """The requested packets have begun, or the requested beats were taken."""
    OVERDUE = 4
    """More cycles have passed than the packets can take."""
    BABBLING = 5
    """More beats have come than the packets can be answered with."""
    UNDEFINED = 6
    """A pin was neither 0 nor 1; only in simulators that know X."""


class CompiledEngine:
    """A new engine from the library of a build, just reset.

    A register access takes cycles, in which a stream goes on.

    Parameters
    ----------
    folder : Path
        Folder of the build.
    seed : int
        Of the random bits with which registers and memories start, unless they have initial values.
    """

    def __init__(self, folder: Path, seed: int = 1):
        self._library = _load(folder / LIBRARY)
        self._handle = self._library.engine_open(seed % (1 << 30) + 1)  # 0 would be a random seed
        self._arrays: tuple[Packets, ...] = ()
        self._close = weakref.finalize(self, self._library.engine_close, self._handle)

    def close(self) -> None:
        """Free the engine, which must not be used afterwards."""
        self._close()

    def reset(self, cycles: int = 5) -> bool:
        """Assert ``aresetn``; everything in flight and every parameter is lost.

        Returns whether no beat, response or answer was offered and no beat taken meanwhile.
        """
        return bool(self._library.engine_reset(self._handle, cycles))

    def write(
        self,
        address: int,
        data: int,
        *,
        strobe: int = 0xF,
        delays: tuple[int, int, int] = (0, 0, 0),
    ) -> int | None:
        """Write a register; returns its response, None if there is none.

        ``delays`` are the cycles to wait before address and data are offered and before a response
        is accepted.
        """
        answer = self._library.engine_write(self._handle, address, data, strobe, *delays)
        return None if answer < 0 else answer

    def write_words(self, words: np.ndarray) -> tuple[int, int | None]:
        """Write ``words``, uint64 with the address above 32 bits, until one is not answered OKAY.

        Returns how many were, and the response to the last one; None without any.
        """
        words, written = np.ascontiguousarray(words, np.uint64), ctypes.c_int64()
        response = self._library.engine_write_words(
            self._handle, words.ctypes.data, len(words), ctypes.byref(written)
        )
        return written.value, None if response < 0 else response

    def read(self, address: int, *, delay: int = 0) -> tuple[int, int] | None:
        """Read a register; returns (response, data), None if there is no answer.

        ``delay`` cycles pass before an answer is accepted.
        """
        answer = self._library.engine_read(self._handle, address, delay)
        return None if answer < 0 else (answer >> 32, answer & 0xFFFFFFFF)

    def burst(
        self, accesses: Sequence[tuple[int, int, int, int]], *, lead: int = 0, hold: int = 0
    ) -> list[tuple[int | None, int]]:
        """Access registers without waiting for the answers: response, or None, and data of each.

        Parameters
        ----------
        accesses : sequence of (int, int, int, int)
            Whether it is a read, the address, data and strobe.
        lead : int
            Cycles by which addresses are offered before data; below 0: after them.
        hold : int
            Cycles in which nothing is accepted.
        """
        words = np.array(accesses, np.uint32)
        answers = np.full(len(words), -1, np.int64)
        self._library.engine_burst(
            self._handle, words.ctypes.data, len(words), lead, hold, answers.ctypes.data
        )
        return [
            (None, 0) if answer < 0 else (answer >> 32, answer & 0xFFFFFFFF)
            for answer in answers.tolist()
        ]

    @property
    def accepted(self) -> int:
        """Cycle since :meth:`begin` in which the latest access was taken."""
        return self._library.engine_accepted(self._handle)

    def begin(
        self,
        beats: np.ndarray,
        lasts: np.ndarray,
        users: np.ndarray,
        *,
        stall: float,
        seed: int,
        patience: int,
        tail: int,
        limit: int = NEVER,
        most_beats: int = NEVER,
        hold: int | None = None,
        pressure: float | None = None,
        later: int = 1,
        rises: int = 0,
        queries: Packets | None = None,
        keep_bytes: int = 0,
        queue: int | None = 0,
    ) -> None:
        """Start to stream packets; without ``s_axis_tuser``, sets are selected by NEXT_SET.

        Parameters
        ----------
        beats : uint8 array [n, row]
            Every beat of every packet (`sim.rows`).
        lasts, users : int64 array [packets]
            Index of each packet's last beat, and its number: ``tuser``, and ``tid`` from bit 32 on
            (`sim.selection`).
        stall : float
            Probability of a gap before an input beat and of back-pressure on an output beat.
        patience : int
            Cycles without a beat after which the engine counts as silent.
        tail : int
            Cycles to keep listening after the last packet.
        limit : int
            Cycles after which the engine counts as overdue.
        most_beats : int
            Beats to receive; with one more, the engine counts as babbling.
        hold : int
            Packet that must not begin yet.
        pressure : float
            Probability of back-pressure, if other than ``stall``.
        later : int
            Bits of the number that beats after the first change: they must be ignored there.
        rises : int
            Bits of an answer's number that may be 0 before its last beat, and 1 there.
        queries : (beats, lasts, users)
            Packets of queries that come by themselves.
        keep_bytes : int
            Bytes of a row that hold ``tkeep``.
        queue : int or None
            Sets that may wait in NEXT_SET for their packets; 0: it holds that of the next; None: it
            is not written.
        """
        pressure = stall if pressure is None else pressure
        # The harness reads them where they are.
        self._arrays = tuple(map(_contiguous, ((beats, lasts, users), *filter(None, [queries]))))
        (beats, lasts, users), *others = self._arrays
        for asked, ends, numbers in others:
            self._library.engine_queries(
                self._handle, asked.ctypes.data, asked.shape[1], ends.ctypes.data,
                numbers.ctypes.data, len(numbers), _packet(hold), later,
            )
        self._library.engine_begin(
            self._handle, beats.ctypes.data, beats.shape[1], lasts.ctypes.data, users.ctypes.data,
            len(users), _packet(hold), REGISTERS["NEXT_SET"].offset, round(stall * 2**32),
            round(pressure * 2**32), seed, patience, tail, limit, most_beats, later, rises,
            keep_bytes, -1 if queue is None else queue,
        )

    def hold(self, packet: int | None) -> None:
        """Choose another packet that must not begin yet; None lets every one begin."""
        self._library.engine_hold(self._handle, _packet(packet))

    def gate(self, beat: int | None, stream: int = 0) -> None:
        """Choose a beat of a stream that must not be offered yet; None lets every one be."""
        self._library.engine_gate(self._handle, _packet(beat), stream)

    def press(self, pressure: float) -> None:
        """Change the probability of back-pressure; at 1 no result is taken."""
        self._library.engine_press(self._handle, round(pressure * 2**32))

    def idle(self, cycles: int) -> None:
        """Let ``cycles`` cycles pass, whatever happens; at the end of a stream as well."""
        self._library.engine_idle(self._handle, cycles)

    def advance(
        self, cycles: int, *, begun: int | None = None, sent: int | None = None, stream: int = 0
    ) -> State:
        """Go on for ``cycles`` cycles, or to the end.

        Stops earlier when ``begun`` packets have begun or ``sent`` beats of a stream were taken.
        """
        targets = (NEVER if target is None else target for target in (begun, sent))
        return State(self._library.engine_advance(self._handle, cycles, *targets, stream))

    @property
    def cycles(self) -> int:
        """Cycles since :meth:`begin`."""
        return self._library.engine_cycles(self._handle)

    @property
    def sent(self) -> int:
        """Beats taken since :meth:`begin`."""
        return self._library.engine_sent(self._handle)

    @property
    def received(self) -> int:
        """Beats received since :meth:`begin`."""
        return self._library.engine_received(self._handle)

    def records(self) -> dict[str, np.ndarray]:
        """What was recorded since :meth:`begin`: dict of arrays by name, see :data:`RECORDS`."""
        return {
            name: self._record(which, dtype) for which, (name, dtype) in enumerate(RECORDS.items())
        }

    def codes(self) -> list[np.ndarray]:
        """Per datapath, the key of every token hashed since :meth:`begin`: uint8 [tokens, bytes].

        Then those of queries that come by themselves. Empty for a design without probes.
        """
        library, handle = self._library, self._handle
        size = library.engine_code_bytes(handle)
        return [
            _array(library.engine_codes(handle, i), np.uint8).reshape(-1, size)
            for i in range(library.engine_datapaths(handle))
        ]

    def counted(self) -> list[int]:
        """Cycles since :meth:`begin` that `sim.run.COUNTED` counts, as seen at the pins."""
        counts = np.zeros(3, dtype=np.int64)
        self._library.engine_count(self._handle, counts.ctypes.data)
        return counts.tolist()

    def busy(self) -> np.ndarray | None:
        """Cycles since :meth:`begin` in which each unit worked, as `SimulationRun.busy`.

        There are more entries than units. None for a design without probes.
        """
        counts = np.zeros((2, MAX_UNITS), dtype=np.int64)
        probed = self._library.engine_units(self._handle, counts.ctypes.data)
        return counts if probed else None

    def write_coverage(self, path: str | Path) -> None:
        """Write what a build with coverage has exercised, in Verilator's format."""
        self._library.engine_write_coverage(self._handle, str(path).encode())

    def _record(self, which, dtype):
        return _array(self._library.engine_record(self._handle, which), dtype)


class _Span(ctypes.Structure):
    _fields_ = (("data", ctypes.c_void_p), ("bytes", ctypes.c_uint64))


def _array(span, dtype):
    raw = ctypes.string_at(span.data, span.bytes) if span.bytes else b""
    return np.frombuffer(raw, dtype)


def _contiguous(packets):
    types = np.uint8, np.int64, np.int64
    return tuple(np.ascontiguousarray(array, dtype) for array, dtype in zip(packets, types))


def _packet(index):
    return -1 if index is None else index


def _load(path):
    library = ctypes.CDLL(str(path))
    engine, pointer, number = ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64
    word, natural = ctypes.c_uint32, ctypes.c_uint64
    for name, result, *arguments in (
        ("open", engine, ctypes.c_int),
        ("close", None, engine),
        ("reset", ctypes.c_int, engine, number),
        ("write", number, engine, word, word, word, number, number, number),
        ("write_words", number, engine, pointer, number, pointer),
        ("read", number, engine, word, number),
        ("burst", None, engine, pointer, number, number, number, pointer),
        ("accepted", number, engine),
        ("begin", None, engine, pointer, natural, pointer, pointer, number, number, word, natural,
         natural, natural, number, number, number, number, number, number, natural,
         number),
        ("hold", None, engine, number),
        ("queries", None, engine, pointer, natural, pointer, pointer, number, number, number),
        ("gate", None, engine, number, ctypes.c_int),
        ("press", None, engine, natural),
        ("idle", None, engine, number),
        ("advance", ctypes.c_int, engine, number, number, number, ctypes.c_int),
        ("cycles", number, engine),
        ("sent", number, engine),
        ("received", number, engine),
        ("count", None, engine, pointer),
        ("units", ctypes.c_int, engine, pointer),
        ("record", _Span, engine, ctypes.c_int),
        ("write_coverage", None, engine, ctypes.c_char_p),
        ("datapaths", ctypes.c_int, engine),
        ("code_bytes", natural, engine),
        ("codes", _Span, engine, ctypes.c_int),
    ):
        function = getattr(library, f"engine_{name}")
        function.restype, function.argtypes = result, arguments
    return library
