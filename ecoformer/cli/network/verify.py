# SPDX-License-Identifier: Apache-2.0
"""``ecoformer verify`` of a whole network: its Verilog against the integer network."""

from collections.abc import Sequence
from pathlib import Path

import typer
from rich.table import Table

from ecoformer.cli.common import make_console, write_json
from ecoformer.cli.network.folder import NetworkFolder
from ecoformer.errors import EcoformerError
from ecoformer.progress import show_progress
from ecoformer.spec.network.design import NetworkDesign

__all__ = ["verify_network_in"]

MOST_BYTES = 1 << 30
"""Of what all layers make of the images."""
OF_AN_ELEMENT = 24
"""Bytes of an element of a layer: as it was sent, the cycle, and what the integer network says."""
SHOWN = 20
"""Mismatches printed; the JSON file holds them all."""
FULL_ROUNDS = 4
"""Times the random part with --full."""
FULL_PARAMETER_SETS = 2
"""Networks with other parameters with --full."""
COLUMNS = ("scenes", "images", "bad", "loads", "resets", "scores", "elements", "cycles")


def verify_network_in(
    network: NetworkFolder,
    images: Path | None,
    *,
    quick: bool,
    full: bool,
    phases: Sequence[str] | None,
    random: int,
    stall: float,
    seed: int,
    json_file: Path | None,
) -> None:
    """Verify the network of a folder, print what was compared, and exit 1 if it differs."""
    from ecoformer.sim.network.subjects import phases_of, random_stimuli
    from ecoformer.sim.network.verification import PARAMETERS, verify_network

    every = phases_of(network.design)
    known = (*every, PARAMETERS)
    if unknown := set(phases or ()) - {*known}:
        raise EcoformerError(f"--phase {sorted(unknown)[0]}: choose {', '.join(known)}")
    chosen = phases or (every[:1] if quick else every)
    others = FULL_PARAMETER_SETS if full and not phases or PARAMETERS in (phases or ()) else 0
    if random:
        _check_number(network, random)
        stimuli = random_stimuli(network.design, seed, random)
    else:
        stimuli = network.stimuli(images)
        _check_number(network, len(stimuli))
    with show_progress() as progress:
        result = verify_network(
            network.design, network.image, network.verilog, stimuli,
            phases=[phase for phase in chosen if phase != PARAMETERS],
            rounds=FULL_ROUNDS if full else 1, parameter_sets=others, stall=stall, seed=seed,
            build_dir=network.build_dir, progress=progress,
        )
    write_json(json_file, {"seed": seed, **result.as_dict()})
    _show(network, result, seed)
    for mismatch in result.mismatches[:SHOWN]:
        print(mismatch)
    if len(result.mismatches) > SHOWN:
        print(f"… and {len(result.mismatches) - SHOWN} more; --json FILE holds them all")
    if not result.ok:
        options = {
            "--phase": next((p.name for p in result.phases if p.mismatches), None),
            "--seed": seed, "--full": "" if full else None, "-w": images,
            "--random": random or None, "--stall": stall or None,
        }
        again = [f"{name} {value}".strip() for name, value in options.items() if value is not None]
        print("The first phase that differs, again:", "ecoformer verify", network.folder, *again)
        raise typer.Exit(1)


def _check_number(network, images):
    """Refuse more images than fit in memory with what all layers make of them."""
    d = network.design
    of_a_token = d.depth * (d.width * (7 + d.vectors) + 2 * d.hidden) + 2 * d.width
    tokens = d.tokens if isinstance(d, NetworkDesign) else 1
    most = max(1, MOST_BYTES // (OF_AN_ELEMENT * tokens * of_a_token))
    if images > most:
        raise EcoformerError(
            f"{images:,} {d.packet}s: must be at most {most:,} for this network, because every "
            "element of every layer is held; verify in several runs"
        )


def _show(network, result, seed):
    title = f"Verification of {network.verilog.name}, seed {seed}"
    table = Table(title=title, title_justify="left")
    table.add_column("phase", style="bold")
    what = network.design.packet
    for column in (*COLUMNS, "mismatches"):
        table.add_column(f"{what}s" if column == "images" else column, justify="right")
    for phase in result.phases:
        counts = [getattr(phase, name) for name in COLUMNS]
        table.add_row(phase.name, *(f"{count:,}" for count in (*counts, len(phase.mismatches))))
    table.add_section()
    totals = [sum(getattr(phase, name) for phase in result.phases) for name in COLUMNS]
    table.add_row(
        "bit-exact" if result.ok else "DIFFERENT",
        *(f"{total:,}" for total in (*totals, len(result.mismatches))),
    )
    make_console().print(table)
    if result.cycles_per_image is not None:
        print(f"cycles per {what}, measured: {result.cycles_per_image:,.1f}")
    if result.latency is not None:
        print(f"cycles from {network.design.first_and_last}: {result.latency:,}")
