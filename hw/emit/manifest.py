# amaranth: UnusedElaboratable=no
# SPDX-License-Identifier: Apache-2.0
"""The manifest: what integrators and scripts need to know about a generated engine."""

from dataclasses import asdict

from ecoformer import __version__
from ecoformer.hw.engine.top import Top
from ecoformer.spec.arithmetic import Arithmetic
from ecoformer.spec.config import Config
from ecoformer.spec.memory_map import MemoryMap
from ecoformer.spec.stream_export import as_dict
from ecoformer.spec.units import units

__all__ = ["manifest"]

SET_SWITCH_CYCLES = 0
"""Packets carry their parameter slot with them, so changing the set never costs a cycle."""


def manifest(config: Config, name: str = "ecoformer_engine") -> dict:
    """Description of the engine as JSON-ready values.

    Parameters
    ----------
    config : Config
    name : str
        Name of the top module.

    Returns
    -------
    dict
        Fingerprint and configuration; pins with direction and width; what the streams carry;
        widths of every quantity;
        parameter memories; lanes of each unit of one engine, its steps per token and its work;
        latency and cycle formulas.
    """
    top = Top(config)
    k = config.cycles_per_token
    bits = Arithmetic(config)
    widths = sorted(n for n in dir(type(bits)) if n.endswith("_width"))
    description = {
        "name": name,
        "version": __version__,
        "fingerprint": config.fingerprint,
        "bits_fingerprint": config.bits_fingerprint,
        "config": asdict(config),
        "pins": [
            {"name": pin, "direction": member.flow.name.lower(), "width": member.shape}
            for pin, member in top.signature.members.items()
        ],
        "streams": as_dict(config),
        "widths": {n: getattr(bits, n) for n in widths},
        "parameter_memories": [
            {
                "region": region.index,
                "name": region.name,
                "rows": region.rows,
                "lanes": region.lanes,
                "lane_bits": region.lane_bits,
            }
            for region in MemoryMap(config).regions.values()
        ],
        "units": {unit: asdict(what) for unit, what in units(config).items()},
        "set_switch_cycles": SET_SWITCH_CYCLES,
    }
    if top.engine.datapath.full_rate_tokens is not None:
        description["cycles"] = {
            "per_token": config.steady_cycles,
            "full_rate_tokens": top.engine.datapath.full_rate_tokens,
            "isolated_sequence": f"{config.flow.slots}*{k} + {top.engine.latency}",
            "isolated_overhead": top.engine.latency,
            **config.flow.published,
        }
    return description
