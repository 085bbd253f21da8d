# SPDX-License-Identifier: Apache-2.0
"""The integer model, called as hardware is: a workload in, the answer to every sequence out."""

from collections import defaultdict

import numpy as np

from ecoformer.golden.integer.attention import attend, attend_on, empty_state
from ecoformer.golden.integer.dataflows.linear import State
from ecoformer.spec.choices import Mask
from ecoformer.spec.config import Config
from ecoformer.spec.parameters import ParameterImage
from ecoformer.spec.workload import Sequence, Workload

__all__ = ["IntegerEngine"]


class IntegerEngine:
    """The integer model of an engine, which remembers contexts as the hardware does.

    Parameters
    ----------
    config : Config
    image : ParameterImage
    """

    def __init__(self, config: Config, image: ParameterImage):
        self.config = config
        self.image = image
        self._memory = MEMORIES[config.mask](config, image)

    def attend(self, workload: Workload) -> list[np.ndarray]:
        """Results of every sequence of a workload: list of int64 [N, E], or [M, E] of M queries.

        Raises
        ------
        ValueError
            A sequence goes on with a context that none has begun.
        """
        return self._memory.attend(workload)


class _Nothing:
    """Sequences that leave nothing behind."""

    def __init__(self, config, image):
        self.config, self.image = config, image

    def attend(self, workload):
        return self.attend_alike(list(workload.sequences()))

    def attend_alike(self, sequences: list[Sequence]) -> list[np.ndarray]:
        """Results of every sequence; those of equal shape and set are computed at once."""
        outputs: list[np.ndarray] = [np.empty(0)] * len(sequences)
        groups: defaultdict[tuple, list[int]] = defaultdict(list)
        for number, (index, *parts) in enumerate(sequences):
            groups[index, *(part.shape for part in parts)].append(number)
        for (index, *_), members in groups.items():
            stacked = (np.stack(part) for part in zip(*(sequences[i][1:] for i in members)))
            results, _ = attend(self.config, self.image, index, *stacked)
            for number, result in zip(members, results, strict=True):
                outputs[number] = result
        return outputs


class _Contexts(_Nothing):
    """Sequences that begin contexts or go on with them."""

    def __init__(self, config, image):
        super().__init__(config, image)
        self.states: dict[int, State] = {}

    def attend(self, workload):
        sequences = list(workload.sequences())
        outputs: list[np.ndarray] = [np.empty(0)] * len(sequences)
        last, before, turns = self._order(workload)
        kept, after = {*last.values(), *before.values()}, {}
        for numbers in turns:  # as many at once as do not wait for each other
            groups: defaultdict[tuple, list[int]] = defaultdict(list)
            states = {}
            for i in numbers:
                states[i] = self._before(workload, i, before, after)
                index, tokens, _ = sequences[i]
                groups[index, len(tokens), states[i][3]].append(i)
            for (index, _, count), members in groups.items():
                _, tokens, values = map(np.stack, zip(*(sequences[i] for i in members)))
                sums = (np.stack([states[i][part] for i in members]) for part in range(3))
                results, _, (*new, count) = attend_on(
                    self.config, self.image, index, tokens, values, (*sums, count)
                )
                for place, i in enumerate(members):
                    outputs[i] = results[place]
                    if i in kept:
                        after[i] = (*(part[place] for part in new), count)
        self.states |= {context: after[i] for context, i in last.items()}
        return outputs

    def _order(self, workload):
        """The last packet of each context, the one that a packet goes on with, and all by turns."""
        last: dict[int, int] = {}
        before: dict[int, int] = {}
        turns: defaultdict[int, list[int]] = defaultdict(list)
        turn: dict[int, int] = {}
        for i, (context, begin) in enumerate(zip(workload.contexts, workload.begins)):
            if not begin and context in last:
                before[i] = last[context]
            elif not begin and context not in self.states:
                raise ValueError(f"Context {context} must be begun before it goes on")
            turn[i] = turn[before[i]] + 1 if i in before else 0
            turns[turn[i]].append(i)
            last[int(context)] = i
        return last, before, turns.values()

    def _before(self, workload, i, before, after):
        """State of a packet's context before it."""
        if workload.begins[i]:
            return empty_state(self.config)
        return after[before[i]] if i in before else self.states[int(workload.contexts[i])]


MEMORIES = {Mask.FULL: _Nothing, Mask.CAUSAL: _Contexts}
"""What sequences leave behind under every ``mask``."""
