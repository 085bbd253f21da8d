# SPDX-License-Identifier: Apache-2.0
"""Checks of fields and hyper-parameters, with one wording for all of them."""

from collections.abc import Iterable
from math import isfinite
from typing import Any

__all__ = ["check_number", "check_choice"]


def check_number(
    name: str,
    value: Any,
    kind: type[int] | type[float],
    low: float,
    high: float | None = None,
) -> None:
    """Refuse a ``value`` that is not a ``kind`` between ``low`` and ``high``, both included.

    Parameters
    ----------
    name : str
        What the message calls it.
    kind : type
        ``int``, or ``float``, which also takes integers. A bool is neither.
    low, high : number
        Bounds; no upper one if ``high`` is None.

    Raises
    ------
    TypeError, ValueError
        ``<name> must be <rule>, not <value>``.
    """
    noun = "an integer" if kind is int else "a number"
    if isinstance(value, bool) or not isinstance(value, (int, kind)):
        raise TypeError(f"{name} must be {noun}, not {value!r}")
    if not isfinite(value) or value < low or (high is not None and value > high):
        rule = f"at least {low}" if high is None else f"{low}…{high}"
        raise ValueError(f"{name} must be {rule}, not {value!r}")


def check_choice(name: str, value: Any, choices: Iterable[str]) -> None:
    """Refuse a ``value`` that is not one of the strings ``choices``; errors as above."""
    choices = tuple(choices)
    rule = " or ".join(map(repr, choices))
    if not isinstance(value, str):
        raise TypeError(f"{name} must be {rule}, not {value!r}")
    if value not in choices:
        raise ValueError(f"{name} must be {rule}, not {value!r}")
