# SPDX-License-Identifier: Apache-2.0
"""What boards with FPGAs of one family have in common."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ecoformer.hw.boards.catalogue import Pad
from ecoformer.hw.boards.clock import BoardClock

__all__ = ["Family"]


@dataclass(frozen=True)
class Family:
    """A family of FPGAs on boards.

    Parameters
    ----------
    target : str
        Its name in `hw.synth.targets`, which knows its tools.
    clock : function
        The clock, from the frequencies of the oscillator and of the design in Hz; raises
        `EcoformerError` if it cannot be made.
    constraints : function
        Text of the constraints, from the pad of every port and the frequency of the oscillator.
    """

    target: str
    clock: Callable[[int, int], BoardClock]
    constraints: Callable[[Mapping[str, Pad], int], str]
