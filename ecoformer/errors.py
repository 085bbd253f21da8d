# SPDX-License-Identifier: Apache-2.0
"""The one exception that is meant for users: something that they can fix."""

__all__ = ["EcoformerError", "first_line"]


class EcoformerError(Exception):
    """A condition that the user can fix; the command line prints it and exits with code 2.

    The text is one line, ``<where>: <what>, <rule>; <remedy>``.
    """


def first_line(error: BaseException) -> str:
    """The first line of another library's ``error``, cut to fit a message; else its type."""
    return (str(error).splitlines() or [type(error).__name__])[0][:120]
