# SPDX-License-Identifier: Apache-2.0
"""A whole network on a board: images in, scores of the classes out; or tokens in, scores out."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Generic, Self, TypeVar

import numpy as np

from ecoformer.driver.design import Register, read_facts
from ecoformer.driver.errors import DeviceError, ImageError, LoadError, TokenError
from ecoformer.driver.framed import FramedTransport
from ecoformer.driver.transport import Answer, Packet, good_answers, recognise

__all__ = ["DecoderDevice", "GeneratedDecoder", "GeneratedNetwork", "NetworkDevice"]


PACKET = "parameters.bin"
"""The parameters of a loadable network, within its folder."""


class Generated:
    """What a manifest says of a network of any kind.

    Parameters
    ----------
    folder : path

    Members
    -------
    bus_bytes, answer_beat_bytes : int
        Bytes of a beat, in and out.
    registers : dict of str to Register
        Constants by which a board says what it holds.
    loadable : bool
        Whether its parameters can be loaded.
    """

    next_set_depth = 0
    registers: Mapping[str, Register]
    mark: str
    """Field that the design of such a network has."""
    other: str
    """What to do with one of another kind."""

    def __init__(self, folder: str | Path):
        self.folder = Path(folder)
        facts = read_facts(self.folder / "manifest.json")
        if facts.get("kind") != "network":
            raise DeviceError(
                f"{self.folder}: holds an engine, not a network; name a folder that 'ecoformer "
                "generate --network' wrote"
            )
        design = facts["design"]
        if self.mark not in design:
            raise DeviceError(f"{self.folder}: {self.other}")
        self.registers = {
            entry["name"]: Register(entry["name"], entry["offset"], "", entry["value"], ())
            for entry in facts["board_registers"]
        }
        widths = {pin["name"]: pin["width"] for pin in facts["pins"]}
        self.bus_bytes, self.answer_beat_bytes = (
            widths[f"{port}_tdata"] // 8 for port in ("s_axis", "m_axis")
        )
        streams = facts["streams"]
        self.loadable = "s_axis_load" in streams
        if self.loadable:
            self._load_user = streams["s_axis_load"]["host_link_user"]
            answers = streams["m_axis_load"]["answers"]
            self._load_answers = {number: name for name, number in answers.items()}
        self._take(design, streams["m_axis"])

    def pack_load(self, packet: bytes) -> Packet:
        """A parameter packet, a byte in each beat."""
        data = bytearray(len(packet) * self.bus_bytes)
        data[:: self.bus_bytes] = packet
        return Packet(self._load_user, bytes(data), self.answer_beat_bytes)

    def load_answer(self, data: bytes) -> str:
        """Name of what a parameter packet is answered by."""
        number = int.from_bytes(data, "little")
        return self._load_answers.get(number, f"answer {number}")

    def _take(self, design: dict[str, Any], answers: dict[str, Any]) -> None:
        """Keep what the driver must know of the design and of its ``m_axis``."""
        raise NotImplementedError


class GeneratedNetwork(Generated):
    """What ``ecoformer generate --network`` wrote into a folder about a vision transformer.

    Parameters
    ----------
    folder : path
        Its ``manifest.json`` is read.

    Members
    -------
    image_size, channels, classes : int
        As in the design.
    score_bytes : int
        Of a score on the wire.
    """

    mark = "image_size"
    other = "holds a decoder, which takes no images; use DecoderDevice"

    def _take(self, design, answers):
        self.image_size, self.channels = design["image_size"], design["channels"]
        self.classes, self.score_bytes = design["classes"], self.answer_beat_bytes

    @property
    def answer_bytes(self) -> int:
        """Bytes of the scores of an image."""
        return self.classes * self.score_bytes

    def check(self, images: np.ndarray) -> None:
        """Refuse what are no images of this network, uint8 [B, channels, S, S] (ValueError)."""
        wanted = self.channels, self.image_size, self.image_size
        if images.dtype != np.uint8 or images.ndim != 4 or images.shape[1:] != wanted:
            numbers = ", ".join(map(str, wanted))
            raise ValueError(
                f"images must be uint8 [B, {numbers}], not {images.dtype} {list(images.shape)}"
            )

    def pack(self, image: np.ndarray) -> bytes:
        """One image uint8 [channels, S, S] as whole beats, in raster order."""
        self.check(image[np.newaxis])
        return image.transpose(1, 2, 0).tobytes()

    def unpack(self, data: bytes) -> np.ndarray:
        """Scores of one image: int64 [classes]."""
        return np.frombuffer(data, f"<i{self.score_bytes}").astype(np.int64)


class GeneratedDecoder(Generated):
    """What ``ecoformer generate --network`` wrote into a folder about a decoder.

    Parameters
    ----------
    folder : path
        Its ``manifest.json`` is read.

    Members
    -------
    vocabulary, positions, contexts : int
        As in the design.
    alphabet : str
        The characters of its tokens; empty where the design does not say.
    scores : bool
        Whether a token is answered by scores, or else by the best token.
    """

    mark = "vocabulary"
    other = "holds a network for images, which takes no tokens; use NetworkDevice"

    def _take(self, design, answers):
        self.vocabulary, self.positions = design["vocabulary"], design["positions"]
        self.contexts, self.alphabet = design["attention"]["contexts"], design["alphabet"]
        self.answer_bytes = answers["beats"] * self.answer_beat_bytes
        self._errors = {number: name for name, number in answers["errors"].items()}
        self.scores = design["answer"] == "scores"
        self._score_bytes = self.answer_beat_bytes // len(answers["tdata"]) if self.scores else 0

    def pack(self, token: int, context: int, begins: bool) -> Packet:
        """One token of a context, which is empty before it where it ``begins`` that."""
        for name, number, count in (
            ("token", token, self.vocabulary), ("context", context, self.contexts)
        ):
            if not 0 <= number < count:
                raise ValueError(f"{name} must be 0…{count - 1}, not {number}")
        data = int(token).to_bytes(self.bus_bytes, "little")
        return Packet(int(context) << 1 | bool(begins), data, self.answer_bytes)

    def error(self, data: bytes) -> str:
        """Name of the error that a token is answered by."""
        number = int.from_bytes(data, "little")
        return self._errors.get(number, f"error {number}")

    def unpack(self, data: bytes) -> np.ndarray:
        """The answer to a token: its scores, int64 [vocabulary], or the best token, int64 []."""
        if not self.scores:
            return np.array(int.from_bytes(data, "little"), np.int64)
        # Behind the last score a beat is filled up.
        scores = np.frombuffer(data, f"<i{self._score_bytes}")[: self.vocabulary]
        return scores.astype(np.int64)


_Kind = TypeVar("_Kind", bound=Generated)


class _NetworkDevice(Generic[_Kind]):
    """A network of any kind behind a byte link."""

    kind: type[_Kind]

    def __init__(
        self, design: str | Path | _Kind, transport: FramedTransport, *, reset: bool = True
    ):
        self.design = self.kind(design) if isinstance(design, str | Path) else design
        self.transport = transport
        transport.design = self.design
        if reset:
            self.reset()
        recognise(transport, self.design)

    def reset(self) -> None:
        """Reset the network: nothing is in it afterwards. Its parameters stay."""
        self.transport.reset()

    def load(self, packet: str | Path | bytes | None = None) -> None:
        """Load parameters; they stay until others are loaded or the board loses power.

        A decoder loses all contexts.

        Parameters
        ----------
        packet : path or bytes
            A file ``parameters.bin``, or what it holds; that of the network's own folder if None.

        Raises
        ------
        ValueError
            There is nothing to load.
        LoadError
            The network refuses them. If they are of another design it keeps those that it had;
            else it answers everything with an error until it is loaded again.
        DeviceError
            Parameters of this network cannot be loaded.
        """
        design = self.design
        if not design.loadable:
            raise DeviceError(
                f"{design.folder}: its parameters cannot be loaded; generate it with "
                "'loadable = true'"
            )
        if not isinstance(packet, bytes):
            packet = Path(packet or design.folder / PACKET).read_bytes()
        if not packet:
            raise ValueError("parameters must be at least one byte, not none")
        (answer,) = self.transport.exchange([design.pack_load(packet)])
        if answer.error or len(answer.data) != design.answer_beat_bytes:
            raise LoadError(design.load_answer(answer.data), str(design.folder))

    def close(self) -> None:
        """Close the transport."""
        self.transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


class NetworkDevice(_NetworkDevice[GeneratedNetwork]):
    """One vision transformer behind a byte link, with its parameters in its bitstream.

    Parameters
    ----------
    design : path or GeneratedNetwork
        The folder that ``ecoformer generate --network`` wrote.
    transport : FramedTransport
    reset : bool
        Whether to reset the network first, which drops images that are in it.

    Raises
    ------
    DeviceError
        Nothing answers, or an engine, or another network or one with other parameters.
    """

    kind = GeneratedNetwork

    def classify(self, images: np.ndarray) -> np.ndarray:
        """Scores of images; the label of one is the first class of its largest score.

        Parameters
        ----------
        images : uint8 array [B, channels, S, S]

        Returns
        -------
        int64 array [B, classes]

        Raises
        ------
        ValueError
            Another type or shape.
        ImageError
            The network answers an image as a bad one; nothing of the call is returned.
        """
        images = np.asarray(images)
        self.design.check(images)
        scores = list(self.answer(images))
        return np.array(scores, np.int64).reshape(len(images), self.design.classes)

    def answer(self, images: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """Yield the scores of images, int64 [classes], in order.

        Parameters
        ----------
        images : iterable of uint8 array [channels, S, S]
            Taken as the network has room.
        """
        size, spoilt = self.design.answer_bytes, False
        packets = (Packet(0, self.design.pack(np.asarray(image)), size) for image in images)

        def exchanged() -> Iterator[Answer]:
            nonlocal spoilt
            for answer in self.transport.exchange(packets):
                spoilt |= answer.error and any(answer.data)
                yield answer

        for data in good_answers(
            exchanged(), lambda number: size,
            lambda number: ImageError(number, str(self.design.folder), spoilt),
        ):
            yield self.design.unpack(data)


class DecoderDevice(_NetworkDevice[GeneratedDecoder]):
    """One decoder behind a byte link, with its parameters in its bitstream.

    Parameters
    ----------
    design : path or GeneratedDecoder
        The folder that ``ecoformer generate --network`` wrote.
    transport : FramedTransport
    reset : bool
        Whether to reset the decoder first; contexts are empty afterwards. If not, they go on where
        an earlier host left them.

    Raises
    ------
    DeviceError
        Nothing answers, or an engine, or another network or one with other parameters.
    """

    kind = GeneratedDecoder

    def answers(self, rows: Sequence[tuple[int, int, bool]]) -> np.ndarray:
        """What tokens are answered by.

        Parameters
        ----------
        rows : list of (int, int, bool)
            Token, context, and whether the context is empty before it, in the order in which they
            are sent; a context goes on where its last token was, in an earlier call, too.

        Returns
        -------
        int64 array [rows, vocabulary]
            Scores of what may come next; or [rows], the best token, where the design says so.

        Raises
        ------
        ValueError
            A token or context that there is not.
        TokenError
            The decoder answers a token with an error; nothing of the call is returned.
        """
        design = self.design
        packets = [design.pack(*row) for row in rows]  # all are checked before any is sent
        errors: dict[int, str] = {}

        def exchanged() -> Iterator[Answer]:
            for number, answer in enumerate(self.transport.exchange(packets)):
                if answer.error:
                    errors[number] = design.error(answer.data)
                yield answer

        found = [
            design.unpack(data)
            for data in good_answers(
                exchanged(), lambda number: design.answer_bytes,
                lambda number: TokenError(number, errors.get(number, "answer of another size")),
            )
        ]
        shape = (len(found), design.vocabulary) if design.scores else (len(found),)
        return np.array(found, np.int64).reshape(shape)
