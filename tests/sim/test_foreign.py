# SPDX-License-Identifier: Apache-2.0
"""An engine between DMAs, width converters and FIFOs of other makers.

Whatever they do to a packet, its answer is exact for the set that it names, or a named error.
"""

import contextlib

import numpy as np
import pytest

from ecoformer.golden.integer.attention import attend
from ecoformer.sim.build import build
from ecoformer.sim.compiled import CompiledEngine, State
from ecoformer.sim.rows import keep_bytes, row_bytes, to_rows
from ecoformer.sim.stimulus import random_image
from ecoformer.spec.config import Config
from ecoformer.spec.programming import register_writes
from ecoformer.spec.registers import REGISTERS, Error
from ecoformer.spec.stream_export import as_dict
from ecoformer.spec.wire import keeps, unpack_sequence
from tests.emitted import emitted
from tests.sim.foreign import Beat, downsize, frame_fifo, packets_of, transfer, upsize

SIZES = dict(
    head_dim=6, value_dim=4, code_bits=7, anchors=3, max_tokens=5, cycles_per_token=16,
    parameter_sets=4, bus_bytes=8,
)
"""A token of 10 bytes takes two beats of 8; a result of 8 bytes takes one."""
PLAIN = Config(**SIZES)
MARKED = Config(**SIZES | {"tkeep": True, "error_low": True})
QUEUED = Config(**SIZES | {"bus_bytes": 2, "tkeep": True, "tuser_width": 0, "next_set_depth": 16})
STALL = 0.3
"""Of a clock crossing on either side."""


