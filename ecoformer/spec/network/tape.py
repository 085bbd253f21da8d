# SPDX-License-Identifier: Apache-2.0
"""Tokens for a decoder on the chip, of any contexts, in one checked file."""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np

from ecoformer.errors import EcoformerError
from ecoformer.files import rendered, write_atomic
from ecoformer.inputs import read_arrays, sealed
from ecoformer.spec.network.decoder import DecoderDesign

__all__ = ["Tape"]

NAMES = ("tokens", "contexts", "begins")


@dataclass(frozen=True)
class Tape:
    """One token after another.

    Parameters
    ----------
    tokens, contexts : int64 array [n]
        Number of every token, and of its context.
    begins : bool array [n]
        Whether its context is empty before it.
    """

    tokens: np.ndarray
    contexts: np.ndarray
    begins: np.ndarray

    def __len__(self) -> int:
        return len(self.tokens)

    def __getitem__(self, part: slice) -> "Tape":
        return Tape(*(getattr(self, name)[part] for name in NAMES))

    def save(self, path: str | Path) -> None:
        """Write the three arrays to the ``.npz`` file ``path``, with a checksum."""
        arrays = {name: getattr(self, name) for name in NAMES}
        write_atomic(path, sealed(rendered(lambda file: np.savez_compressed(file, **arrays))))

    @classmethod
    def load(cls, path: str | Path, design: DecoderDesign) -> Self:
        """The tape in the ``.npz`` file ``path``.

        Numbers may be of no token and of no context of ``design``, as long as the pins hold them.

        Raises
        ------
        EcoformerError
            Missing, damaged, or no tape.
        """
        path = Path(path)
        if not path.is_file():
            raise EcoformerError(f"{path}: no such tokens; leave out -w or write them")
        try:
            arrays = read_arrays(path)
        except ValueError as error:
            raise EcoformerError(f"{path}: damaged tokens ({error}); make them again") from error
        if arrays.keys() != {*NAMES}:
            raise EcoformerError(
                f"{path}: must hold the arrays {', '.join(NAMES)}, not "
                f"{', '.join(sorted(arrays)) or 'none'}; write them with numpy.savez_compressed"
            )
        ends = (8 * design.token_bytes, design.context_width, 1)
        lengths = {array.shape for array in arrays.values()}
        for name, bits in zip(NAMES, ends):
            array = arrays[name]
            whole = array.ndim == 1 and len(array) and array.dtype.kind in "iub"
            if not whole or len(lengths) > 1 or array.min() < 0 or int(array.max()) >> bits:
                raise EcoformerError(
                    f"{path}: {name} must be integers 0…{(1 << bits) - 1} for this network, as "
                    "many as the others, at least one; make them again"
                )
        tokens, contexts = (arrays[name].astype(np.int64) for name in NAMES[:2])
        return cls(tokens, contexts, arrays["begins"].astype(bool))
