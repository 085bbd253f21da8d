# SPDX-License-Identifier: Apache-2.0
"""The fewest cycles in which an engine can answer sequences: the bound to compare runs with."""

from collections.abc import Iterable

__all__ = ["bound"]


def bound(
    lengths: Iterable[int], banks: int, k: int, *, max_tokens: int | None = None
) -> int:
    """Cycles from the first key slot to the end of the last query slot, at best.

    The linear core works in slots of ``k`` cycles. A slot accumulates at most one token (a key) and
    queries at most one, both in stream order. Four rules tie them:

    - a sequence is queried after all of its keys, from the next slot on;
    - one state is accumulated and ``banks - 1`` finished ones are kept, each until the slot of its
      sequence's last query; the last key of another sequence may replace it in that slot;
    - a code waits in a ring of ``max_tokens`` from its key to its query, and its entry may be
      reused in the slot that queries it;
    - nothing overtakes: keys, queries and states go in order.

    Each rule only delays, and waiting longer than the rules ask never helps. So the schedule in
    which every key and every query takes the first slot that the rules allow is optimal for all of
    them at once. It is counted here, sequence by sequence:

    - A key goes at ``max(previous key + 1, query of the token max_tokens before it)``, and a
      sequence's last one not before the last query of the sequence ``banks - 1`` before it.
    - Its queries follow one per slot from ``max(last key, last query of the sequence before) + 1``.

    Parameters
    ----------
    lengths : iterable of int
        Tokens of each sequence, in order.
    banks : int
        ``state_banks``.
    k : int
        ``cycles_per_token``.
    max_tokens : int
        Entries of the ring; the longest of ``lengths`` by default.

    Returns
    -------
    int
    """
    lengths = list(lengths)
    ring = max(lengths, default=0) if max_tokens is None else max_tokens
    queries: list[int] = []  # slot of each token's query, one after the other
    ends: list[int] = []  # slot of each sequence's last query
    key = -1  # slot of the latest key
    for index, length in enumerate(lengths):
        for token in range(len(queries), len(queries) + length):
            key += 1
            if token >= ring:
                key = max(key, queries[token - ring])
        if index >= banks - 1:
            key = max(key, ends[index - banks + 1])
        first = max(key, ends[-1] if ends else -1) + 1
        queries.extend(range(first, first + length))
        ends.append(first + length - 1)
    return k * (ends[-1] + 1) if ends else 0
