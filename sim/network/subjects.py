# SPDX-License-Identifier: Apache-2.0
"""What a verification sends to a network of either kind, and what must come back."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ecoformer.golden.integer.network.contexts import Contexts
from ecoformer.golden.integer.network.forward import trace
from ecoformer.sim.network import scenes as image_scenes
from ecoformer.sim.network import token_scenes
from ecoformer.sim.network.load_scenes import LOADS, make_load_scenes
from ecoformer.sim.network.packets import Packet, packets_of, token_packets, with_bad_ones
from ecoformer.sim.network.record import LoadEvent
from ecoformer.sim.network.scenes import Scene, corner_images
from ecoformer.sim.network.stimulus import random_pixels
from ecoformer.spec.network.decoder import DecoderDesign
from ecoformer.spec.network.design import NetworkDesign
from ecoformer.spec.network.image import NetworkImage
from ecoformer.spec.network.load import Design
from ecoformer.spec.network.packet import NO_PARAMETERS
from ecoformer.spec.network.tape import Tape

__all__ = [
    "ImageSubject", "Stimuli", "Subject", "TokenSubject", "packets_for", "packets_with_bad_ones",
    "phases_of", "random_stimuli", "subject_of",
]

Stimuli = np.ndarray | Tape
"""Images uint8 [n, channels, S, S] for a vision transformer, and a tape for a decoder."""


BAD_SHARE = 0.2
"""Share of errors among random tokens behind others."""


class Subject(ABC):
    """A network, and what is sent to it.

    Parameters
    ----------
    design : NetworkDesign or DecoderDesign
    image : NetworkImage
    stimuli : Stimuli
        Of the first phase.
    """

    def __init__(self, design: Any, image: NetworkImage, stimuli: Any):
        self.design = design
        self.image: NetworkImage | None = image
        self.stimuli = stimuli

    @property
    def phases(self) -> Sequence[str]:
        """Names of all phases of one set of parameters, in their order."""
        return phases_of(self.design)

    def scenes(
        self, phases: Sequence[str], *, rounds: int = 1, seed: int = 0, **options: Any
    ) -> Iterator[Scene]:
        """The scenes of ``phases``, with the options of `make_scenes`."""
        yield from self._scenes(phases, rounds=rounds, seed=seed, **options)
        if LOADS in phases:
            assert self.image is not None
            rng = np.random.default_rng([seed, 2])
            yield from make_load_scenes(
                self.design, self.image, lambda count: self._draw(rng, count), rng, rounds=rounds
            )

    @abstractmethod
    def _scenes(self, phases: Sequence[str], **options: Any) -> Iterator[Scene]:
        """Those in which nothing is loaded."""

    @abstractmethod
    def _draw(self, rng: np.random.Generator, count: int) -> Sequence[Packet]:
        """So many random packets."""

    @abstractmethod
    def expect(self, scene: Scene) -> tuple[Scene, Mapping[str, np.ndarray]]:
        """``scene`` with what each of its packets is, and the tensors that they make of it.

        Scenes are expected in the order in which they are played.
        """

    def expect_loads(
        self, scene: Scene, events: Sequence[LoadEvent]
    ) -> tuple[Scene, Mapping[str, np.ndarray]]:
        """`expect` of a scene that has been played, with what became of its loads."""
        parts, start = [], 0
        for load, event in zip(scene.loads, events):
            parts.append(self._expect_part(scene, start, event.entered))
            start = event.entered
            if load.writes(self.design, event.taken):
                self.load(load.outcome(event.answer))
        parts.append(self._expect_part(scene, start, len(scene.packets)))
        packets: list[Packet] = []
        sizes = 0
        for part, want in parts:
            packets += [
                packet if packet.image is None else replace(packet, image=packet.image + sizes)
                for packet in part.packets
            ]
            sizes += len(want["scores"])
        names = parts[0][1].keys()
        joined = {name: np.concatenate([want[name] for _, want in parts]) for name in names}
        return replace(scene, packets=packets), joined

    def _expect_part(self, scene, start, end):
        return self.expect(replace(scene, packets=scene.packets[start:end]))

    def load(self, image: NetworkImage | None) -> None:
        """Be told that parameters were written: these, or None if they are spoilt."""
        self.image = image

    def reset(self) -> None:
        """Be told that the network was reset."""
        return


class ImageSubject(Subject):
    """A vision transformer."""

    def __init__(self, design: NetworkDesign, image: NetworkImage, stimuli: np.ndarray):
        super().__init__(design, image, stimuli)
        self.pixels = stimuli
        self.want: dict[str, np.ndarray] = {}

    def _scenes(self, phases: Sequence[str], **options: Any) -> Iterator[Scene]:
        corners = corner_images(self.design)
        if not set(phases) <= {"images"}:
            self.pixels = np.concatenate([self.stimuli, corners])
            self.want = {}
        return image_scenes.make_scenes(
            self.design, self.stimuli, corners, phases=phases, **options
        )

    def _draw(self, rng: np.random.Generator, count: int) -> Sequence[Packet]:
        packets = packets_of(self.design, self.stimuli)
        return [packets[place] for place in rng.integers(0, len(packets), count)]

    def load(self, image: NetworkImage | None) -> None:
        super().load(image)
        if image is not None:
            self.want = {}

    def expect(self, scene: Scene) -> tuple[Scene, Mapping[str, np.ndarray]]:
        if self.image is not None and not self.want:
            traced = trace(self.design, self.image, self.pixels)
            self.want = {name: narrow(tensor) for name, tensor in traced}
        if self.image is None:
            bad = [replace(packet, image=None, error=NO_PARAMETERS) for packet in scene.packets]
            return replace(scene, packets=bad), self.want
        return scene, self.want


class TokenSubject(Subject):
    """A decoder."""

    def __init__(self, design: DecoderDesign, image: NetworkImage, stimuli: Tape):
        super().__init__(design, image, stimuli)
        self.contexts = Contexts(design, image)

    def _scenes(self, phases: Sequence[str], **options: Any) -> Iterator[Scene]:
        return token_scenes.make_scenes(self.design, self.stimuli, phases=phases, **options)

    def _draw(self, rng: np.random.Generator, count: int) -> Sequence[Packet]:
        return token_packets(self.design, token_scenes.random_tape(self.design, rng, count))

    def load(self, image: NetworkImage | None) -> None:
        super().load(image)
        self.contexts.load(image)

    def expect(self, scene: Scene) -> tuple[Scene, Mapping[str, np.ndarray]]:
        packets: list[Packet] = []
        tensors: list[dict[str, np.ndarray]] = []
        sent: Any = scene.packets
        for packet in sent:
            error, made = self.contexts.take(packet.token, packet.number, packet.begin)
            packets.append(replace(
                packet, image=None if error else len(tensors), error=int(error or 0)
            ))
            if not error:
                tensors.append(made)
        widths = self.design.vector_elements
        want = {
            name: np.array([t[name] for t in tensors], np.int64).reshape(-1, elements)
            for name, elements in widths.items()
        }
        return replace(scene, packets=packets), want

    def reset(self) -> None:
        self.contexts.reset()


def phases_of(design: Design) -> Sequence[str]:
    """Names of all phases of a network of ``design``, of one set of parameters, in their order."""
    own = token_scenes.PHASES if isinstance(design, DecoderDesign) else image_scenes.PHASES
    return (*own, LOADS) if design.loadable else own


def subject_of(design: Design, image: NetworkImage, stimuli: Stimuli) -> Subject:
    """What is verified of a network of ``design``."""
    if isinstance(design, DecoderDesign):
        assert isinstance(stimuli, Tape)
        return TokenSubject(design, image, stimuli)
    assert isinstance(stimuli, np.ndarray)
    return ImageSubject(design, image, stimuli)


def random_stimuli(design: Design, seed: int, count: int) -> Stimuli:
    """``count`` random images or tokens for a network of ``design``."""
    if isinstance(design, DecoderDesign):
        return token_scenes.random_tape(design, np.random.default_rng(seed), count)
    return random_pixels(design, seed, count)


def packets_for(design: Design, stimuli: Stimuli) -> Sequence[Packet]:
    """Packets of images or tokens, in their order."""
    if isinstance(design, DecoderDesign):
        assert isinstance(stimuli, Tape)
        return token_packets(design, stimuli)
    assert isinstance(stimuli, np.ndarray)
    return packets_of(design, stimuli)


def packets_with_bad_ones(
    design: Design, stimuli: Stimuli, rng: np.random.Generator
) -> Sequence[Packet]:
    """The same with bad images between them, or as many random tokens behind them, some bad."""
    packets = packets_for(design, stimuli)
    if isinstance(design, DecoderDesign):
        more = token_scenes.random_tape(design, rng, len(packets), BAD_SHARE)
        return [*packets, *token_packets(design, more)]
    return with_bad_ones(design, packets, rng)


def narrow(tensor: np.ndarray) -> np.ndarray:
    """Half the memory for what fits, which is everything but large scores."""
    fits = np.abs(tensor).max() < 1 << 31
    return tensor.astype(np.int32) if fits else tensor
