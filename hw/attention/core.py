# SPDX-License-Identifier: Apache-2.0
"""The contract that every attention core keeps."""

from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from ecoformer.hw.stream.payloads import Block, Busy, KeyStream
from ecoformer.spec.config import Config
from ecoformer.spec.units import core_units

__all__ = ["AttentionCore"]


class AttentionCore(wiring.Component):
    """Attention of one packet of hashed tokens after another.

    A core takes the keys of a sequence, then launches one result token for each of them, in order;
    the next sequence may overlap. It launches only with ``grant``. Everything after a launch runs
    on a fixed schedule and never stalls: the token's blocks leave ``state_fold.input_steps`` cycles
    apart and cannot be held back. A key with ``tag.error`` ends a bad packet: the core drops
    the packet's keys and launches a single result token with the error bit.

    Parameters
    ----------
    config : Config
    upstream : int
        Upper bound on the tokens between the receiver and the core.

    Attributes
    ----------
    latency : int
        Cycles from ``launch`` to the token's first block. In a quadratic core that of a sequence of
        one token.
    initiation_interval : int
        Least cycles between two launches.
    lead : int
        Cycles from the decision to launch to ``launch``.
    pause : int
        Cycles that a sequence waits between its last key and its first query.
    full_rate_tokens : int or None
        Length from which sequences of equal length take ``cycles_per_token`` cycles a token. None
        in a quadratic core, where a token takes longer the longer its sequence is.
    lags : list of int
        Of each numerator of a block, the cycles by which it trails the rest of the block.

    Members
    -------
    keys : ``In(KeyStream)``
        Hashed tokens. ``ready`` may depend on ``valid``.
    queries : ``In(KeyStream)``
        Where queries come by themselves; ``keys`` then are the rest.
    grant : ``In(1)``
        One more result token has room downstream; stays high until a launch.
    launch : ``Out(1)``
        Strobe: a result token was started.
    blocks : ``Out(stream.Signature(Block, always_ready=True))``
    busy : ``Out(Busy)``
        Which units work.
    """

    def __init__(self, config: Config, upstream: int = 1):
        self.config = config
        self.upstream = upstream
        self.lags = [0] * config.state_fold.output_lanes
        super().__init__(
            {
                **{
                    port: In(KeyStream(config, inlet))
                    for port, inlet in zip(("keys", "queries"), config.wire.inlets)
                },
                "grant": In(1),
                "launch": Out(1),
                "blocks": Out(stream.Signature(Block(config), always_ready=True)),
                "busy": Out(Busy(core_units(config))),
            }
        )

    @classmethod
    def fits(cls, config: Config) -> bool:
        """Whether this is a core for ``config``; of several, the registry takes the first."""
        raise NotImplementedError

    @property
    def latency(self) -> int:
        raise NotImplementedError

    @property
    def initiation_interval(self) -> int:
        raise NotImplementedError

    @property
    def lead(self) -> int:
        return 0

    @property
    def pause(self) -> int:
        return 0

    @property
    def full_rate_tokens(self) -> int | None:
        return None
