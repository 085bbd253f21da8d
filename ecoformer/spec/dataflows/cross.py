# SPDX-License-Identifier: Apache-2.0
"""``queries = "cross"``: queries on a stream of their own, packets of both streams in pairs."""

from ecoformer.spec.choices import ValueTerm
from ecoformer.spec.dataflows.base import Flow
from ecoformer.spec.dataflows.bucketed import Bucketed
from ecoformer.spec.dataflows.linear import Accumulate, LinearFlow
from ecoformer.spec.dataflows.xnor import Xnor
from ecoformer.spec.registers import STREAM_ERROR_BITS

__all__ = ["AHEAD", "Cross", "CrossAccumulate", "CrossBucketed", "CrossXnor"]

AHEAD = 4
"""Packets by which either stream may run ahead of the other."""
ARRIVAL_CYCLES = 12
"""Cycles from a query's code, offered, to the first one of its packet that is worked on, at most;
`tests.sim.test_cross` measures the rate that depends on it."""


class Cross(Flow):
    """What flows of pairs of packets share: a packet of keys and values, and one of queries.

    Either may come first. A pair is answered when both are there, with one error if either is bad;
    what the error was travels with the token that stands for the bad packet.
    """

    has_pairs = True
    slots = "(max(Nk, Nq) + Nq)"

    def check(self) -> None:
        c = self.config
        rules = {
            "value_term": (
                c.value_term is ValueTerm.SUM, "'sum'", "a query brings no value of its own"
            ),
            "engines": (c.engines == 1, "1", "packets of two streams meet in one of them"),
            "tuser_width": (
                c.tuser_width > 0, "at least 1",
                "one register NEXT_SET cannot name the sets of two streams",
            ),
            "tkeep": (not c.tkeep, "false", "null bytes are looked for on one stream"),
        }
        for name, (holds, allowed, why) in rules.items():
            if not holds:
                raise ValueError(
                    f"{name} must be {allowed} with queries = {c.queries!r}, because {why}, not "
                    f"{getattr(c, name)!r}"
                )
        super().check()

    @property
    def is_elementwise(self) -> bool:
        """No: the vectors of two streams are kept in registers."""
        return False

    @property
    def published(self) -> dict[str, int]:
        """``ahead``: packets by which a stream may run ahead of the other."""
        return {"ahead": AHEAD}

    @property
    def tag_fields(self) -> dict[str, int]:
        """``cause``: the `Error` of a bad packet."""
        return {"cause": STREAM_ERROR_BITS}


class CrossLinear(Cross, LinearFlow):
    """States of keys and a ring of queries."""

    @property
    def ring_tokens(self) -> int:
        """A packet, and what arrives before the next one can be worked on."""
        c = self.config
        meanwhile = -(-ARRIVAL_CYCLES // c.cycles_per_token)
        return super().ring_tokens + min(c.max_tokens, meanwhile)


class CrossAccumulate(CrossLinear, Accumulate):
    """``dataflow = "accumulate"``: the state of one packet of keys, queried by the other stream."""

    is_slotted = False


class CrossBucketed(CrossLinear, Bucketed):
    """``dataflow = "bucketed"``: the same with tables."""


class CrossXnor(Cross, Xnor):
    """Codes and values of a packet of keys, all of which every query of its pair meets."""
