# SPDX-License-Identifier: Apache-2.0
"""Digests of everything an engine is made of: nothing moves or is renamed without proof of it.

``python -m tests.digests`` compares with ``digests.json``, engine by engine and part by part, and
the Verilog of the example networks; ``--record`` writes it again, for a change of the bits or of
the Verilog that is meant.
"""

import argparse
import hashlib
import json
import sys
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

import numpy as np

from benchmarks import characters, networks
from benchmarks.engines import MEASURED
from ecoformer.golden.integer.attention import attend
from ecoformer.golden.integer.hashing import hash_tokens
from ecoformer.hw.emit.manifest import manifest
from ecoformer.hw.emit.network import emit_network
from ecoformer.hw.emit.verilog import emit
from ecoformer.presets import PRESETS
from ecoformer.spec.config import Config
from ecoformer.spec.memory_map import MemoryMap
from ecoformer.spec.network.image import NetworkImage
from ecoformer.spec.network.load import load_design
from ecoformer.spec.register_export import as_json, as_markdown, c_header, svd
from tests.matrix import edge_configs, trial

RECORD = Path(__file__).with_name("digests.json")
NAME = "ecoformer_engine"
NETWORK = "ecoformer_network"
REGISTER_FILES = (c_header, svd, as_json, as_markdown)


def engines():
    """Every engine that is watched: dict name → Config; presets, edges, and what is measured."""
    presets = {f"preset {name}": Config.load(name) for name in PRESETS}
    measured = {f"measured {name}": config for name, config in MEASURED.items()}
    return presets | edge_configs() | measured


def parts(config, verilog=True):
    """Digests of one engine's Verilog, manifest, register files and integer-model vectors."""
    return ({"verilog": verilog_digest(config)} if verilog else {}) | {
        "manifest": _digest(json.dumps(manifest(config, NAME))),
        "registers": _digest(*(form(config, NAME) for form in REGISTER_FILES)),
        "vectors": _digest(*_vectors(config)),
    }


def example_networks():
    """Every whole network that is watched: dict name → its folder."""
    folders = networks.EXAMPLES | characters.EXAMPLES
    return {f"network {name}": folder for name, folder in folders.items()}


def network_parts(folder):
    """Digest of the Verilog of a network with its parameters."""
    design = load_design(folder / "network.toml")
    image = NetworkImage.load(folder / "network.safetensors", design)
    return {"verilog": _digest(emit_network(design, image, NETWORK))}


def verilog_digest(config):
    """Digest of one engine's Verilog."""
    return _digest(emit(config, name=NAME))


def _vectors(config):
    """A random image as it is loaded, and what the integer model makes of random sequences."""
    image, workload = trial(config, np.random.default_rng(0), 4)
    for index in range(image.sets):
        yield json.dumps(MemoryMap(config).load_words(image, index))
    for index, tokens, values, *queries in workload.sequences():
        codes = hash_tokens(config, image, index, tokens, config.wire.inlets[0])
        yield from (tokens, values, codes, *queries)
        yield from attend(config, image, index, tokens, values, *queries)


def _digest(*pieces):
    digest = hashlib.sha256()
    for piece in pieces:
        if not isinstance(piece, str):
            piece = json.dumps(np.asarray(piece).astype(np.int64).tolist())
        digest.update(piece.encode())
    return digest.hexdigest()[:16]


def main():
    options = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    options.add_argument("--record", action="store_true", help="Keep what is found.")
    options.add_argument("-n", "--workers", type=int, default=2)
    options = options.parse_args()
    digests = {}
    with ProcessPoolExecutor(options.workers) as pool:
        jobs = {pool.submit(parts, config): name for name, config in engines().items()} | {
            pool.submit(network_parts, folder): name
            for name, folder in example_networks().items()
        }
        for job in as_completed(jobs):
            digests[jobs[job]] = job.result()
            print(f"{len(digests)} of {len(jobs)}: {jobs[job]}", file=sys.stderr)
    if options.record:
        rows = (f"{json.dumps(name)}: {json.dumps(digests[name])}" for name in jobs.values())
        RECORD.write_text("{\n" + ",\n".join(rows) + "\n}\n")
        return 0
    known = json.loads(RECORD.read_text())
    changed = [
        f"{name}: {part}"
        for name in known | digests
        for part in ("verilog", "manifest", "registers", "vectors")
        if known.get(name, {}).get(part) != digests.get(name, {}).get(part)
    ]
    print("\n".join(changed) or f"{len(digests)} engines and networks, every digest as recorded")
    return bool(changed)


if __name__ == "__main__":
    sys.exit(main())
