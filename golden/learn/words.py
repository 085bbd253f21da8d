# SPDX-License-Identifier: Apache-2.0
"""Words as sequences of characters, for decoders to learn."""

import string
from collections.abc import Iterable
from dataclasses import dataclass

import torch

from ecoformer.errors import EcoformerError

__all__ = ["ALPHABET", "END", "Words", "as_text", "batch_of", "read_words"]

ALPHABET = string.ascii_lowercase
END = len(ALPHABET)
"""Token that ends a word, and begins a context."""
HELD_OUT = 0.1
"""Share of the words that nothing learns from."""
IGNORED = -100
"""Target where there is none, as torch has it."""


@dataclass(frozen=True)
class Words:
    """Words to learn from, and others.

    Parameters
    ----------
    train, held_out : list of str
    """

    train: list[str]
    held_out: list[str]


def read_words(lines: Iterable[str], longest: int, seed: int = 0) -> Words:
    """The first word of every line that is made of letters of the :data:`ALPHABET`, once each.

    Parameters
    ----------
    longest : int
        Most letters of a word; longer ones are left out.
    seed : int
        Of the split.

    Raises
    ------
    EcoformerError
        There are not enough words to hold some out.
    """
    firsts = (line.split()[0].lower() for line in lines if line.strip())
    words = sorted({w for w in firsts if len(w) <= longest and set(w) <= set(ALPHABET)})
    count = round(HELD_OUT * len(words))
    if not count:
        raise EcoformerError(
            f"words: {len(words)} of at most {longest} letters a…z; give a file with one a line"
        )
    order = torch.randperm(len(words), generator=torch.Generator().manual_seed(seed)).tolist()
    words = [words[i] for i in order]
    return Words(words[count:], words[:count])


def batch_of(words: list[str], positions: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Tokens and targets of ``words``, int64 [B, positions].

    A context is :data:`END` and the letters of a word; the target of each is what follows it, at
    last END. Behind it tokens are END, and targets are ignored by torch's losses.
    """
    tokens = torch.full((len(words), positions), END)
    targets = torch.full((len(words), positions), IGNORED)
    for row, word in enumerate(words):
        letters = torch.tensor([ALPHABET.index(letter) for letter in word], dtype=torch.int64)
        tokens[row, 1 : len(word) + 1] = letters
        targets[row, : len(word)] = letters
        targets[row, len(word)] = END
    return tokens, targets


def as_text(tokens: Iterable[int]) -> str:
    """The letters of ``tokens``, with a point for :data:`END`."""
    return "".join((*ALPHABET, ".")[token] for token in tokens)
