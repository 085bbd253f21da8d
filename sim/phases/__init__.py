# SPDX-License-Identifier: Apache-2.0
"""The phases of a verification: for each side of the contract, the scenes that test it.

A phase has directed scenes, which reach its corners for certain, and random ones without end; the
plan takes as many as it can afford.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice

from ecoformer.sim.phases.aborts import aborts, random_aborts
from ecoformer.sim.phases.contexts import contexts, random_contexts
from ecoformer.sim.phases.draw import Draw
from ecoformer.sim.phases.faults import faults, random_faults
from ecoformer.sim.phases.packets import (
    every_set,
    extremes,
    images,
    lengths,
    random_lengths,
    random_stalls,
    stalls,
)
from ecoformer.sim.phases.pairs import pairs, random_pairs
from ecoformer.sim.phases.queued_sets import queued_sets
from ecoformer.sim.phases.registers import registers
from ecoformer.sim.phases.scripts import scripts
from ecoformer.sim.phases.ties import has_thresholds, ties
from ecoformer.sim.phases.updates import random_updates, updates
from ecoformer.sim.script import Scene
from ecoformer.spec.config import Config

__all__ = ["PHASES", "PhaseKind"]


@dataclass(frozen=True, kw_only=True)
class PhaseKind:
    """One side of the contract.

    Parameters
    ----------
    about : str
        What is tested, in a few words.
    share : int
        Of the cycles of a plan.
    directed, random : callable
        Scenes for a `Draw`: those that must be there, and others without end.
    applies : callable
        Whether engines of a `Config` have this side.
    """

    about: str
    share: int
    directed: Callable[[Draw], Iterator[Scene]]
    random: Callable[[Draw], Iterator[Scene]] = lambda draw: iter(())
    applies: Callable[[Config], bool] = lambda config: True


PHASES = {
    "registers": PhaseKind(
        about="reset values, access, strobes, refusals, delays, several in flight", share=1,
        directed=registers,
    ),
    "lengths": PhaseKind(
        about="one token to max_tokens, and one more", share=6, directed=lengths,
        random=random_lengths,
    ),
    "extremes": PhaseKind(
        about="all lowest, highest, zero: data and parameters", share=3, directed=extremes,
    ),
    "images": PhaseKind(
        about="random parameters, every set", share=4, directed=every_set, random=images,
    ),
    "ties": PhaseKind(
        about="tokens at the thresholds of their codes", share=4,
        directed=lambda draw: islice(ties(draw), 1), random=ties, applies=has_thresholds,
    ),
    "stalls": PhaseKind(
        about="gaps and back-pressure from 0 to 0.95", share=5, directed=stalls,
        random=random_stalls,
    ),
    "faults": PhaseKind(
        about="bad packets of every kind, their flags and interrupts", share=5,
        directed=faults, random=random_faults,
    ),
    "aborts": PhaseKind(
        about="soft resets at every place of a packet", share=3, directed=aborts,
        random=random_aborts,
    ),
    "contexts": PhaseKind(
        about="contexts in any order, full, lost, and begun again", share=5, directed=contexts,
        random=random_contexts, applies=lambda config: config.flow.has_contexts,
    ),
    "pairs": PhaseKind(
        about="keys and queries of any lengths, either first, bad, aborted, or of different sets",
        share=5, directed=pairs, random=random_pairs,
        applies=lambda config: config.flow.has_pairs,
    ),
    "sets": PhaseKind(
        about="sets that wait for packets, and the reverse; none, as many as may be, and one more",
        share=2, directed=queued_sets, applies=lambda config: config.next_set_depth > 0,
    ),
    "updates": PhaseKind(
        about="parameter sets loaded under load", share=4, directed=updates,
        random=random_updates,
    ),
    "scripts": PhaseKind(
        about="all of it in any order, with resets", share=6, directed=lambda draw: iter(()),
        random=scripts,
    ),
}
"""Every phase but the design's own workload, in order."""
