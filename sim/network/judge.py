# SPDX-License-Identifier: Apache-2.0
"""What a network did against what it must do; every difference is located."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ecoformer.hw.emit.network import at_full_rate
from ecoformer.sim.network.answers import answer_of, numbers_of
from ecoformer.sim.network.record import NetworkRecord, State, Violation
from ecoformer.sim.network.scenes import Scene
from ecoformer.spec.network.load import Design
from ecoformer.spec.network.packet import LoadAnswer, answer_to, load_cycles

__all__ = [
    "NetworkMismatch", "answers_at_rate", "judge", "judge_busy", "judge_latency", "judge_loads",
    "judge_pace",
]

VIOLATIONS = {
    Violation.WITHDRAWN: "tvalid falls before tready",
    Violation.CHANGED: "a beat changes while it waits for tready",
    Violation.IN_RESET: "tready or tvalid in reset",
    Violation.LOADING: "a beat of an image or a token, or no packet, while parameters are loaded",
}
SETTLED = 3
"""Answers of a long row, beside a third of it, that come before the rate is looked at."""


@dataclass(frozen=True, kw_only=True)
class NetworkMismatch:
    """A difference between a network and the integer model, or its contract.

    Parameters
    ----------
    phase, scene : str
    what : str
    image : int or None
        Which packet of the scene: an image, or a token of a decoder.
    layer : str or None
        The first layer of the image that differs; None where all agree, or what differs is none.
    token, lane : int or None
        The first token of an image, and element of that layer, that differ; of scores only
        ``lane``, the class.
    got, want : int, float or None
        None where there is none.
    count : int
        Elements of that layer and image that differ.
    """

    phase: str
    scene: str
    what: str
    image: int | None = None
    layer: str | None = None
    token: int | None = None
    lane: int | None = None
    got: float | None = None
    want: float | None = None
    count: int = 1

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)

    def __str__(self) -> str:
        where = [f"{self.phase}, {self.scene}"]
        for name, value in (("image", self.image), ("layer", self.layer), ("token", self.token),
                            ("lane", self.lane)):
            if value is not None:
                where.append(f"{name} {value}")
        more = f", and {self.count - 1} more of this layer" if self.count > 1 else ""
        values = f" is {self.got}, not {self.want}" if self.want is not None else ""
        return f"{', '.join(where)}: {self.what}{values}{more}"


def judge(
    design: Design,
    scene: Scene,
    record: NetworkRecord,
    want: Mapping[str, np.ndarray],
) -> tuple[list[NetworkMismatch], dict[str, int]]:
    """Differences of a scene, and how much was compared: ``scores`` and ``elements``.

    Parameters
    ----------
    want : dict of int64 array [images, …]
        Every tensor of every image of the verification, `golden.integer.network.forward.trace`.
    """
    found = _Judge(design, scene, record, want)
    found.layers()
    found.answers()
    found.manners()
    if scene.rate:
        found.rate()
    return found.mismatches, found.counts


class _Judge:
    def __init__(self, design, scene, record, want):
        self.design = design
        self.scene = scene
        self.record = record
        self.want = want
        self.mismatches: list[NetworkMismatch] = []
        self.counts = {"scores": 0, "elements": 0}
        self.wrong: set[int] = set()
        """Images of which a layer is wrong."""

    def note(self, what, **where):
        self.mismatches.append(
            NetworkMismatch(phase=self.scene.phase, scene=self.scene.name, what=what, **where)
        )

    # -- layers ----------------------------------------------------------------------------------

    def layers(self):
        """The first layer of every image that differs; what follows from it is left out."""
        cut = self.scene.limit is not None
        for layer, sent in self.record.elements.items():
            tensors = self.want[layer]
            size = int(np.prod(tensors.shape[1:]))
            sent = unpadded(self.design, sent, tensors.shape[-1])
            for number, packet in enumerate(self.scene.packets):
                if packet.image is None:
                    continue
                got = sent[number * size : (number + 1) * size]
                self.counts["elements"] += len(got)
                if number in self.wrong:
                    continue
                wanted = tensors[packet.image].reshape(-1)[: len(got)]
                different = np.flatnonzero(got != wanted)
                if len(different):
                    self._element(number, layer, tensors, int(different[0]), got, wanted,
                                  len(different))
                elif len(got) < size and not cut:
                    self.wrong.add(number)
                    self.note("elements", image=number, layer=layer, got=len(got), want=size)
            most = size * len(self.scene.packets)
            if len(sent) > most:
                self.note("elements, all images", layer=layer, got=len(sent), want=most)

    def _element(self, number, layer, tensors, place, got, wanted, count):
        self.wrong.add(number)
        token, lane = divmod(place, tensors.shape[-1])
        self.note(
            "element", image=number, layer=layer, lane=lane, got=int(got[place]),
            want=int(wanted[place]), count=count,
            token=token if tensors.ndim > 2 else None,
        )

    # -- answers ---------------------------------------------------------------------------------

    def answers(self):
        """Every beat of every answer."""
        record, packets = self.record, self.scene.packets
        words, flags = record.beats[:, :-1], record.beats[:, -1]
        ends = np.flatnonzero(flags & 1) + 1
        starts = [0, *ends.tolist()]
        for number, packet in enumerate(packets):
            if number >= len(ends):
                break
            span = slice(starts[number], starts[number + 1])
            self._answer(number, packet, words[span], flags[span])
        left = len(words) - (starts[-1] if len(ends) <= len(packets) else starts[len(packets)])
        if self.scene.limit is None or record.state != State.STOPPED:
            if len(ends) < len(packets):
                self.note("answers", got=len(ends), want=len(packets))
            if left:
                self.note("unexpected beats", got=left, want=0)
        if record.state in (State.SILENT, State.BABBLING):
            self.note(f"the network is {record.state.name.lower()}")

    def _answer(self, number, packet, words, flags):
        user = int(flags[-1] >> 1 & 1)
        bad = packet.image is None
        length = 1 if bad else self.design.answer_beats
        if user != bad:
            self.note("tuser of the last beat", image=number, got=user, want=int(bad))
        if (flags[:-1] >> 1 & 1).any():
            self.note("tuser before the last beat", image=number, got=1, want=0)
        others = flags[flags >> 2 != packet.context] >> 2
        if len(others):
            self.note("tid", image=number, got=int(others[0]), want=packet.context)
        if len(words) != length:
            self.note("beats of an answer", image=number, got=len(words), want=length)
            return
        if bad:
            scores, wanted = words[:, 0], np.array([packet.error])
        else:
            scores = numbers_of(self.design, words)
            wanted = answer_of(self.design, self.want["scores"][packet.image])
        self.counts["scores"] += len(wanted)
        different = np.flatnonzero(scores != wanted)
        if len(different) and number not in self.wrong:
            lane = int(different[0])
            self.note(
                "score at the pins", image=number, lane=lane, got=int(scores[lane]),
                want=int(wanted[lane]), count=len(different),
            )

    # -- cycles ----------------------------------------------------------------------------------

    def manners(self):
        """What a source of a stream must not do."""
        for cycle, kind in self.record.violations:
            self.note(f"{VIOLATIONS[kind]}, cycle {cycle}")

    def rate(self):
        """Answers of the steady state come at the rate of the slowest layer exactly."""
        last = answers_at_rate(self.design, self.record)
        apart = np.diff(last[len(self.record.last_out) // 3 + SETTLED :])
        least = self.design.steady_packet
        if self.design.rolled and not len(apart):
            self.note("answers at full rate", got=len(last), want=len(self.record.last_out))
        exact = at_full_rate(self.design)
        if exact and not self.design.blocks_set_rate:
            # Passes share what time the block has left, so that answers come early and late.
            lost = int(apart.sum()) - least * len(apart)
            if abs(lost) > least:
                self.note("cycles of all answers", got=int(apart.sum()), want=least * len(apart))
            return
        wrong = np.flatnonzero(apart != least if exact else apart < least)
        if len(wrong):
            self.note(
                "cycles between two answers", image=len(last) - len(apart) + int(wrong[0]),
                got=int(apart[wrong[0]]), want=least,
            )


def answers_at_rate(design: Design, record: NetworkRecord) -> np.ndarray:
    """Cycles of the answers of a long row, int64 [n], without the last that come faster.

    Where blocks share hardware, it has more time for each image once no other enters.
    """
    if not design.rolled:
        return record.last_out
    return record.last_out[: np.searchsorted(record.last_out, record.first_in[-1], side="right")]


def unpadded(design: Design, sent: np.ndarray, elements: int) -> np.ndarray:
    """What a layer sent, int64 [n], without what fills the last beat of every vector.

    Parameters
    ----------
    elements : int
        Of a vector.
    """
    padded = design.beats(elements) * design.lanes
    if padded == elements:
        return sent
    whole = len(sent) // padded * padded
    vectors = sent[:whole].reshape(-1, padded)[:, :elements].reshape(-1)
    return np.concatenate([vectors, sent[whole:][:elements]])


def judge_busy(
    scene: Scene, record: NetworkRecord, want: Mapping[str, int], bits: Mapping[str, int]
) -> Iterator[NetworkMismatch]:
    """Layers that did not work for as many cycles as they must for the images of a scene.

    Parameters
    ----------
    want : dict of int
        Cycles of an image, by layer.
    bits : dict of int
        Place of a layer in ``record.busy``.
    """
    if record.busy is None or not len(record.busy):
        return
    images = len(record.busy)
    for layer, cycles in want.items():
        # The last answer ends after every layer has done its work.
        got = int(record.busy[-1, bits[layer]])
        if got != images * cycles:
            yield NetworkMismatch(
                phase=scene.phase, scene=scene.name, layer=layer,
                what="cycles in which the layer works on an image",
                got=round(got / images, 3), want=cycles,
            )


def judge_pace(
    design: Design, scene: Scene, record: NetworkRecord, want: Mapping[str, np.ndarray]
) -> Iterator[NetworkMismatch]:
    """The first layer whose second token comes later than the rate allows, of an image alone.

    Of a decoder, that of tokens that come as fast as they are taken. Those before it are only held
    back later, when what is between them is full.
    """
    for layer, times in record.times.items():
        elements = design.beats(want[layer].shape[-1]) * design.lanes
        vectors = len(scene.packets) if want[layer].ndim < 3 else design.tokens
        if vectors < 2 or len(times) < 2 * elements:
            continue
        got = int(times[2 * elements - 1] - times[elements - 1])
        of_block = layer.startswith("blocks.")
        want_cycles = design.steady_block_cycles if of_block else design.steady_cycles
        if got > want_cycles:
            yield NetworkMismatch(
                phase=scene.phase, scene=scene.name, image=0, layer=layer, token=1,
                what="cycles after the token before", got=got, want=want_cycles,
            )
            return


def judge_latency(scene: Scene, latencies: list[int]) -> Iterator[NetworkMismatch]:
    """Images that, sent alone, do not take as long as the first."""
    for number, got in enumerate(latencies):
        if got != latencies[0]:
            yield NetworkMismatch(
                phase=scene.phase, scene=scene.name, image=number,
                what="cycles from the first beat to the last of its answer", got=got,
                want=latencies[0],
            )


def judge_loads(
    design: Design, scene: Scene, record: NetworkRecord
) -> Iterator[NetworkMismatch]:
    """Parameter packets that are not answered, wrongly, late, or before the network is empty."""
    for number, load in enumerate(scene.loads):
        name, event = f"load {number}", None
        if number < len(record.loads):
            event = record.loads[number]
        elif scene.limit is None:
            yield NetworkMismatch(
                phase=scene.phase, scene=scene.name, what=f"{name} is never taken"
            )
        if event is None or scene.limit is not None and event.answer < 0:
            continue
        answer, span = answer_to(design, load.packet), event.answer_cycle - event.cycle
        exact = answer == LoadAnswer.LOADED and not scene.gaps
        for what, got, want in (
            ("answer", event.answer, int(answer)),
            ("bytes that are taken", event.taken, len(load.packet)),
            ("packets that are not answered before it", event.entered - event.answered, 0),
            ("cycles", span, load_cycles(design) if exact else span),
        ):
            if got != want:
                yield NetworkMismatch(
                    phase=scene.phase, scene=scene.name, what=f"{name}: {what}", got=got, want=want
                )
