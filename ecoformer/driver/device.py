# SPDX-License-Identifier: Apache-2.0
"""An engine as its user sees it: parameters, attention, counters, errors."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Self

import numpy as np

from ecoformer.driver.design import Design
from ecoformer.driver.errors import EngineError, LinkError
from ecoformer.driver.transport import Packet, Transport, good_answers, recognise

__all__ = ["Device"]

POLLS = 1000
"""Reads of STATUS within which the shadow set must become free."""


class Device:
    """One engine, over any transport.

    Parameters
    ----------
    design : path or Design
        The folder that ``ecoformer generate`` wrote.
    transport : Transport
    reset : bool
        Whether to reset the engine first; if not, sets that are loaded stay.

    Raises
    ------
    DeviceError
        Nothing answers, or another engine.
    """

    def __init__(self, design: str | Path | Design, transport: Transport, *, reset: bool = True):
        self.design = design if isinstance(design, Design) else Design(design)
        self.transport = transport
        transport.design = self.design
        if reset:
            transport.reset()
        recognise(transport, self.design)

    def read(self, *names: str) -> list[int]:
        """Values of registers."""
        return self.transport.read([self.design.registers[name].offset for name in names])

    def write(self, name: str, value: int) -> None:
        """Write a register."""
        self.transport.write([(self.design.registers[name].offset, value)])

    def load(self) -> int:
        """Load every set of ``parameters.bin``; returns how many there are."""
        sets = self.design.parameters()
        for index, words in enumerate(sets):
            self.load_set(index, words)
        return len(sets)

    def load_set(self, index: int, words: np.ndarray) -> None:
        """Load one set and commit it.

        Parameters
        ----------
        index : int
        words : uint32 array [words, 2]
            PARAM_ADDRESS and PARAM_DATA of every word of the set.
        """
        registers = self.design.registers
        free = next(f for f in registers["STATUS"].fields if f.name == "SHADOW_FREE")
        for _ in range(POLLS):
            if free.get(*self.read("STATUS")):
                break
        else:
            raise LinkError("engine: the shadow set does not become free; fetch results or reset")
        address, data, commit = (
            registers[name].offset for name in ("PARAM_ADDRESS", "PARAM_DATA", "COMMIT")
        )
        writes, expected = [], None
        for word, value in words.tolist():
            if word != expected:
                writes.append((address, word))
            writes.append((data, value))
            expected = word + 1
        self.transport.write([*writes, (commit, index)])

    def attend(
        self, tokens: np.ndarray, values: np.ndarray, sets: int | np.ndarray = 0
    ) -> np.ndarray:
        """Attention of sequences of equal length.

        Parameters
        ----------
        tokens : int array [..., N, D]
            Their codes ±1 [..., N, b] with ``hash = "codes"``; with separate queries q and k side
            by side, [..., N, 2D] or [..., N, 2b].
        values : int array [..., N, E]
        sets : int or int array [...]

        Returns
        -------
        int64 array [..., N, E]
            In units of 2^-``output_fraction``.

        Raises
        ------
        ValueError
            Arrays of another shape or range.
        EngineError
            The engine answers with an error; nothing of the call is returned.
        """
        tokens, values = np.asarray(tokens), np.asarray(values)
        *batch, length, _ = values.shape
        chosen = np.broadcast_to(np.asarray(sets), batch).reshape(-1).tolist()
        flat = (array.reshape(len(chosen), length, -1) for array in (tokens, values))
        answers = list(self.answer(zip(chosen, *flat, strict=True)))
        return np.array(answers, np.int64).reshape(*batch, length, self.design.value_dim)

    def answer(
        self, sequences: Iterable[tuple[int, np.ndarray, np.ndarray]]
    ) -> Iterator[np.ndarray]:
        """Yield the results of sequences of any length, int64 [N, E], in order.

        Parameters
        ----------
        sequences : iterable of (int, int array [N, D], int array [N, E])
            Parameter set, tokens and values; taken as the engine has room.
        """
        wanted: list[int] = []

        def packets():
            for index, tokens, values in sequences:
                data = self.design.pack(np.asarray(tokens), np.asarray(values))
                size = self.design.answer_bytes(len(tokens))
                wanted.append(size)
                yield Packet(index, data, size)

        for data in good_answers(
            self.transport.exchange(packets()), wanted.__getitem__,
            lambda number: EngineError(number, self.errors(clear=True)),
        ):
            yield self.design.unpack(data)

    def errors(self, *, clear: bool = False) -> list[str]:
        """Names of the error flags that are set; ``clear`` clears them."""
        (flags,) = self.read("ERRORS")
        if clear:
            self.write("ERRORS", flags)
        return [f.name for f in self.design.registers["ERRORS"].fields if f.get(flags)]

    def counters(self) -> dict[str, int]:
        """Every counter by name; 32 bits, wrapping."""
        names = [r.name for r in self.design.registers.values() if "counts" in r.access]
        return dict(zip(names, self.read(*names), strict=True))

    def soft_reset(self) -> None:
        """Abort the packet that is being received; what is complete, sets and counters stay."""
        control = self.design.registers["CONTROL"]
        bit = next(f for f in control.fields if f.name == "SOFT_RESET")
        self.write("CONTROL", 1 << bit.low)

    def close(self) -> None:
        """Close the transport."""
        self.transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()
