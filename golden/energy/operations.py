# SPDX-License-Identifier: Apache-2.0
"""One cost of a layer: a number of operations at a price."""

from dataclasses import dataclass

__all__ = ["KINDS", "Operation"]

KINDS = ("multiplication", "addition", "memory", "dram")
"""Operations are counted one by one; ``memory`` (on chip) and ``dram`` in bits moved."""


@dataclass(frozen=True)
class Operation:
    """A number of operations of one kind at one price.

    Parameters
    ----------
    kind : str
        One of :data:`KINDS`.
    what : str
        The term of the algorithm.
    count : int
        Operations, or bits moved.
    picojoules : float
        Price of one.
    """

    kind: str
    what: str
    count: int
    picojoules: float

    @property
    def energy(self) -> float:
        """Picojoules of all of them."""
        return self.count * self.picojoules
