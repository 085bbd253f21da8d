# SPDX-License-Identifier: Apache-2.0
"""The contract of a dataflow: all that the rest of the specification asks about it."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from ecoformer.spec.arithmetic import Arithmetic
from ecoformer.spec.bounds import Bounds
from ecoformer.spec.folding import Fold

if TYPE_CHECKING:
    from ecoformer.spec.config import Config
    from ecoformer.spec.units import Unit

__all__ = ["Flow"]

PAIR_OVERHEAD = 16
"""Cycles of a query beyond one for every key that it meets, at most."""


class Flow:
    """What one form of the attention core needs of an engine.

    A flow answers for the units of the core, its buffers, the parameters that attention itself has
    and the range of its weights. How tokens become keys is the family's (`spec.families`).

    Parameters
    ----------
    config : Config
        A configuration with this dataflow.

    Members
    -------
    scalars : tuple of str
        Parameters of one number per set, in the order of their words in region ``scalars``.
    takes_codes : bool
        Whether the keys are codes of ±1; else they are the tokens themselves.
    is_slotted : bool
        Whether a slot of k cycles takes one key and one query, so that `sim.schedule.bound` holds.
    is_linear : bool
        Whether an isolated sequence takes ``passes``·N·k cycles and a constant.
    passes : int
        Slots of k cycles in which a token is worked on: one as a key and one as a query, or one as
        both.
    slots : str
        Slots that an isolated sequence of N tokens takes, or a pair of Nk keys and Nq queries.
    has_contexts : bool
        Whether packets belong to contexts, each of which continues from packet to packet.
    has_pairs : bool
        Whether queries come on a stream of their own, so that packets of two streams make pairs.
    lookup_cycles : int
        Cycles that the first beat of a packet waits for its context.
    grows_with : str
        Field that decides how large the buffers are.
    buffers : str
        What to call them.
    """

    scalars: ClassVar[tuple[str, ...]] = ()
    takes_codes: ClassVar[bool] = True
    is_slotted: ClassVar[bool] = False
    is_linear: ClassVar[bool] = False
    passes: ClassVar[int] = 2
    slots: ClassVar[str] = "2*N"
    has_contexts: ClassVar[bool] = False
    has_pairs: ClassVar[bool] = False
    lookup_cycles: ClassVar[int] = 0
    grows_with: ClassVar[str] = "max_tokens"
    buffers: ClassVar[str] = "token buffers"

    def __init__(self, config: Config):
        self.config = config
        self.bits = Arithmetic(config)

    def check(self) -> None:
        """Refuse fields that do not go with this flow (ValueError)."""
        if self.config.contexts > 1:
            raise ValueError(
                f"contexts must be 1 with mask = {self.config.mask!r}, under which a packet is a "
                f"whole sequence, not {self.config.contexts}"
            )

    # -- units -----------------------------------------------------------------------------------

    @property
    def state_rows(self) -> int:
        """Rows that a query adds up."""
        raise NotImplementedError

    @cached_property
    def state_fold(self) -> Fold:
        """State accumulated and queried: `state_rows` × E."""
        return Fold(self.state_rows, self.config.value_dim, self.config.cycles_per_token)

    @cached_property
    def code_fold(self) -> Fold:
        """The b sums z of code signs, accumulated and queried beside the state."""
        return Fold(self.config.code_bits, 1, self.config.cycles_per_token)

    @property
    def is_elementwise(self) -> bool:
        """Whether a core of one lane needs no vector: it reads values element by element."""
        return False

    @property
    def units(self) -> dict[str, Unit]:
        """Every unit of the core by name, along the path of a token."""
        raise NotImplementedError

    @property
    def published(self) -> dict[str, int]:
        """Figures of the manifest that other flows do not have."""
        return {}

    # -- what travels with a token ---------------------------------------------------------------

    @property
    def beat_fields(self) -> dict[str, int]:
        """Fields of an input beat besides those of every engine, and their bits."""
        return {}

    @property
    def tag_fields(self) -> dict[str, int]:
        """Fields that go with a token from its first beat to its answer, and their bits."""
        return {}

    @property
    def key_fields(self) -> dict[str, int]:
        """Fields that go with a token as far as the core, and their bits."""
        return {}

    # -- numbers ---------------------------------------------------------------------------------

    @property
    def row_width(self) -> int:
        """Signed bits of one of the elements that a query adds up."""
        return self.bits.state_width

    @property
    def max_weight(self) -> int:
        """Largest magnitude of one attention weight."""
        raise NotImplementedError

    def query_cycles(self, tokens: int) -> int:
        """Cycles that one query of a sequence of so many tokens takes, at most."""
        k = self.config.cycles_per_token
        return k if self.is_linear else max(k, tokens + PAIR_OVERHEAD)

    # -- buffers ---------------------------------------------------------------------------------

    @property
    def transform_cycles(self) -> int:
        """Cycles from a sequence's last step until it can be queried, and between two of them."""
        return 0

    @property
    def ring_tokens(self) -> int:
        """Codes that wait for their query at once."""
        return self.config.max_tokens

    @property
    def value_bits(self) -> int:
        """Bits of one token's value."""
        return self.config.value_dim * self.config.value_width

    @property
    def buffer_bits(self) -> int:
        """Bits of the core's buffers whose depth depends on `grows_with`; no tags."""
        raise NotImplementedError

    # -- parameters ------------------------------------------------------------------------------

    @property
    def parameters(self) -> dict[str, Bounds]:
        """Integer arrays of a parameter image by name."""
        return {}

    def draw(self, rng: np.random.Generator, sets: int) -> dict[str, np.ndarray]:
        """Random `parameters` of ``sets`` sets, extremes mixed with values as training finds them.

        The order of the draws is part of recorded vectors: keep it.
        """
        return {}
