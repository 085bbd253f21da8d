# SPDX-License-Identifier: Apache-2.0
"""By what a host recognises a network on a board: constants where engines have registers."""

import hashlib

from ecoformer import __version__
from ecoformer.spec.array_file import array_checksum
from ecoformer.spec.network.image import NetworkImage
from ecoformer.spec.network.packet import parameter_header
from ecoformer.spec.network.transformer import Transformer
from ecoformer.spec.registers import REGISTERS, version_word

__all__ = ["NETWORK_IDENTITY", "as_registers", "identity", "offsets"]

NETWORK_IDENTITY = int.from_bytes(b"ECON", "big")


def identity(design: Transformer, image: NetworkImage) -> dict[str, int]:
    """Constant registers of a network on a board: dict name → 32-bit integer.

    ``FINGERPRINT`` is of the design and of every parameter, because both are in the bitstream; or
    where other parameters can be loaded, of the design and its memories.
    """
    if design.loadable:
        text = parameter_header(design).hex()
    else:
        text = f"{design.fingerprint} {array_checksum(image.arrays)}"
    return {
        "ID": NETWORK_IDENTITY,
        "VERSION": version_word(__version__),
        "FINGERPRINT": int(hashlib.sha256(text.encode()).hexdigest()[:8], 16),
    }


def offsets(values: dict[str, int]) -> dict[int, int]:
    """The same by byte offset, which is that of an engine's register of the same name."""
    return {REGISTERS[name].offset: value for name, value in values.items()}


def as_registers(values: dict[str, int]) -> list[dict[str, str | int]]:
    """The same for a manifest: name, byte offset and value of each."""
    return [
        {"name": name, "offset": REGISTERS[name].offset, "value": value}
        for name, value in values.items()
    ]
