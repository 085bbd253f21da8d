# SPDX-License-Identifier: Apache-2.0
"""What the tokens of a decoder stand for: a character each, and the last one a mark.

The mark begins every context, and ends a text that is shorter than the context.
"""

import unicodedata

__all__ = ["as_text", "as_tokens", "check_alphabet", "name_of"]

LAYOUT = "\t\n"
"""The control characters that an alphabet may hold."""


def check_alphabet(alphabet: str, vocabulary: int) -> None:
    """Refuse an ``alphabet`` that the tokens of a ``vocabulary`` cannot stand for.

    An empty one passes: what tokens stand for is not said.

    Raises
    ------
    TypeError, ValueError
        Names the rule.
    """
    if not isinstance(alphabet, str):
        raise TypeError(f"alphabet must be a string, not {alphabet!r}")
    if not alphabet:
        return
    seen: set[str] = set()
    for character in alphabet:
        if character in seen:
            raise ValueError(
                f"alphabet must hold every character once, not {name_of(character)} again"
            )
        if unicodedata.category(character) in ("Cc", "Cs") and character not in LAYOUT:
            raise ValueError(
                f"alphabet must hold no control characters but tab and newline, not "
                f"{name_of(character)}"
            )
        seen.add(character)
    if len(alphabet) != vocabulary - 1:
        raise ValueError(
            f"vocabulary must be {len(alphabet) + 1}, a token for each of {len(alphabet)} "
            f"characters and a mark, not {vocabulary}"
        )


def as_tokens(alphabet: str, text: str) -> list[int]:
    """The token of every character of ``text``; a KeyError with one that is not in ``alphabet``."""
    number = {character: token for token, character in enumerate(alphabet)}
    return [number[character] for character in text]


def as_text(alphabet: str, tokens: list[int]) -> str:
    """The characters that ``tokens`` stand for, nothing for the mark."""
    return "".join(alphabet[token] for token in tokens if token < len(alphabet))


def name_of(character: str) -> str:
    """A character in a message."""
    return f"{character!r} (U+{ord(character):04X})"
