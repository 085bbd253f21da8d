# SPDX-License-Identifier: Apache-2.0
"""Repetitions, time-outs and foreign answers, on a link that answers by a script."""

import pytest

from ecoformer.driver.errors import LinkError
from ecoformer.driver.framed import FramedTransport
from ecoformer.spec.frames import (
    LINK_IDENTITY,
    LINK_VERSION,
    Fault,
    Frame,
    FrameReader,
    Kind,
    encode,
)

ABOUT = (LINK_IDENTITY, LINK_VERSION, 64, 10, 20)


def words(*numbers):
    return b"".join(number.to_bytes(4, "little") for number in numbers)


class Scripted:
    """Answers the n-th request with the n-th of some functions of it, each giving bytes."""

    settle = 0.0

    def __init__(self, *answers, about=ABOUT):
        first = [lambda request: encode(Frame(request.kind, request.tag, words(*about)))]
        self.answers, self.pending, self.requests = first + list(answers), b"", []
        self.reader = FrameReader()

    def write(self, data):
        for request in self.reader.feed(data):
            self.requests.append(request)
            self.pending += self.answers.pop(0)(request) if self.answers else b""

    def read(self, most, timeout):
        data, self.pending = self.pending[:most], self.pending[most:]
        return data

    def time(self):
        return float(len(self.requests))

    def close(self):
        pass


def read(*numbers, tag=0):
    """An answer to a READ, whose tag is ``tag`` more than that of its request."""
    return lambda r: encode(Frame(Kind.READ, (r.tag + tag) % 256, words(*numbers)))


def error(fault, detail=0):
    code = int(fault).to_bytes(2, "little") + detail.to_bytes(2, "little")
    return lambda r: encode(Frame(Kind.ERROR, 0 if fault < Fault.KIND else r.tag, code))


def both(*answers):
    return lambda request: b"".join(answer(request) for answer in answers)


def test_an_answer_to_another_request_is_none():
    link = Scripted(both(read(1, tag=-1), read(2), read(3, tag=1)))
    assert FramedTransport(link).read([0]) == [2]


def test_what_is_lost_is_asked_for_again_with_the_same_bytes():
    link = Scripted(lambda r: b"", lambda r: read(5)(r)[:-2], error(Fault.CHECK, 3), read(7))
    transport = FramedTransport(link)
    assert transport.read([0]) == [7] and transport.repeats == 3
    assert link.requests[1:] == [link.requests[1]] * 4
    assert transport.faults[Fault.CHECK] == 1 and transport.faults[Fault.CUT] == 1


def test_a_report_of_noise_before_the_answer_costs_nothing():
    link = Scripted(both(lambda r: b"noise", error(Fault.GARBAGE, 1), read(8)))
    transport = FramedTransport(link)
    assert transport.read([0]) == [8] and transport.repeats == 0
    assert transport.faults[Fault.GARBAGE] == 2


def test_tags_count_and_wrap():
    link = Scripted(*[read(0)] * 300)
    transport = FramedTransport(link)
    for _ in range(300):
        transport.read([0])
    assert [request.tag for request in link.requests] == [n % 256 for n in range(301)]


@pytest.mark.parametrize(
    "about, why",
    [
        ((1, 2, 64, 0, 0), "^board: speaks protocol 0x00000001 version 2, not 0x454c4e4b version"),
        ((LINK_IDENTITY, 9, 64, 0, 0), "version 9, not 0x454c4e4b version 1; use the driver of"),
    ],
)
def test_another_protocol_is_refused(about, why):
    with pytest.raises(LinkError, match=why):
        FramedTransport(Scripted(about=about))


def test_an_answer_that_makes_no_sense_is_reported():
    with pytest.raises(LinkError, match="^board: answers READ with 11 00 00 00; use the driver"):
        FramedTransport(Scripted(error(Fault.SIZE))).read([0])
