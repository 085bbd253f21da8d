# SPDX-License-Identifier: Apache-2.0
"""Antibody sequences: recombined from germline genes, to learn from, and real ones, to measure on.

Genes are those of OGRDB and real antibodies those sequenced by others, as the package abstar (MIT)
carries both.
"""

import random
import re
from collections.abc import Iterator
from pathlib import Path

from benchmarks.packages import download

__all__ = ["JUNCTION", "LONG_JUNCTION", "real_antibodies", "recombined"]

SOURCE = "abstar==0.8.0"
SPECIES = ("human", "c57bl6", "balbc", "macaque")
CHAINS = {"IGH": 0.5, "IGK": 0.25, "IGL": 0.25}
"""Chains, and how often each is drawn."""
MEASURED = ("test_1k", "test_hiv_bnab_hcs", "test_hiv_bnab_lcs")
"""Human antibodies of one donor, most of them without their first residues, and antibodies against
HIV, which are mutated most of all."""
CODONS = {
    a + b + c: amino
    for (a, b, c), amino in zip(
        ((a, b, c) for a in "TCAG" for b in "TCAG" for c in "TCAG"),
        "FFLLSSSSYY**CC*WLLLLPPPPHHQQRRRRIIIMTTTTNNKKSSRRVVVVAAAADDEEGGGG",
    )
}
AMINO = "ACDEFGHIKLMNPQRSTVWY"
IN_JUNCTIONS = AMINO + 4 * "GY" + 3 * "SDR" + 2 * "TAVWP"
"""Residues between V and J, as often as they are drawn."""
JUNCTION = {"IGH": (2, 18), "IGK": (0, 3), "IGL": (0, 4)}
"""Fewest and most of them, usually."""
LONG_JUNCTION = {"IGH": (2, 36), "IGK": (0, 6), "IGL": (0, 8)}
"""With the longest that are known, which are numbered by other rules."""
SHORTEST, LONGEST = 85, 170
"""Residues of a sequence."""


def recombined(count: int, seed: int, junctions: dict = JUNCTION) -> list[str]:
    """Antibodies that nobody has: a V gene, a junction and a J gene, mutated, cut and extended.

    Up to a fifth of the residues are exchanged, at random; one in eight sequences has a residue or
    a few more or less somewhere. Half of them lack their beginning, some have a piece of what comes
    before or after in the protein.
    """
    chance = random.Random(seed)
    genes = _genes()
    return [_recombine(chance, genes, junctions) for _ in range(count)]


def real_antibodies(seed: int) -> list[str]:
    """Distinct variable domains in random order, about a thousand."""
    found = dict.fromkeys(
        protein for name in MEASURED for protein in _proteins(_folder() / f"test_data/{name}.fasta")
    )
    sequences = list(found)
    random.Random(seed).shuffle(sequences)
    return sequences


def _recombine(chance, genes, junctions):
    while True:
        chain = chance.choices([*CHAINS], [*CHAINS.values()])[0]
        species = chance.choice(SPECIES)
        v, j, c = (chance.choice(genes[species, chain, segment]) for segment in "VJC")
        junction = chance.choices(IN_JUNCTIONS, k=chance.randint(*junctions[chain]))
        residues = [*v[: len(v) - chance.randint(0, 2)], *junction, *j[chance.randint(0, 3) :]]
        rate = chance.uniform(0, 0.2)
        residues = [chance.choice(AMINO) if chance.random() < rate else x for x in residues]
        if chance.random() < 0.125:
            place, length = chance.randrange(20, len(residues) - 10), chance.randint(1, 5)
            more = chance.choices(AMINO, k=length)
            residues[place : place + length * chance.randint(0, 1)] = more[: chance.randint(0, 5)]
        if chance.random() < 0.5:
            residues = residues[chance.randint(0, 30) :]
        elif chance.random() < 0.3:
            residues = chance.choices(AMINO, k=chance.randint(1, 20)) + residues
        if chance.random() < 0.4:
            residues += c[: chance.randint(1, 20)]
        elif chance.random() < 0.3:
            residues = residues[: len(residues) - chance.randint(1, 6)]
        if SHORTEST <= len(residues) <= LONGEST:
            return "".join(residues)


def _genes():
    """Proteins of all genes by (species, chain, segment)."""
    genes: dict[tuple, list[str]] = {}
    for species in SPECIES:
        folder = _folder() / "germline_dbs" / "bcr" / species / "ungapped"
        for segment in "VJC":
            for name, bases in _records(folder / f"{segment.lower()}.fasta"):
                protein = _translate(bases) if segment == "V" else _in_frame(bases, segment)
                if protein and "*" not in protein:
                    genes.setdefault((species, name[:3], segment), []).append(protein)
    for (_, chain, segment), proteins in list(genes.items()):
        for species in SPECIES:  # some lack constant regions
            genes.setdefault((species, chain, segment), proteins)
    return genes


def _in_frame(bases, segment):
    """A J gene in the frame of its motif, a constant region in one without a stop."""
    for frame in range(3):
        protein = _translate(bases[frame:])
        if "*" not in protein[:30] and (segment == "C" or re.search("[WF]G.G", protein)):
            return protein[:30]
    return None


def _proteins(path) -> Iterator[str]:
    """The variable domains of a file, in the one frame that has the conserved residues."""
    for _, bases in _records(path):
        for frame in range(3):
            protein = re.split(r"[*?]", _translate(bases[frame:]))
            domain = max(protein, key=len)
            if re.search("C.{8,24}W.{50,90}C", domain) and re.search("[WF]G.G", domain):
                if SHORTEST <= len(domain) <= LONGEST:
                    yield domain


def _translate(bases):
    bases = bases.upper()
    codons = (bases[i : i + 3] for i in range(0, len(bases) - 2, 3))
    return "".join(CODONS.get(codon, "?") for codon in codons)


def _records(path: Path) -> Iterator[tuple[str, str]]:
    for record in path.read_text().split(">")[1:]:
        name, *lines = record.splitlines()
        yield name, "".join(lines)


def _folder():
    return download(SOURCE) / "abstar"
