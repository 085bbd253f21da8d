# SPDX-License-Identifier: Apache-2.0
"""How tokens go from a layer to the next: element by element, by credit."""

from collections.abc import Sequence
from functools import reduce
from operator import and_

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ecoformer.hw.lib.pipeline import delay
from ecoformer.hw.lib.tally import any_left

__all__ = ["TokenLink", "elements_of", "ends_on", "fork", "lane_name", "room_for", "send"]


class TokenLink(wiring.Signature):
    """Elements of one token after another, in order, none of which can be held back.

    A source announces a token before its first element, and only while there is room for all of
    it; then each element comes when it is ready. So a layer never stalls once it has begun.

    Parameters
    ----------
    width : int
        Signed bits of an element.
    lanes : int
        Elements that come at once. If they do not divide a token, the last ones hold anything.

    Members
    -------
    begin : ``Out(1)``
        Strobe: takes the room of one token. Only with ``room``.
    valid : ``Out(1)``, element : ``Out(signed(width))``
        The next element, or the next ones: ``Out(ArrayLayout(signed(width), lanes))``.
    room : ``In(1)``
        There is room for one more token than have begun; stays high until a token begins, and is
        low in the cycle after that.
    """

    def __init__(self, width: int, lanes: int = 1):
        self.width = width
        self.lanes = lanes
        element = signed(width) if lanes == 1 else data.ArrayLayout(signed(width), lanes)
        super().__init__(
            {
                "begin": Out(1),
                "valid": Out(1),
                "element": Out(element),
                "room": In(1),
            }
        )


def elements_of(link: wiring.PureInterface) -> list[Value]:
    """The elements that come at once on ``link``, the first one first."""
    lanes = link.signature.lanes
    return [link.element] if lanes == 1 else [link.element[i] for i in range(lanes)]


def send(link: wiring.PureInterface, elements: Sequence[Value]) -> list:
    """Statements that put ``elements`` on ``link``, as many as it has lanes."""
    return [
        target.eq(element) for target, element in zip(elements_of(link), elements, strict=True)
    ]


def room_for(m: Module, tokens: int, returned: Value, begin: Value, *, name: str = "room") -> Value:
    """``room`` of a `TokenLink`, where there is room for ``tokens`` at once.

    ``begin`` comes from afar: another layer's steps, and whether all behind it have room. So it is
    registered before it is counted, and meanwhile there is no room.

    Parameters
    ----------
    m : Module
    tokens : int
    returned, begin : Value
        Strobes: the room of a token is given back, or taken.
    name : str
        What the names of signals begin with.
    """
    begun = delay(m, begin, 1, name=f"{name}_begun", reset=True)
    return any_left(m, tokens, returned, begun, init=tokens, name=name) & ~begun


def ends_on(m: Module, link: wiring.PureInterface, beats: int, *, name: str) -> Value:
    """Strobe: the last of so many beats of a token comes on ``link``.

    Parameters
    ----------
    m : Module
    beats : int
        Of every token.
    name : str
        Of the register that counts them.
    """
    beat = Signal(range(beats), name=name)
    ends = link.valid & (beat == beats - 1)
    with m.If(link.valid):
        m.d.sync += beat.eq(Mux(ends, 0, beat + 1))
    return ends


def lane_name(name: str, lane: int, lanes: int) -> str:
    """Name of a signal of a lane; without a number where there is one lane."""
    return name if lanes == 1 else f"{name}_{lane}"


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
