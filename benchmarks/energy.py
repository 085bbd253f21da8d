# SPDX-License-Identifier: Apache-2.0
"""Operations and energy of the paper's networks, from their modules, beside the published figures.
"""

from benchmarks.results.section import arguments, begin
from ecoformer.cli.energy import energy
from ecoformer.golden.energy.named import PUBLISHED

__all__ = ["main"]


def main() -> None:
    run = begin(arguments(__doc__, seed=None))
    networks = energy("all")["networks"]
    paper = [row for figures in networks for row in _paper(figures)]
    run.write_section(
        "energy", "paper", "The paper's accounting",
        ["network", "attention", "Mul (B)", "Add (B)", "energy (B pJ)", "published Mul",
         "published Add", "published energy", "energy saved"],
        paper,
        headline=f"{networks[0]['name']}: {paper[1][-1]} of the network's energy saved "
        f"(paper's accounting), {_saved(networks[0]['accountings']['honest'])} (honest accounting)",
    )
    run.write_section(
        "energy", "honest", "The honest accounting",
        ["network", "attention, softmax (B pJ)", "attention, EcoFormer", "ratio",
         "network, softmax (B pJ)", "network, EcoFormer", "energy saved",
         "attention cheaper from (tokens)"],
        [_honest(figures) for figures in networks],
    )


def _paper(figures):
    """One row for softmax, one for EcoFormer."""
    result = figures["accountings"]["paper"]
    for arm, label in (("softmax", "softmax"), ("ecoformer", "EcoFormer")):
        published = PUBLISHED[arm].get(figures["name"], ("", "", ""))
        totals = result[arm]["network"]
        yield [
            figures["name"], label,
            *(f"{totals[key] / 1e9:.2f}" for key in ("multiplications", "additions", "energy_pj")),
            *published, _saved(result) if arm == "ecoformer" else "",
        ]


def _honest(figures):
    result = figures["accountings"]["honest"]
    attention, network = (
        [result[arm][scope]["energy_pj"] for arm in ("softmax", "ecoformer")]
        for scope in ("attention", "network")
    )
    return [
        figures["name"], *(f"{value / 1e9:.2f}" for value in attention),
        f"{attention[0] / attention[1]:.1f}×", *(f"{value / 1e9:.2f}" for value in network),
        _saved(result), result["cheaper_from_tokens"],
    ]


def _saved(result):
    softmax, ecoformer = (result[arm]["network"]["energy_pj"] for arm in ("softmax", "ecoformer"))
    return f"{1 - ecoformer / softmax:.0%}"


if __name__ == "__main__":
    main()
