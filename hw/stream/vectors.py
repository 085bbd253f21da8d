# SPDX-License-Identifier: Apache-2.0
"""How vectors travel: whole, as fields of a payload, or serially, element by element beside it."""

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out, connect

from ecoformer.hw.lib.element_queue import ElementWrite
from ecoformer.spec.config import Config

__all__ = ["VectorStream", "connect_vectors", "whole_vectors"]


def whole_vectors(config: Config, vectors: dict) -> dict:
    """Those of ``vectors``, dict of name to `ArrayLayout`, that are fields of a payload."""
    return {} if config.is_serial else vectors


class VectorStream(wiring.Signature):
    """A stream of tokens with vectors.

    Where a vector is not a field of the payload, a port of its name brings its elements. All of
    them come before the payload that they belong to is offered.

    Parameters
    ----------
    payload : StructLayout
    vectors : dict of str to ArrayLayout
    """

    def __init__(self, payload: data.StructLayout, vectors: dict):
        serial = {
            name: Out(ElementWrite(vector.length, vector.elem_shape))
            for name, vector in vectors.items()
            if name not in payload.members
        }
        super().__init__(
            {"payload": Out(payload), "valid": Out(1), "ready": In(1), **serial}
        )


def connect_vectors(
    m: Module, source: wiring.PureInterface, sink: wiring.PureInterface
) -> None:
    """Connect the serial vectors that ``sink``, a `VectorStream`, has, to those of ``source``."""
    for name, member in sink.signature.members.items():
        if member.is_signature:
            connect(m, getattr(source, name), getattr(sink, name))