class Bench:
    """A programmed engine of a configuration; beats in, beats out."""

    def __init__(self, config, builds):
        self.config, self.rng = config, np.random.default_rng(6)
        self.image = random_image(config, self.rng)
        self.engine = CompiledEngine(build(emitted(config), builds, simulator="compiled").folder)
        for word in register_writes(config, self.image):
            self.write(word >> 32 & 0xFF, word & 0xFFFFFFFF)
        self.tuser = as_dict(config)["m_axis"]["tuser"]

    def write(self, at, value):
        at = REGISTERS[at].offset if isinstance(at, str) else at
        assert self.engine.write(at, value) == 0

    def read(self, name):
        response, value = self.engine.read(REGISTERS[name].offset)
        assert response == 0
        return value

    def draw(self, tokens):
        """Random tokens and values."""
        return (self.rng.integers(-128, 128, (tokens, self.config.head_dim)),
                self.rng.integers(-128, 128, (tokens, self.config.value_dim)))

    def memory(self, tokens, values, *, padded):
        """A sequence in memory: each token padded to whole beats, or one after the other."""
        size = self.config.token_bytes
        size = -(-size // self.config.bus_bytes) * self.config.bus_bytes if padded else size
        rows = np.concatenate([tokens, values], axis=1).astype(np.int8)
        return b"".join(row.tobytes().ljust(size, b"\0") for row in rows)

    def good(self, beats):
        """The same beats with null bytes for padding, as a host that knows of tokens sends them."""
        c, packets = self.config, packets_of(beats)
        return [
            beat._replace(keep=tuple(kept))
            for packet in packets
            for beat, kept in zip(packet, keeps(c, c.token_bytes, len(packet)).tolist())
        ]

    def stream(self, beats):
        """Beats that come out as ``beats`` go in; ``tuser`` counts on the first of a packet."""
        c = self.config
        packets = packets_of(beats)
        data = np.frombuffer(b"".join(beat.data for beat in beats), np.uint8)
        data = data.reshape(-1, c.bus_bytes)
        rows = to_rows(c, data, np.array([beat.keep for beat in beats]))
        lasts = np.cumsum([len(packet) for packet in packets]) - 1
        users = np.array([packet[0].user for packet in packets])
        self.engine.begin(
            rows, lasts, users, stall=STALL, seed=3, patience=10_000, tail=64, later=0,
            keep_bytes=keep_bytes(c), queue=None if c.next_set_depth else 0,
        )
        assert self.engine.advance(1_000_000) is State.DONE
        found = self.engine.records()
        rows, ends = found["beats"].reshape(-1, row_bytes(c)), found["ends"].tolist()
        out, at = [], 0
        for end, user in zip(ends, found["users"].tolist()):
            for row in rows[at:end]:
                kept = np.unpackbits(row[c.bus_bytes :], bitorder="little")[: c.bus_bytes]
                keep = tuple(map(bool, kept)) or (True,) * c.bus_bytes
                out.append(Beat(row[: c.bus_bytes].tobytes(), keep, user, False))
            out[-1] = out[-1]._replace(last=True)
            at = end
        return out

    def answers(self, beats):
        """Set, error and results of every packet, by the datasheet."""
        low = {field["name"]: field["low"] for field in self.tuser["fields"]}
        for packet in packets_of(beats):
            user = packet[-1].user
            index = user >> low.get("set", 0) & (1 << self.config.tuser_width) - 1
            error = bool(user >> low["error"] & 1)
            data = np.frombuffer(b"".join(beat.data for beat in packet), np.uint8)
            data = data.reshape(-1, self.config.bus_bytes)
            yield index, error, None if error else unpack_sequence(self.config, data)

    def expected(self, index, tokens, values):
        return attend(self.config, self.image, index, tokens, values)[0]


@contextlib.contextmanager
def bench(config, builds):
    made = Bench(config, builds)
    with contextlib.closing(made.engine):
        yield made


def test_a_dma_that_packs_tokens_gets_a_named_error_and_a_host_that_pads_them_an_answer(builds):
    with bench(MARKED, builds) as b:
        sequences = [b.draw(tokens) for tokens in (3, 1, 3, 3, 5, 2)]
        padded = [b.memory(*s, padded=True) for s in sequences]
        sent = [
            transfer(b.memory(*sequences[0], padded=False), 8, user=1),  # 30 bytes: 4 beats
            transfer(b.memory(*sequences[1], padded=False), 8, user=2),  # one is padded anyway
            b.good(transfer(padded[2], 8, user=3)),
            transfer(padded[3], 8, user=1),  # zeros of memory in the place of padding
            transfer(b.memory(*sequences[4], padded=False), 8, user=2),
            b.good(transfer(padded[5], 8, user=1)),
        ]
        assert len(sent[0]) == 4 == len(b.good(transfer(padded[5], 8)))
        found = list(b.answers(b.stream([beat for packet in sent for beat in packet])))
        assert [(index, error) for index, error, _ in found] == [
            (1, True), (2, False), (3, False), (1, True), (2, True), (1, False),
        ]
        for (index, error, outputs), sequence in zip(found, sequences, strict=True):
            if not error:
                np.testing.assert_array_equal(outputs, b.expected(index, *sequence))
        assert b.read("KEEP_MISMATCH") == 3 and b.read("ERRORS") >> Error.KEEP_MISMATCH & 1


def test_without_tkeep_packed_tokens_are_taken_for_fewer(builds):
    """Why ``tkeep`` is there: this is no error of the engine, and nobody can see it."""
    with bench(PLAIN, builds) as b:
        sequence = b.draw(3)
        sent = transfer(b.memory(*sequence, padded=False), 8, user=1)
        ((index, error, outputs),) = b.answers(b.stream(sent))
        assert not error and len(outputs) == 2
        assert (outputs != b.expected(index, *sequence)[:2]).any()


@pytest.mark.parametrize("config", [PLAIN, MARKED], ids=["plain", "tkeep"])
def test_through_width_converters_every_answer_is_that_of_the_set_it_names(builds, config):
    """``tuser`` held for the whole packet arrives; driven once it is lost, and the answer says so.
    """
    with bench(config, builds) as b:
        sequences = [b.draw(tokens) for tokens in (2, 1, 5, 3, 4)]
        asked = [1, 2, 3, 3, 2]
        held = [True, True, False, True, False]
        sent = []
        for sequence, index, hold in zip(sequences, asked, held):
            wide = b.good(transfer(b.memory(*sequence, padded=True), 8))
            narrow = [
                Beat(beat.data[at : at + 4], beat.keep[at : at + 4], 0, beat.last and at == 4)
                for beat in wide for at in (0, 4)
            ]
            users = [index if hold or i == 0 else 0 for i in range(len(narrow))]
            sent += [beat._replace(user=user) for beat, user in zip(narrow, users, strict=True)]
        narrow = downsize(b.stream(upsize(sent, 2)), 2)
        assert all(len(beat.data) == 4 and all(beat.keep) for beat in narrow)
        found = list(b.answers(upsize(narrow, 2)))
        for (index, error, outputs), sequence, wanted, hold in zip(
            found, sequences, asked, held, strict=True
        ):
            assert not error and index == (wanted if hold else 0)
            np.testing.assert_array_equal(outputs, b.expected(index, *sequence))


@pytest.mark.parametrize("config", [PLAIN, MARKED], ids=["error on top", "error low"])
def test_a_frame_fifo_drops_bad_packets_and_no_other(builds, config):
    """By its defaults with ``error_low``; with the mask of the manifest in any case."""
    with bench(config, builds) as b:
        sequences = [b.draw(2) for _ in range(8)]
        asked = [0, 1, 2, 3, 0, 1, 2, 3]
        sent = []
        for i, (sequence, index) in enumerate(zip(sequences, asked)):
            beats = b.good(transfer(b.memory(*sequence, padded=True), 8, user=index))
            bad = beats[:-2] + [beats[-2]._replace(last=True)]  # tlast within a token
            sent += bad if i % 3 == 1 else beats
        out = b.stream(sent)
        good = [i for i in range(8) if i % 3 != 1]
        mask, value = b.tuser["bad_frame_mask"], b.tuser["bad_frame_value"]
        told, usual = frame_fifo(out, mask=mask, value=value), frame_fifo(out)
        found = list(b.answers(told))
        for i, (index, error, outputs) in zip(good, found, strict=True):
            assert index == asked[i] and not error
            np.testing.assert_array_equal(outputs, b.expected(index, *sequences[i]))
        assert (usual == told) == config.error_low, "its defaults look at the wrong bit"


def test_a_chain_of_descriptors_for_several_heads_needs_no_software_between_them(builds):
    """Every set is written before the first transfer starts; a DMA sends bytes of memory."""
    with bench(QUEUED, builds) as b:
        sequences = [b.draw(int(n)) for n in b.rng.integers(1, 6, 12)]
        asked = [int(i) for i in b.rng.integers(0, 4, 12)]
        for index in asked:
            b.write("NEXT_SET", index)
        assert b.read("NEXT_SET_LEVEL") == 12
        sent = [transfer(b.memory(*sequence, padded=False), 2) for sequence in sequences]
        cut = b.memory(*sequences[5], padded=False)[:-1]
        sent[5] = transfer(cut, 2)  # a descriptor that is a byte short
        found = list(b.answers(b.stream([beat for packet in sent for beat in packet])))
        for i, (_, error, outputs) in enumerate(found):
            assert error == (i == 5)
            if not error:
                np.testing.assert_array_equal(outputs, b.expected(asked[i], *sequences[i]))
        assert len(found) == 12 and b.read("NEXT_SET_LEVEL") == 0
        assert (b.read("KEEP_MISMATCH"), b.read("MISALIGNED")) == (1, 0)
