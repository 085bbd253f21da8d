# SPDX-License-Identifier: Apache-2.0
"""A whole network on a board: images in, scores of the classes out."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Self

import numpy as np

from ecoformer.driver.design import Register, read_facts
from ecoformer.driver.errors import DeviceError, ImageError
from ecoformer.driver.framed import FramedTransport
from ecoformer.driver.transport import Packet, good_answers, recognise

__all__ = ["GeneratedNetwork", "NetworkDevice"]


class GeneratedNetwork:
    """What ``ecoformer generate --network`` wrote into a folder about its network.

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
    registers : dict of str to Register
        Constants by which a board says what it holds.
    """

    next_set_depth = 0
    registers: Mapping[str, Register]

    def __init__(self, folder: str | Path):
        self.folder = Path(folder)
        facts = read_facts(self.folder / "manifest.json")
        if facts.get("kind") != "network":
            raise DeviceError(
                f"{self.folder}: holds an engine, not a network; name a folder that 'ecoformer "
                "generate --network' wrote"
            )
        design = facts["design"]
        self.image_size, self.channels = design["image_size"], design["channels"]
        self.classes = design["classes"]
        self.registers = {
            entry["name"]: Register(entry["name"], entry["offset"], "", entry["value"], ())
            for entry in facts["board_registers"]
        }
        widths = {pin["name"]: pin["width"] for pin in facts["pins"]}
        self.score_bytes = widths["m_axis_tdata"] // 8

    @property
    def bus_bytes(self) -> int:
        """Bytes of a beat of an image, which is a pixel."""
        return self.channels

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


class NetworkDevice:
    """One network behind a byte link, with its parameters in its bitstream.

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

    def __init__(
        self,
        design: str | Path | GeneratedNetwork,
        transport: FramedTransport,
        *,
        reset: bool = True,
    ):
        self.design = design if isinstance(design, GeneratedNetwork) else GeneratedNetwork(design)
        self.transport = transport
        transport.design = self.design
        if reset:
            self.reset()
        recognise(transport, self.design)

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
        size = self.design.answer_bytes
        packets = (Packet(0, self.design.pack(np.asarray(image)), size) for image in images)
        for data in good_answers(
            self.transport.exchange(packets), lambda number: size,
            lambda number: ImageError(number, str(self.design.folder)),
        ):
            yield self.design.unpack(data)

    def reset(self) -> None:
        """Reset the network: no image is in it afterwards. Its parameters stay."""
        self.transport.reset()

    def close(self) -> None:
        """Close the transport."""
        self.transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()
