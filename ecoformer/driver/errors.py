# SPDX-License-Identifier: Apache-2.0
"""What a driver reports."""

__all__ = [
    "DeviceError", "EngineError", "ImageError", "LinkError", "LoadError", "RefusedError",
    "TokenError",
]


class DeviceError(Exception):
    """Anything that a device does wrong, or that is wrong with it; one line."""


class LinkError(DeviceError):
    """The board does not answer, or not as this driver expects."""


class RefusedError(DeviceError):
    """A register refuses an access.

    Parameters
    ----------
    offset : int
    """

    def __init__(self, offset: int):
        super().__init__(
            f"register 0x{offset:02x}: access refused (SLVERR), not possible now or not there"
        )
        self.offset = offset


class EngineError(DeviceError):
    """The engine answers a sequence with an error.

    Parameters
    ----------
    sequence : int
        Number of the sequence in the call.
    names : list of str
        Error flags that were set, as in the register ERRORS.
    """

    def __init__(self, sequence: int, names: list[str]):
        super().__init__(f"sequence {sequence}: {', '.join(names) or 'error'}")
        self.sequence, self.names = sequence, names


class ImageError(DeviceError):
    """A network answers an image as a bad one: its packet had more or fewer pixels than an image.

    Or its parameters are spoilt.

    Parameters
    ----------
    image : int
        Number of the image in the call.
    folder : str
        Of the network that was to answer.
    spoilt : bool
        Whether parameters are.
    """

    def __init__(self, image: int, folder: str, spoilt: bool = False):
        super().__init__(
            f"image {image}: the parameters of the network are spoilt; load them" if spoilt else
            f"image {image}: the network finds its size wrong; reset it, in case part of an image "
            f"was left in it, and check that the bitstream is that of {folder}"
        )
        self.image, self.spoilt = image, spoilt


class LoadError(DeviceError):
    """A network refuses parameters.

    Parameters
    ----------
    name : str
        Of the answer, as the manifest has it: CHECKSUM, LENGTH or OTHER_DESIGN.
    folder : str
        Of the network.
    """

    def __init__(self, name: str, folder: str):
        super().__init__(
            f"parameters: {name}; load those that 'ecoformer generate --network' writes for the "
            f"design of {folder}"
        )
        self.name = name


class TokenError(DeviceError):
    """A decoder answers a token with an error; its context is lost from then on.

    Parameters
    ----------
    token : int
        Number of the token in the call.
    name : str
        Of the error, as the manifest has it: CONTEXT_LOST, TOO_LONG, NO_TOKEN or NO_PARAMETERS.
    """

    def __init__(self, token: int, name: str):
        remedy = "load them" if name == "NO_PARAMETERS" else "begin its context again"
        super().__init__(f"token {token}: {name}; {remedy}")
        self.token, self.name = token, name
