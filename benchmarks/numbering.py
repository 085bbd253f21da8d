# SPDX-License-Identifier: Apache-2.0
"""ANARCII, an encoder-decoder that numbers the residues of antibodies, from its package's files.

Greenshields-Watson et al.: residues in, a chain type and an IMGT number for each of them out.
"""

import importlib.util
import json
from pathlib import Path

import torch
from torch import nn

from benchmarks.packages import download

__all__ = ["END", "Numbering", "encoded", "load", "misheard", "numbered"]

PACKAGE = "anarcii==2.0.8"
WEIGHTS = "models/antibody/antibody_4_{layers}_128_512"
"""With one layer that of the mode ``speed``, with two that of ``accuracy``."""
RESIDUES = ["<PAD>", "<SOS>", "<EOS>", "<SKIP>", *"ACDEFGHIKLMNPQRSTVWXY"]
PAD, START, END, SKIP = range(4)
"""The same tokens of residues and of numbers; 4…131 are the numbers 1…128, 132 an insertion."""
INSERTION = 132


class Numbering(nn.Module):
    """The network with its two halves in one call, as it is trained; and as it is used.

    Parameters
    ----------
    network : Module
        As in the package.

    Members
    -------
    misled : bool
        Whether :meth:`forward` is told ``heard`` and not ``target``.
    """

    def __init__(self, network: nn.Module):
        super().__init__()
        self.network = network
        self.misled = False

    def forward(
        self, source: torch.Tensor, target: torch.Tensor, heard: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Logits [B, N, tokens] of what follows each token of ``target`` [B, N].

        ``heard`` is what it is said to have answered so far instead, mistakes included.
        """
        target = heard if self.misled and heard is not None else target
        hidden = self.network.make_src_mask(source)
        padding, later = self.network.make_trg_mask(target)
        states = self.network.encoder(source, hidden)
        return self.network.decoder(target, states, padding, later, hidden)[0]

    @torch.no_grad()
    def decode(self, source: torch.Tensor) -> torch.Tensor:
        """Tokens [B, N + 1] token by token, the most likely one each time, with a cache."""
        hidden = self.network.make_src_mask(source)
        states, cache = self.network.encoder(source, hidden), None
        tokens = source[:, :1]
        for _ in range(source.shape[1]):
            padding, later = self.network.make_trg_mask(tokens)
            logits, cache = self.network.decoder(
                tokens[:, -1:], states, padding, later, hidden, cache
            )
            tokens = torch.cat([tokens, logits[:, -1:].argmax(-1)], 1)
        return tokens


def load(layers: int) -> Numbering:
    """The pretrained network with one layer in each half, or with two."""
    folder = download(PACKAGE) / "anarcii"
    code = _module(folder / "inference" / "model.py")
    name = WEIGHTS.format(layers=layers)
    shape = json.loads((folder / f"{name}.json").read_text())
    width, device = shape["HID_DIM"], torch.device("cpu")
    sizes = width, shape["LAYERS"], shape["HEADS"], 4 * width, shape["DROPOUT"], device
    halves = code.Encoder(shape["INPUT_DIM"], *sizes), code.Decoder(shape["OUTPUT_DIM"], *sizes)
    network = code.S2S(*halves, shape["SRC_PAD_IDX"], shape["TRG_PAD_IDX"], device)
    weights = torch.load(folder / f"{name}.pt", map_location=device, weights_only=True)
    network.load_state_dict(weights)
    return Numbering(network).eval()


def encoded(sequences: list[str], size: int) -> list[torch.Tensor]:
    """Tokens [size, N] of sequences of like length together, padded."""
    places = {residue: number for number, residue in enumerate(RESIDUES)}
    rows = [
        torch.tensor([START, *(places.get(x, places["X"]) for x in sequence), END])
        for sequence in sorted(sequences, key=len)
    ]
    return [
        nn.utils.rnn.pad_sequence(rows[i : i + size], batch_first=True, padding_value=PAD)
        for i in range(0, len(rows), size)
    ]


def numbered(source: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
    """Which residues have a number or are an insertion, as ``tokens`` say: bool [B, N - 1].

    Residue i has token i + 2, after the start and the type of the chain.
    """
    residues = source[:, 1:]
    given = tokens[:, 2:]
    before_end = (tokens[:, 1:-1] == END).cumsum(1) == 0
    has = (given > SKIP) & (given <= INSERTION)
    return has & before_end & (residues != PAD) & (residues != END)


def misheard(target: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """``target`` [B, N] with mistakes such as a decoder goes on from, about two in three rows.

    From some place to another, numbers are up to four too high or too low, or residues skipped that
    have one; the first residues have a number or other ones; single tokens are anything.
    """
    rows, length = target.shape
    places = torch.arange(length)[None]

    def drawn(low, high, shape=(rows, 1)):
        return torch.randint(low, high, shape, generator=generator)

    def happens(rate, shape=(rows, 1)):
        return torch.rand(shape, generator=generator) < rate

    def spans(first, longest):
        return (places >= first) & (places < first + drawn(1, longest))

    heard = target.clone()
    first, last = SKIP + 1, INSERTION - 1
    for _ in range(2):
        wrong = happens(0.35) & spans(drawn(2, length), length) & _numbers(heard)
        heard = torch.where(wrong, (heard + drawn(-4, 5)).clamp(first, last), heard)
    start = torch.where(happens(0.5), 2, drawn(2, length))
    wrong = happens(0.2) & spans(start, 40) & _numbers(heard)
    heard = torch.where(wrong, SKIP, heard)
    wrong = happens(0.15) & spans(2, 12) & (_numbers(heard) | (heard == SKIP))
    heard = torch.where(wrong, places + drawn(SKIP, 30), heard)
    wrong = happens(0.02, heard.shape) & (_numbers(heard) | (heard == SKIP))
    return torch.where(wrong, drawn(SKIP, INSERTION, heard.shape), heard)


def _numbers(tokens):
    return (tokens > SKIP) & (tokens < INSERTION)


def _module(path: Path):
    """A module of the package without the rest of it, which wants libraries that are not needed."""
    spec = importlib.util.spec_from_file_location("anarcii_network", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
