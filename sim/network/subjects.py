# SPDX-License-Identifier: Apache-2.0
"""What a verification sends to a network of either kind, and what must come back."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np

from ecoformer.golden.integer.network.contexts import Contexts
from ecoformer.golden.integer.network.forward import trace
from ecoformer.sim.network import scenes as image_scenes
from ecoformer.sim.network import token_scenes
from ecoformer.sim.network.packets import Packet, packets_of, token_packets, with_bad_ones
from ecoformer.sim.network.scenes import Scene, corner_images
from ecoformer.sim.network.stimulus import random_pixels
from ecoformer.spec.network.decoder import DecoderDesign
from ecoformer.spec.network.design import NetworkDesign
from ecoformer.spec.network.image import NetworkImage
from ecoformer.spec.network.load import Design
from ecoformer.spec.network.tape import Tape

__all__ = [
    "ImageSubject", "Stimuli", "Subject", "TokenSubject", "packets_for", "packets_with_bad_ones",
    "random_stimuli", "subject_of",
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

    phases: ClassVar[Sequence[str]]
    """Names of all phases of one set of parameters, in their order."""

    def __init__(self, design: Any, image: NetworkImage, stimuli: Any):
        self.design = design
        self.image = image
        self.stimuli = stimuli

    @abstractmethod
    def scenes(self, phases: Sequence[str], **options: Any) -> Iterator[Scene]:
        """The scenes of ``phases``, with the options of `make_scenes`."""

    @abstractmethod
    def expect(self, scene: Scene) -> tuple[Scene, Mapping[str, np.ndarray]]:
        """``scene`` with what each of its packets is, and the tensors that they make of it.

        Scenes are expected in the order in which they are played.
        """

    def reset(self) -> None:
        """Be told that the network was reset."""
        return


class ImageSubject(Subject):
    """A vision transformer."""

    phases = image_scenes.PHASES

    def __init__(self, design: NetworkDesign, image: NetworkImage, stimuli: np.ndarray):
        super().__init__(design, image, stimuli)
        self.want: dict[str, np.ndarray] | None = None

    def scenes(self, phases: Sequence[str], **options: Any) -> Iterator[Scene]:
        corners = corner_images(self.design)
        pixels = self.stimuli
        if not set(phases) <= {"images"}:
            pixels = np.concatenate([pixels, corners])
        self.want = {name: narrow(t) for name, t in trace(self.design, self.image, pixels)}
        return image_scenes.make_scenes(
            self.design, self.stimuli, corners, phases=phases, **options
        )

    def expect(self, scene: Scene) -> tuple[Scene, Mapping[str, np.ndarray]]:
        assert self.want is not None
        return scene, self.want


class TokenSubject(Subject):
    """A decoder."""

    phases = token_scenes.PHASES

    def __init__(self, design: DecoderDesign, image: NetworkImage, stimuli: Tape):
        super().__init__(design, image, stimuli)
        self.contexts = Contexts(design, image)

    def scenes(self, phases: Sequence[str], **options: Any) -> Iterator[Scene]:
        return token_scenes.make_scenes(self.design, self.stimuli, phases=phases, **options)

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
