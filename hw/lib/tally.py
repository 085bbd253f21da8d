# SPDX-License-Identifier: Apache-2.0
"""How many are left, and whether any are, in a register."""

from amaranth import *

__all__ = ["any_left"]


def any_left(
    m: Module, most: int, more: Value, fewer: Value, *, init: int = 0, name: str
) -> Signal:
    """Whether a count of 0…``most`` is above 0: a register, so nothing is compared after it.

    Parameters
    ----------
    m : Module
    most : int
    more, fewer : Value
        Strobes: one more, one fewer. ``fewer`` only when there are any.
    init : int
        The count after reset.
    name : str
        Of the register; the count is ``name_count``.
    """
    count = Signal(range(most + 1), name=f"{name}_count", init=init)
    left = Signal.like(count, name=f"{name}_left")
    flag = Signal(name=name, init=init > 0)
    m.d.comb += left.eq(count + more - fewer)
    m.d.sync += [count.eq(left), flag.eq(left != 0)]
    return flag
