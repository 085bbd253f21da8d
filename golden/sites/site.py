# SPDX-License-Identifier: Apache-2.0
"""One attention of a network."""

from dataclasses import dataclass
from typing import Any

from ecoformer.golden.kinds import kind_of

__all__ = ["Site"]


@dataclass(frozen=True, kw_only=True)
class Site:
    """One call that attends.

    Parameters
    ----------
    path : str
        Name of the module whose code calls, without wrappers.
    turn : int
        Which of the module's calls in one pass of the network, counted from 0.
    function : str
        What is called: a value of :data:`golden.sites.routing.FUNCTIONS`, or what attends instead.
    heads, head_dim : int
        0 where they cannot be told.
    key_heads : int
        Heads of keys: fewer than ``heads`` where queries are grouped.
    scale : float or None
        Factor of q·k; 1/√D when None.
    mask : str
        A key of :data:`golden.masks.MASKS`.
    cross : bool
        Whether queries are of another sequence than keys, or not as many.
    reason : str or None
        Why it stays as it is; None where EcoFormer attention can replace it.
    """

    path: str
    turn: int = 0
    function: str = "scaled_dot_product_attention"
    heads: int = 0
    head_dim: int = 0
    key_heads: int = 0
    scale: float | None = None
    mask: str = "full"
    cross: bool = False
    reason: str | None = None

    @property
    def kind(self) -> str:
        """What attends to what: a key of :data:`golden.kinds.KINDS`."""
        return kind_of(self.mask, self.cross)

    @property
    def name(self) -> str:
        """The path for messages; of a module's later calls with their number."""
        path = self.path or "the model itself"
        return f"{path}, use {self.turn + 1}" if self.turn else path

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Site":
        """The site of a file; older ones have a ``kind``, which its module shows."""
        return cls(**{name: value for name, value in values.items() if name != "kind"})
