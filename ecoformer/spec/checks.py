# SPDX-License-Identifier: Apache-2.0
"""Checks of fields and hyper-parameters, with one wording for all of them."""

from collections.abc import Iterable
from typing import Any

__all__ = ["SEEDS", "check_number", "check_switch", "check_choice"]

SEEDS = (0, 2**32 - 1)
"""Smallest and largest seed of anything random."""

LONGEST = 60
"""Characters of a value in a message."""


def check_number(
    name: str,
    value: Any,
    kind: type[int] | type[float],
    low: float,
    high: float,
) -> None:
    """Refuse a ``value`` that is not a ``kind`` between ``low`` and ``high``, both included.

    Parameters
    ----------
    name : str
        What the message calls it.
    kind : type
        ``int``, or ``float``, which also takes integers. A bool is neither.
    low, high : number
        Bounds; everything has both.

    Raises
    ------
    TypeError, ValueError
        ``<name> must be <rule>, not <value>``.
    """
    noun = "an integer" if kind is int else "a number"
    if isinstance(value, bool) or not isinstance(value, (int, kind)):
        raise TypeError(f"{name} must be {noun}, not {_short(value)}")
    if not low <= value <= high:  # a NaN is not
        raise ValueError(f"{name} must be {low}…{high}, not {_short(value)}")


def check_switch(name: str, value: Any) -> None:
    """Refuse a ``value`` that is not a bool: ``<name> must be true or false, not <value>``."""
    if not isinstance(value, bool):
        raise TypeError(f"{name} must be true or false, not {_short(value)}")


def check_choice(name: str, value: Any, choices: Iterable[str]) -> None:
    """Refuse a ``value`` that is not one of the strings ``choices``; errors as above."""
    choices = tuple(choices)
    rule = " or ".join(map(repr, choices))
    if not isinstance(value, str):
        raise TypeError(f"{name} must be {rule}, not {_short(value)}")
    if value not in choices:
        raise ValueError(f"{name} must be {rule}, not {_short(value)}")


def _short(value):
    """``value`` in a message: of a number of thousands of digits only the first."""
    try:
        text = repr(value)
    except ValueError:
        return "a number of thousands of digits"
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"
