# SPDX-License-Identifier: Apache-2.0
"""The design in a file, whichever kind of network it is."""

from pathlib import Path

from ecoformer.errors import EcoformerError
from ecoformer.presets import find_config
from ecoformer.spec.config_file import read_toml
from ecoformer.spec.network.decoder import DecoderDesign
from ecoformer.spec.network.design import NetworkDesign

__all__ = ["Design", "load_design"]

Design = NetworkDesign | DecoderDesign
"""A network on the chip."""
TRAINED = "network"
"""Table of a float network, whose shape the tables of a network on the chip take over."""


def load_design(path: str | Path) -> Design:
    """The network of the TOML file ``path``: a decoder if it has the table ``[decoder]``.

    Raises
    ------
    EcoformerError
        The file cannot be read, describes two networks, or a key or value is refused.
    """
    file, tables = find_config(path), read_toml(path)
    shape = tables.get(DecoderDesign.table, tables.get(NetworkDesign.table))
    if TRAINED in tables and not (isinstance(shape, dict) and "width" in shape):
        raise EcoformerError(
            f"{file}: [{TRAINED}] is a network to be trained, not yet one on the chip; give the "
            "network.toml that 'ecoformer export --network' writes"
        )
    if DecoderDesign.table not in tables:
        return NetworkDesign.load(path)
    if NetworkDesign.table in tables:
        raise EcoformerError(
            f"{file}: [{NetworkDesign.table}] is for images and [{DecoderDesign.table}] for text; "
            "keep one of them"
        )
    return DecoderDesign.load(path)
