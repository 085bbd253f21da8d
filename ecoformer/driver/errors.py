# SPDX-License-Identifier: Apache-2.0
"""What a driver reports."""

__all__ = ["DeviceError", "EngineError", "LinkError", "RefusedError"]


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
