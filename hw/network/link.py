# SPDX-License-Identifier: Apache-2.0
"""How tokens go from a layer to the next: element by element, by credit."""

from collections.abc import Sequence
from functools import reduce
from operator import and_

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = ["TokenLink", "fork"]


class TokenLink(wiring.Signature):
    """Elements of one token after another, in order, none of which can be held back.

    A source announces a token before its first element, and only while there is room for all of
    it; then each element comes when it is ready. So a layer never stalls once it has begun.

    Parameters
    ----------
    width : int
        Signed bits of an element.

    Members
    -------
    begin : ``Out(1)``
        Strobe: takes the room of one token. Only with ``room``.
    valid : ``Out(1)``, element : ``Out(signed(width))``
        The next element.
    room : ``In(1)``
        There is room for one more token than have begun; stays high until a token begins.
    """

    def __init__(self, width: int):
        self.width = width
        super().__init__(
            {
                "begin": Out(1),
                "valid": Out(1),
                "element": Out(signed(width)),
                "room": In(1),
            }
        )


def fork(
    m: Module, source: wiring.PureInterface, sinks: Sequence[wiring.PureInterface]
) -> None:
    """Send the tokens of ``source`` to each of ``sinks``, once all of them have room."""
    m.d.comb += source.room.eq(reduce(and_, (sink.room for sink in sinks)))
    for sink in sinks:
        m.d.comb += [
            sink.begin.eq(source.begin),
            sink.valid.eq(source.valid),
            sink.element.eq(source.element),
        ]
