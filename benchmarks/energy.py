"""Operations and energy of the networks of the paper, from their shapes, beside what it says."""

import argparse

from benchmarks.results import write_section
from ecoformer.cli.energy import energy
from ecoformer.golden.energy.named import PUBLISHED


def main():
    argparse.ArgumentParser(description=__doc__).parse_args()
    paper, honest = [], []
    for figures in energy("all")["networks"]:
        for arm, label in (("softmax", "softmax"), ("ecoformer", "EcoFormer")):
            published = PUBLISHED[arm].get(figures["name"])
            result = figures["accountings"]["paper"]
            paper.append([
                figures["name"], label, *_triple(result[arm]["network"]),
                *(published or ["", "", ""]), _saved(result) if arm == "ecoformer" else "",
            ])  # fmt: skip
        result = figures["accountings"]["honest"]
        attention, network = (
            [result[arm][scope]["energy_pj"] for arm in ("softmax", "ecoformer")]
            for scope in ("attention", "network")
        )
        honest.append([
            figures["name"], *(f"{value / 1e9:.2f}" for value in attention),
            f"{attention[0] / attention[1]:.1f}×", *(f"{value / 1e9:.2f}" for value in network),
            _saved(result), result["cheaper_from_tokens"],
        ])  # fmt: skip
    write_section(
        "Operations and energy, the paper's accounting", "make bench-energy", "none",
        ["network", "attention", "Mul (B)", "Add (B)", "energy (B pJ)", "published Mul",
         "published Add", "published energy", "energy saved"],
        paper,
    )  # fmt: skip
    write_section(
        "Energy, the honest accounting", "make bench-energy", "none",
        ["network", "attention, softmax (B pJ)", "attention, EcoFormer", "ratio",
         "network, softmax (B pJ)", "network, EcoFormer", "energy saved",
         "attention cheaper from (tokens)"],
        honest,
    )  # fmt: skip


def _triple(totals):
    return [
        f"{totals[key] / 1e9:.2f}" for key in ("multiplications", "additions", "energy_pj")
    ]


def _saved(result):
    softmax, ecoformer = (result[arm]["network"]["energy_pj"] for arm in ("softmax", "ecoformer"))
    return f"{1 - ecoformer / softmax:.0%}"


if __name__ == "__main__":
    main()
