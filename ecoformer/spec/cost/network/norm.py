# SPDX-License-Identifier: Apache-2.0
"""Layer norms, in two passes over a token, or in one where answers wait for it."""

from __future__ import annotations

from dataclasses import dataclass

from ecoformer.spec.cost.fabric import Memory, multipliers, split_bits
from ecoformer.spec.cost.network.layer import Layer, levels, parameter_memory, queue
from ecoformer.spec.cost.network.linear import token_buffer
from ecoformer.spec.network.layers import NormShape
from ecoformer.spec.tables import ROOT_FRACTION, ROOT_INDEX_BITS

__all__ = ["NormLayer"]

MARGIN, AHEAD = 6, 2
"""Cycles that a token waits beyond its arrival and its leaving, and by which one is begun early."""
MEAN, SCALE, ONE_PASS = (3, 1), (9, 5), (12, 6)
"""Cycles from a token's last element to what is known of it then, and of an element that leaves; of
the differences from the mean, of what divides these, and of both in one pass."""
WAITS_FOR_ROOT = 8
"""Words of the delay in which a mean waits for the root."""


@dataclass(frozen=True)
class NormLayer(Layer):
    """A norm.

    Parameters
    ----------
    shape : NormShape
    lanes : int
        Elements at once.
    entering : int
        Cycles from the announcement of a token to its last element.
    cycles : int
        A token may begin every so many cycles.
    one_pass : bool
        Whether it takes one pass over a token.
    layers : int
        Layers of the network that this is in turn.
    """

    shape: NormShape
    lanes: int
    entering: int
    cycles: int
    one_pass: bool
    layers: int = 1

    @property
    def beats(self) -> int:
        """Cycles in which a token comes."""
        return self.shape.width // self.lanes

    @property
    def leaving(self) -> int:
        """Cycles from the announcement of a token behind it to the token's last element."""
        return self._leaving(ONE_PASS if self.one_pass else SCALE)

    @property
    def latency(self) -> int:
        """Cycles from the announcement of a token to its last element behind it."""
        return sum(
            gather + self._adding + 1 - AHEAD + self._leaving((gather, emit))
            for gather, emit in ([ONE_PASS] if self.one_pass else [MEAN, SCALE])
        )

    @property
    def memories(self) -> list[Memory]:
        shape, lanes = self.shape, self.lanes
        shift = (shape.max_exponent + ROOT_FRACTION - shape.fraction - 1).bit_length()
        known = ROOT_FRACTION + 1 + shift
        found = [Memory("root", ROOT_FRACTION + 1, 1 << ROOT_INDEX_BITS, "rom")]
        if self.loads or self.layers > 1:
            bits = shape.max_epsilon.bit_length()
            found.append(parameter_memory("epsilon", bits, self.layers, self.loads))
        if self.one_pass:
            passes = [(shape.input_width, known + shape.input_width, self.entering, ONE_PASS)]
            found.append(Memory("mean", shape.input_width, WAITS_FOR_ROOT))
        else:
            passes = [
                (shape.input_width, shape.input_width, self.entering, MEAN),
                (shape.difference_width, known, self._leaving(MEAN), SCALE),
            ]
        for width, gathered, entering, (gather, _) in passes:
            held = entering + self._adding + gather + self.beats + MARGIN
            slots = -(-held // self.cycles)
            found += [
                token_buffer(shape.width, width, lanes, slots, lanes),
                *queue("known of a token", gathered, slots),
            ]
        return found

    @property
    def products(self) -> list[tuple[int, int]]:
        """Signed bits of the operands of every product."""
        shape = self.shape
        squared = shape.input_width if self.one_pass else shape.difference_width
        found = [(squared, squared), (shape.difference_width, ROOT_FRACTION + 2)] * self.lanes
        if shape.reciprocal > 1:
            found.append((shape.total_width, shape.reciprocal.bit_length() + 1))
        if self.one_pass:
            # mean · (2·Σ x - width·mean), the mean with the bits that a sum may leave
            mean = shape.total_width + shape.reciprocal.bit_length() + 1 - shape.mean_shift
            scaled = mean + shape.width.bit_length()
            found.append((mean, max(shape.total_width + 2, scaled) + 1))
            if shape.width.bit_count() > 1:
                found.append((mean, shape.width.bit_length() + 1))
        return found

    @property
    def dsp(self) -> int:
        return sum(multipliers(*widths) for widths in self.products)

    @property
    def amounts(self) -> dict[str, float]:
        shape, lanes = self.shape, self.lanes
        return {
            "norm": 1,
            "one pass": int(self.one_pass),
            "squared length bits": shape.square_width,
            "norm sum bits": shape.total_width,
            "norm tree bits": (lanes - 1) * 3 * shape.input_width,
            "normalised bits": lanes * (shape.difference_width + ROOT_FRACTION + 1),
            "split product bits": sum(split_bits(*widths) for widths in self.products),
        }

    @property
    def _adding(self):
        """Cycles in which the elements that come at once are added up."""
        return levels(self.lanes) if self.lanes > 1 else 0

    def _leaving(self, cycles):
        return self.beats + 2 + cycles[1]
