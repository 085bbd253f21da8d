# SPDX-License-Identifier: Apache-2.0
"""What the generated testbench does and expects: the design's workload, then the wire contract.

A stimulus is a list of steps, which the testbench works off one after the other, and the beats that
it sends and expects. The steps decide when a packet may begin and what must have come before, so
everything that follows is known when the testbench is written, whatever the stalls are.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, replace

import numpy as np

from ecoformer.golden.integer.attention import attend
from ecoformer.sim.contexts import history
from ecoformer.sim.contract import answer_to
from ecoformer.sim.faults import faults_of, impossible_faults, packet
from ecoformer.sim.rows import TID_SHIFT
from ecoformer.sim.run import COUNTED
from ecoformer.sim.script import Packet
from ecoformer.sim.selection import selection
from ecoformer.sim.stimulus import random_image, random_workload
from ecoformer.sim.verify import held_in
from ecoformer.spec.config import Config
from ecoformer.spec.parameters import ParameterImage
from ecoformer.spec.programming import POLL, STATUS, register_writes
from ecoformer.spec.registers import REGISTERS, Error, constants, errors_of, reset_values
from ecoformer.spec.workload import Sequence, Workload

__all__ = ["REGISTER_CYCLES", "Step", "Stimulus"]

STALLS = 8
"""Stalls are given in eighths of the cycles."""
TAIL = 64
"""Cycles to listen for beats that must not come."""
FEW = 3
"""Tokens of the packets that test the contract, at most."""
TRIES = 20
"""Random images to choose from."""
LONGEST_OVERLONG = 64
"""Engines for more tokens than this are not sent a packet that is too long."""
DEEPEST = 64
"""Longer queues of sets are not filled."""
SLACK = 64
"""Cycles of a token beyond its slots and, where every key is met by every query, the sequence."""
REGISTER_CYCLES = 64
"""A register access takes fewer."""
OKAY, SLVERR = 0, 2
EVERY_FLAG = sum(1 << error for error in Error)
FREE, IN_FLIGHT = REGISTERS["STATUS"]["SHADOW_FREE"].mask, REGISTERS["STATUS"]["BUSY"].mask


class Step(enum.IntEnum):
    """What the testbench does, with the numbers ``address``, ``mask`` and ``data`` of the step."""

    RESET = 0
    """Reset for ``data`` cycles; go on with input beat ``mask``."""
    LOAD = 1
    """Do the register writes of ``parameters.hex``."""
    WRITE = 2
    """Write ``data`` to ``address``; ``mask`` is the response."""
    READ = 3
    """Read ``address``; under ``mask`` it must be ``data``."""
    POLL = 4
    """Read ``address`` until it is ``data`` under ``mask``."""
    SEND = 5
    """Let every beat before number ``data`` go."""
    SENT = 6
    """Wait until as many beats as ``data`` have been taken."""
    RECEIVED = 7
    """Wait until as many beats as ``data`` have been received."""
    STALL = 8
    """Stall the input in ``mask`` and the output in ``data`` eighths of the cycles."""
    WAIT = 9
    """Wait for ``data`` cycles."""
    IRQ = 10
    """``irq`` must be ``data``."""
    COUNTED = 11
    """Read ``address``; it must be what the testbench has counted as number ``data``."""
    SEND_QUERIES = 12
    """As SEND, of queries that come by themselves."""
    SENT_QUERIES = 13
    """As SENT, of queries that come by themselves."""
    RESTART = 14
    """With the next RESET, go on with beat ``data`` of the queries."""


@dataclass
class _Expected:
    """What counters and flags must be."""

    errors: dict[Error, int]
    flags: int = 0
    tokens: int = 0
    sequences: int = 0

    def count(self, error, times=1):
        self.errors[error] += times
        self.flags |= (times > 0) << error


class Stimulus:
    """Steps and beats of the testbench of one engine.

    Parameters
    ----------
    config : Config
    image : ParameterImage
        That of ``parameters.hex``.
    workload : Workload
        What is streamed first, at full rate unless the testbench is asked for gaps.
    rng : numpy.random.Generator
        Of everything else.

    Members
    -------
    steps : list of (Step, address, mask, data)
    inputs, answers : list of (user, last, uint8 array)
        Beats to send and to expect.
    asking : list of (user, last, uint8 array)
        Beats to send on the stream of queries, where they come by themselves.
    limit : int
        Cycles that suffice, with much to spare, whatever the stalls.
    """

    def __init__(
        self, config: Config, image: ParameterImage, workload: Workload, rng: np.random.Generator
    ):
        self.config, self.rng = config, rng
        self.steps: list[tuple[Step, int, int, int]] = []
        self.inputs: list[tuple[int, bool, np.ndarray]] = []
        self.asking: list[tuple[int, bool, np.ndarray]] = []
        self.answers: list[tuple[int, bool, np.ndarray]] = []
        self.limit = 0
        self._select = selection(config)
        self._before = history(config)
        self._workload(image, workload)
        self._faults()
        self._reset_within_a_packet()

    # -- phases ----------------------------------------------------------------------------------

    def _workload(self, image, workload):
        self._reset(5)
        for name, value in constants(self.config).items():
            self._read(name, value)
        self._step(Step.LOAD)
        self._await_free()
        for sequence in workload.sequences():
            self._good(image, sequence)
        self._finish()

    def _faults(self):
        """Every error, an abort, and an update while a packet is in flight, under stalls."""
        c = self.config
        image = self._image(max(1, min(c.parameter_sets - 1, 2)))
        self._reset(1)
        for name, value in reset_values(c).items():
            self._read(name, value)
        if 0 < self._select.depth <= DEEPEST:
            self._overfill(self._select.depth)
        self._load(image)
        self._step(Step.STALL, mask=3, data=3)
        possible = {*faults_of(c)} - {*impossible_faults(c, image.sets)}
        if c.max_tokens > LONGEST_OVERLONG:
            possible = {kind for kind in possible if not kind.endswith("overlong")}
        self._good(image, self._sequence(image, 1))
        self._good(image, self._sequence(image, FEW))
        for kind in sorted(possible):
            self._exchange(image, self._packet(image, self._sequence(image, 2), kind))
            self._lost(image)
            self._good(image, self._sequence(image, 1))
        self._aborted(image)
        self._lost(image)
        self._good(image, self._sequence(image, FEW))
        self._settle()
        self._check_registers()
        self._update(image)
        self._finish()

    def _overfill(self, depth):
        """As many sets as may wait, and one more, which is refused; then none."""
        for index in range(depth):
            self._write("NEXT_SET", index)
        self._write("NEXT_SET", 0, response=SLVERR)
        self._want.count(Error.SET_REFUSED)
        self._read("NEXT_SET_LEVEL", depth)
        self._write("CONTROL", REGISTERS["CONTROL"]["CLEAR_SETS"].mask)
        self._read("NEXT_SET_LEVEL", 0)

    def _update(self, image):
        """Load a set while a packet is in flight, and commit it; the packet uses the old one."""
        update, sequence = self._unlike(image)
        self._step(Step.STALL, mask=2, data=STALLS)
        self._good(image, self._sequence(image, 1, index=0))
        self._step(Step.SENT, data=len(self.inputs))
        self._load(update, wait=False)
        self._read("STATUS", IN_FLIGHT, mask=FREE | IN_FLIGHT)
        self._write("PARAM_DATA", 0, response=SLVERR)
        self._write("COMMIT", 0, response=SLVERR)
        self._step(Step.STALL, mask=2, data=5)
        self._good(update, sequence)
        if image.sets > 1:
            self._good(image, self._sequence(image, FEW, index=1))
        self._await_free()
        self._good(update, self._sequence(update, 1, index=0))

    def _reset_within_a_packet(self):
        """Reset between two beats of a packet: the packet, the sets and the counters are gone."""
        image = self._image(1)
        sequence = self._sequence(image, FEW, index=0)
        cut = self._packet(image, sequence)
        if len(cut.beats) > 1:
            self._select_set(cut)
            self._put_input(cut)
            self._send(inputs=len(self.inputs) - 1, queries=len(self.asking) - 1)
            self._step(Step.SENT, data=len(self.inputs) - 1)
        self._reset(1)
        self._step(Step.STALL, mask=0, data=0)
        self._exchange(None, cut)
        self._load(image)
        self._good(image, sequence)
        self._finish()

    # -- parameters ------------------------------------------------------------------------------

    def _image(self, sets):
        """A random image whose codes differ from token to token, if there is one soon.

        Otherwise every answer would be the mean of the values, whatever the parameters are.
        """
        for _ in range(TRIES):
            image = random_image(self.config, self.rng, sets=sets)
            answers = [
                attend(self.config, image, *self._sequence(image, FEW, index=index))[0]
                for index in range(sets)
            ]
            if all((answer != answer[0]).any() for answer in answers):
                break
        return image

    def _unlike(self, image):
        """An image of one set, and a sequence that it answers otherwise than set 0 of ``image``."""
        for _ in range(TRIES):
            other = self._image(1)
            sequence = self._sequence(other, FEW, index=0)
            before, after = (attend(self.config, i, *sequence)[0] for i in (image, other))
            if (before != after).any():
                break
        return other, sequence

    # -- packets ---------------------------------------------------------------------------------

    def _sequence(self, image, tokens, *, index=None) -> Sequence:
        tokens = min(tokens, self.config.max_tokens)
        drawn = random_workload(
            self.config, self.rng, 1, lengths=tokens, sets=image.sets, patterns=["random"]
        )
        ((chosen, *parts),) = drawn.sequences()
        return chosen if index is None else index, *parts

    def _packet(self, image, sequence, kind=None):
        """The packet of a sequence for a context with room for it, with a fault or none."""
        asked = self._before.draw(self.rng, len(sequence[1]))
        return packet(self.config, image, sequence, kind, asked)

    def _good(self, image, sequence):
        self._exchange(image, self._packet(image, sequence))

    def _lost(self, image):
        """A packet that goes on with a context that is lost, if there can be one."""
        for asked in self._before.lost():
            self._exchange(image, packet(self.config, image, self._sequence(image, 1), None, asked))

    def _aborted(self, image):
        """A soft reset between the first beat of a packet and the next one."""
        index, tokens, values, *queries = self._sequence(image, 1)
        beats = 2 * self.config.input_beats
        asked = self._before.draw(self.rng, 2)
        sent = Packet.of(self.config, index, tokens, values, asked, beats=beats)
        for asking in queries:
            sent = replace(sent, partner=Packet.of_queries(self.config, index, asking))
        self._select_set(sent)
        self._put_input(sent)
        first = len(self.inputs) - beats
        before = len(self.asking) - sum(sent.lengths[1:])
        self._send(inputs=first + 1, queries=before)
        self._step(Step.SENT, data=first + 1)
        if queries:  # those before are not to be hit
            self._step(Step.SENT_QUERIES, data=before)
        self._write("CONTROL", REGISTERS["CONTROL"]["SOFT_RESET"].mask)
        self._send()
        others = [range(2, 2 + length) for length in sent.lengths[1:]]
        self._expect(image, sent, taken=[[0, *range(2, beats + 1)], *others], aborts=[1])

    def _exchange(self, image, sent):
        """Send a packet, whose set is one of ``image`` or none, and expect its answer."""
        self._select_set(sent)
        self._put_input(sent)
        while self.steps[-1][0] in (Step.SEND, Step.SEND_QUERIES):
            self.steps.pop()
        self._send()
        self._expect(image, sent)

    def _send(self, inputs=None, queries=None):
        """Let beats go, before the numbers given or all that there are, on every stream."""
        self._step(Step.SEND, data=len(self.inputs) if inputs is None else inputs)
        if self.asking:
            beats = len(self.asking) if queries is None else queries
            self._step(Step.SEND_QUERIES, data=beats)

    def _expect(self, image, sent, **taken):
        found = answer_to(self.config, self._before, sent, held_in(image), **taken)
        beats, failed = found.beats, found.error is not None
        numbers = [found.tag] * (len(beats) - 1)
        numbers.append(found.tag | failed << self.config.wire.error_bit)
        self._put(self.answers, numbers, beats)
        self._want.count(Error.DENOMINATOR, found.guarded)
        self._want.tokens += found.answered
        if failed:
            self._want.count(found.error)
        else:
            self._want.sequences += 1

    def _select_set(self, sent):
        """Where a register names the set, write it once the packet before has begun.

        Into a queue, once as many have begun as make room.
        """
        number = self._select.request(sent.user, sent.asked) & (1 << TID_SHIFT) - 1
        if not self._select.is_due(number, self._selected):
            return
        room = max(1, self._select.depth)
        if len(self._begun) >= room:
            self._step(Step.SENT, data=self._begun[-room] + 1)
        self._write("NEXT_SET", number)
        self._selected = number

    def _put(self, beats, numbers, packed):
        self.limit += STALLS * len(packed)
        for i, (number, beat) in enumerate(zip(numbers, packed, strict=True)):
            beats.append((number, i == len(packed) - 1, beat))

    def _put_input(self, sent):
        """Beats to send: what is beside the data counts on the first one, and changes after it."""
        c = self.config
        self._begun.append(len(self.inputs))
        tokens = max(
            count // inlet.beats + 1
            for count, inlet in zip(sent.lengths, c.wire.inlets, strict=True)
        )
        self.limit += tokens * (2 * c.cycles_per_token + c.flow.query_cycles(tokens) + SLACK)
        self.limit += (64 * c.cycles_per_token + c.flow.transform_cycles) * c.engines
        for one, into in zip(sent.streams, (self.inputs, self.asking)):
            first = self._select.request(one.user, one.asked)
            later = [first ^ self._select.later] * (len(one.beats) - 1)
            self._put(into, [first, *later], one.beats)

    # -- steps -----------------------------------------------------------------------------------

    def _step(self, step, *, address=0, mask=0, data=0):
        self.steps.append((step, address, mask, data))
        if step in (Step.RESET, Step.WAIT):
            self.limit += data
        self.limit += REGISTER_CYCLES

    def _reset(self, cycles):
        if self.asking:
            self._step(Step.RESTART, data=len(self.asking))
        self._step(Step.RESET, mask=len(self.inputs), data=cycles)
        self.limit += 2 * self.config.contexts
        self._want = _Expected({error: 0 for error in errors_of(self.config)})
        self._before = history(self.config)
        self._selected: int = 0
        self._begun: list[int] = []

    def _write(self, name, value, *, response=OKAY):
        self._step(Step.WRITE, address=REGISTERS[name].offset, mask=response, data=value)

    def _read(self, name, value, *, mask=0xFFFFFFFF):
        self._step(Step.READ, address=REGISTERS[name].offset, mask=mask, data=value)

    def _await_free(self):
        self._step(Step.POLL, address=STATUS, mask=FREE, data=FREE)

    def _load(self, image, *, wait=True):
        for word in register_writes(self.config, image):
            if word & POLL:
                self._await_free()
            self._step(Step.WRITE, address=word >> 32 & 0xFF, data=word & 0xFFFFFFFF)
        if wait:
            self._await_free()

    def _settle(self):
        self._step(Step.RECEIVED, data=len(self.answers))
        self._step(Step.WAIT, data=TAIL)

    def _finish(self):
        """Everything has come, and nothing else comes; the registers agree."""
        self._settle()
        self._check_registers()
        self._read("STATUS", FREE)

    def _check_registers(self):
        """Counters, flags and ``irq``; clears the flags and leaves every interrupt enabled."""
        want = self._want
        self._read("TOKENS", want.tokens)
        self._read("SEQUENCES", want.sequences)
        for error, count in want.errors.items():
            self._read(error.name, count)
        for number, name in enumerate(COUNTED):
            self._step(Step.COUNTED, address=REGISTERS[name].offset, data=number)
        self._read("ERRORS", want.flags)
        self._write("IRQ_ENABLE", EVERY_FLAG)
        self._step(Step.IRQ, data=int(want.flags > 0))
        self._write("ERRORS", want.flags)
        self._step(Step.IRQ, data=0)
        self._read("ERRORS", 0)
        want.flags = 0
