# SPDX-License-Identifier: Apache-2.0
"""Atom mapping from attention: which atom of the reactants each atom of a product was.

Schwaller et al., "Extraction of organic chemistry grammar from unsupervised learning of chemical
reactions", Science Advances 2021: one head of a transformer trained on reactions as text attends
from every atom to the same atom on the other side of the arrow.
"""

import csv
import random
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rdkit import Chem, RDLogger

__all__ = ["Reaction", "map_atoms", "read_reactions", "share_mapped"]

RDLogger.DisableLog("rdApp.*")
TOKEN = re.compile(r"\[[^\]]+\]|Br|Cl|[BCNOSPFIbcnosp]|>>|%[0-9]{2}|[0-9]|[-().=#+\\/:~@?*$]")
NEIGHBOUR = 90.0
"""Factor of the neighbours of atoms already mapped, as published."""


@dataclass(frozen=True)
class Reaction:
    """One reaction without its atom numbers, and those numbers.

    Parameters
    ----------
    tokens : list of str
        Of the SMILES text reactants>>products.
    sides : tuple of str
        Reactants and products.
    numbers : tuple of int array
        Of every atom of the two sides in the order of the text; 0 where an atom has none.
    """

    tokens: list[str]
    sides: tuple[str, str]
    numbers: tuple[np.ndarray, np.ndarray]


def read_reactions(path: Path, longest: int, seed: int) -> Iterator[Reaction]:
    """Yield the reactions of a table, shuffled, that have at most ``longest`` tokens."""
    with open(path, newline="") as file:
        rows = [row["RxnSmilesClean"] for row in csv.DictReader(file, delimiter="\t")]
    random.Random(seed).shuffle(rows)
    for row in rows:
        sides = [_without_numbers(side) for side in row.split(">>")]
        if None in sides:
            continue
        (reactants, of_reactants), (products, of_products) = sides
        text = f"{reactants}>>{products}"
        tokens = TOKEN.findall(text)
        if "".join(tokens) == text and len(tokens) <= longest:
            yield Reaction(tokens, (reactants, products), (of_reactants, of_products))


def _without_numbers(side):
    """Canonical SMILES and the numbers its atoms had; None if it cannot be read."""
    molecules = Chem.MolFromSmiles(side)
    if molecules is None:
        return None
    numbers = np.array([atom.GetAtomMapNum() for atom in molecules.GetAtoms()])
    for atom in molecules.GetAtoms():
        atom.SetAtomMapNum(0)
    text = Chem.MolToSmiles(molecules)
    order = molecules.GetPropsAsDict(includePrivate=True, includeComputed=True)
    return text, numbers[list(order["_smilesAtomOutputOrder"])]


def map_atoms(weights: np.ndarray, reaction: Reaction) -> np.ndarray:
    """For every atom of the products, the atom of the reactants it was, or -1; int array.

    Parameters
    ----------
    weights : array [N, N]
        Attention of every token to every other; a start token precedes the text.
    reaction : Reaction
    """
    arrow = reaction.tokens.index(">>") + 1
    atoms = [i + 1 for i, t in enumerate(reaction.tokens) if t[0].isalpha() or t[0] in "[*"]
    reactants = [i for i in atoms if i < arrow]
    products = [i for i in atoms if i > arrow]
    likely = weights[np.ix_(products, reactants)] + weights[np.ix_(reactants, products)].T
    (bonds_r, elements_r), (bonds_p, elements_p) = (_graph(side) for side in reaction.sides)
    likely = likely * (elements_p[:, None] == elements_r)
    mapping = np.full(len(products), -1)
    for _ in products:  # the surest first; each makes its neighbours surer
        total = likely.sum(1, keepdims=True)
        share = np.divide(likely, total, out=np.zeros_like(likely), where=total > 0)
        product, reactant = np.unravel_index(share.argmax(), share.shape)
        if share[product, reactant] == 0:
            break
        mapping[product] = reactant
        likely[np.ix_(bonds_p[product], bonds_r[reactant])] *= NEIGHBOUR
        likely[product, :] = likely[:, reactant] = 0
    return mapping


def _graph(side):
    molecules = Chem.MolFromSmiles(side, sanitize=False)
    elements = np.array([atom.GetAtomicNum() for atom in molecules.GetAtoms()])
    return Chem.GetAdjacencyMatrix(molecules).astype(bool), elements


def share_mapped(mappings: Iterable[np.ndarray], reactions: Iterable[Reaction]) -> float:
    """Share of the products' numbered atoms that are mapped as their numbers say."""
    right = numbered = 0
    for mapping, reaction in zip(mappings, reactions, strict=True):
        of_reactants, of_products = reaction.numbers
        same = (of_reactants[mapping] == of_products) & (mapping >= 0)
        right += same[of_products > 0].sum()
        numbered += (of_products > 0).sum()
    return right / numbered
