# SPDX-License-Identifier: Apache-2.0
"""A simulated board: its top, Verilated, with bits on its serial pins, as a byte link."""

from __future__ import annotations

import ctypes
import weakref
from pathlib import Path

from ecoformer.progress import SILENT, Progress
from ecoformer.sim.build import build
from ecoformer.sim.compiled import LIBRARY, Harness

__all__ = ["HARNESS", "SimulatedBoard"]

HARNESS = Harness(Path(__file__).with_name("board.cpp"), ("clk", "rx", "tx", "light"))
CELLS = sorted(Path(__file__).with_name("cells").glob("*_pll.v"))
"""The PLLs of every family; a board has one or none."""
START_CYCLES = 9_000
"""After which the clock has locked and the reset has ended."""


class SimulatedBoard:
    """A board that is simulated while its host reads; a link for `ecoformer.driver`.

    Time is the board's: nothing happens between two reads, and time-outs count its cycles.

    Parameters
    ----------
    verilog : str
        Of the board's top and everything in it but the PLL.
    build_dir : Path
        Folder in which builds are kept.
    clock_hz, baud : int
        Of the engine and of the serial port: a bit takes as many cycles as one is of the other.
    seed : int
        Of the random bits with which registers and memories start.
    progress : Progress
        Stage ``build``.

    Members
    -------
    settle : float
        Seconds without a byte after which the board has nothing more to say.
    """

    settle = 200e-6

    def __init__(
        self,
        verilog: str,
        build_dir: str | Path,
        *,
        clock_hz: int,
        baud: int,
        seed: int = 0,
        progress: Progress = SILENT,
    ):
        text = verilog + "".join(cell.read_text(encoding="utf-8") for cell in CELLS)
        built = build(
            text, build_dir, simulator="compiled", harness=HARNESS, progress=progress
        )
        self.clock_hz, self.baud = clock_hz, baud
        self._library = _load(built.folder / LIBRARY)
        self._handle = self._library.board_open(seed % (1 << 30) + 1, clock_hz / baud)
        self._close = weakref.finalize(self, self._library.board_close, self._handle)
        self._library.board_run(self._handle, 1, START_CYCLES)

    def close(self) -> None:
        """Free the board, which must not be used afterwards."""
        self._close()

    def write(self, data: bytes) -> None:
        """Send bytes to the board, bit by bit, during the next reads."""
        self._library.board_send(self._handle, data, len(data))

    def read(self, most: int, timeout: float) -> bytes:
        """At most ``most`` bytes; as soon as there is one, or none after ``timeout`` seconds."""
        left = round(timeout * self.clock_hz)
        self._library.board_run(self._handle, 1, left + self._waiting_cycles())
        buffer = ctypes.create_string_buffer(most)
        count = self._library.board_take(self._handle, buffer, most)
        return buffer.raw[:count]

    def time(self) -> float:
        """Seconds since the start, on the board."""
        return self.cycles / self.clock_hz

    @property
    def cycles(self) -> int:
        """Cycles of the engine's clock since the start."""
        return self._library.board_cycles(self._handle)

    def _waiting_cycles(self):
        """Cycles until everything that was written is sent: a time-out begins after that."""
        return round(self._library.board_waiting(self._handle) * 10 * self.clock_hz / self.baud)


def _load(path):
    library = ctypes.CDLL(str(path))
    board, pointer, number = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int64
    for name, result, *arguments in (
        ("open", board, ctypes.c_int, ctypes.c_double),
        ("close", None, board),
        ("send", None, board, pointer, number),
        ("run", None, board, number, number),
        ("take", number, board, pointer, number),
        ("cycles", number, board),
        ("waiting", number, board),
    ):
        function = getattr(library, f"board_{name}")
        function.restype, function.argtypes = result, arguments
    return library
