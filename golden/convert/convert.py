"""Any transformer, converted: its attention replaced by EcoFormer attention with learned hashes.

The network's own weights stay as they are. Hashes are learned layer by layer on what the layers
before, already replaced, produce; then, if wanted, all together against the network's outputs.
"""

import json
from contextlib import nullcontext
from copy import deepcopy
from dataclasses import asdict
from pathlib import Path

import torch
from torch.nn.functional import normalize

from ecoformer.errors import EcoformerError, first_line
from ecoformer.files import write_atomic
from ecoformer.golden.attention import cores_of
from ecoformer.golden.attention_config import AttentionConfig
from ecoformer.golden.files import read_checked, state_digest, torch_bytes
from ecoformer.golden.learn.checkpoint import Checkpoint
from ecoformer.golden.learn.cuda_graphs import GraphedLoss, compiled
from ecoformer.golden.learn.descent import descend
from ecoformer.golden.learn.distill import (
    DistillConfig,
    distil_layer,
    distil_layers,
    exact_outputs,
    layer_loss,
    start_hashes,
)
from ecoformer.golden.networks.sites import Site, fill_sites, filled_sites, find_sites
from ecoformer.golden.recording import record
from ecoformer.progress import SILENT

__all__ = [
    "convert", "replace_attention", "learn_layers", "enough_batches", "refine", "run_model",
    "save_converted", "load_converted", "readout", "embedding", "everything", "hidden_states",
    "states_and_embedding", "READOUTS",
]


FEWEST = 4
"""Batches with which the search for how many are enough begins."""
ENOUGH = 0.01
"""Share of its held-out loss that a layer must lose with twice the data for it to be worth it."""


def convert(model, config, calibration, learning=None, seed=0, progress=SILENT, folder=None):
    """A copy of ``model`` with EcoFormer attention in place of every softmax attention.

    :func:`replace_attention`, then :func:`learn_layers`.

    Parameters
    ----------
    model : Module
        With ``torch.nn.MultiheadAttention``, :class:`golden.attention.SoftmaxAttention` or the
        attention interface of ``transformers``. Stays as it is.
    config : AttentionConfig
    calibration : list
        At least two batches, each what the model is called with: a dict of keyword arguments, a
        tuple of arguments, or one argument. The last of them are held out.
    learning : golden.learn.distill.DistillConfig or None
        Hyper-parameters; the defaults when None.
    seed : int
        The same seed gives the same hashes.
    progress : Progress
    folder : Path or None
        Where a checkpoint is kept, ``layers.pt``; a second call with the same arguments resumes
        from it.

    Returns
    -------
    Module
        In evaluation mode. It trains, and its hashes too after ``core.requires_grad_()`` for its
        :func:`golden.attention.cores_of`.

    Raises
    ------
    EcoformerError
        No attention that can be replaced, calibration data no hash can be learned from, or a
        checkpoint that is damaged or of other arguments.
    """
    learning = learning or DistillConfig()
    _split(model, learning, calibration)  # refused now, not after minutes
    converted = replace_attention(model, config, calibration[0], seed)
    learn_layers(converted, calibration, learning, seed, progress, folder)
    return converted


def replace_attention(model, config, batch, seed=0):
    """A copy of ``model`` with EcoFormer attention in place of every softmax attention.

    Its hashes are random, and ``exact`` is set: until a layer has learned, it computes softmax.

    Parameters
    ----------
    model, config, seed
        As in :func:`convert`.
    batch : dict, tuple or other
        One batch, to find the attention with.
    """
    model = deepcopy(model).eval()
    sites = find_sites(model, lambda: run_model(model, batch))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        cores = fill_sites(model, sites, config)
    for core in cores:
        core.exact = True
    return model


def learn_layers(model, calibration, learning, seed=0, progress=SILENT, folder=None):
    """Learn the hashes of a network of :func:`replace_attention`, in place, layer by layer.

    Parameters
    ----------
    model, calibration, learning, seed, progress, folder
        As in :func:`convert`.

    Returns
    -------
    list of list of float
        Held-out losses of every layer, in the order of use.
    """
    checkpoint = _checkpoint(folder, "layers", model, calibration, learning, seed, {})
    cores = cores_of(model)
    generator = torch.Generator().manual_seed(seed)

    def run():
        for batch in calibration:
            run_model(model, batch)

    targets = [exact_outputs(core, calls) for core, calls in zip(cores, record(cores, run))]
    names = [f"{type(model).__name__}, {site.path}" for site in filled_sites(model)]
    return distil_layers(cores, run, targets, learning, generator, names, progress, checkpoint)


def enough_batches(model, config, calibration, held_out, learning=None, seed=0, progress=SILENT):
    """How many batches of ``calibration`` are enough to learn hashes layer by layer.

    The attention in the middle of the network learns from 4, 8, 16, … batches until twice as many
    take less than :data:`ENOUGH` off its loss on ``held_out``.

    Parameters
    ----------
    model, config, learning, seed
        As in :func:`convert`.
    calibration, held_out : list
        Batches, at least two and at least one.
    progress : Progress
        Stage ``calibration batches``.

    Returns
    -------
    (int, list of (int, float))
        Batches, and the held-out loss with every number that was tried.
    """
    learning = learning or DistillConfig()
    _split(model, learning, calibration)
    model = replace_attention(model, config, calibration[0], seed)
    middle = len(cores_of(model)) // 2
    core, site = cores_of(model)[middle], filled_sites(model)[middle]

    def seen(batches):
        (calls,) = record([core], lambda: [run_model(model, batch) for batch in batches])
        return calls, exact_outputs(core, calls)

    judged = seen(held_out)
    tried = []
    count = min(FEWEST, len(calibration))
    while True:
        progress.update("calibration batches", count, len(calibration))
        calls, targets = seen(calibration[:count])
        generator = torch.Generator().manual_seed(seed)
        try:
            start_hashes(core, calls, generator)
            core.exact = False
            distil_layer(core, calls, targets, learning, generator)
            tried.append((count, layer_loss(core, *judged, learning)))
        except (ValueError, FloatingPointError) as error:
            raise EcoformerError(f"{type(model).__name__}, {site.path}: {error}") from error
        core.exact = True
        if len(tried) > 1 and tried[-1][1] > (1 - ENOUGH) * tried[-2][1]:
            return tried[-2][0], tried
        if count == len(calibration):
            return count, tried
        count = min(2 * count, len(calibration))


def refine(
    model, calibration, learning, read=None, seed=0, parameters=None, progress=SILENT, folder=None,
    original=None,
):  # fmt: skip
    """Train a converted network, without labels, to answer what the original answers.

    Within ``torch.autocast`` the network runs in its precision, all but the hashes. On a GPU a step
    is a :class:`golden.learn.cuda_graphs.GraphedLoss`: batches should have few different shapes.

    Parameters
    ----------
    model : Module
        Converted; trained in place.
    calibration : list
        Batches, as in :func:`convert`, where the model is.
    learning : DistillConfig
        ``steps``, ``lr`` and ``held_out`` count.
    read : callable or None
        ``read(output, batch)``: the Tensor [B, …] of an output that is to agree;
        :func:`readout` when None.
    seed : int
    parameters : list or None
        What is trained: Parameters, or groups of them with an ``lr`` of their own; every hash and
        offset when None, no other weight.
    progress : Progress
        Stage ``all hashes together``, or ``all weights`` where parameters are given.
    folder : Path or None
        Where a checkpoint is kept, ``together.pt``; a second call with the same arguments goes on
        from it.
    original : Module or None
        What is to be agreed with, where the model is; the model itself with softmax attention when
        None, which it is for as long as no other weight has been trained.

    Returns
    -------
    list of float
        Held-out losses: squared error over the square of the original's output.

    Raises
    ------
    EcoformerError
        Fewer than two batches, an output nothing can be read from, a loss that is not finite, or a
        checkpoint that is damaged or of other arguments.
    """
    read = read or readout
    more = {
        "trained": "hashes" if parameters is None else _sizes(parameters),
        "readout": getattr(read, "__qualname__", type(read).__name__),
        **({} if original is None else {"original": state_digest(original.state_dict())}),
    }
    checkpoint = _checkpoint(folder, "together", model, calibration, learning, seed, more)
    cores = cores_of(model)
    stage = "all hashes together" if parameters is None else "all weights"
    if parameters is None:
        parameters = [p for core in cores for p in core.parameters()]
    if original is None:
        original = deepcopy(model).requires_grad_(False)
        for core in cores_of(original):
            core.exact = True
    else:
        original = deepcopy(original).requires_grad_(False).eval()
    train, held_out = _split(model, learning, calibration)

    def loss(batch):
        with torch.no_grad():
            target = read(run_model(original, batch), batch).float()
        error = read(run_model(model, batch), batch).float() - target
        return error.square().sum() / target.square().sum()

    quick = nullcontext()
    if next(model.parameters()).is_cuda:
        loss, quick = GraphedLoss(model, loss), compiled(cores)

    def after_step():
        for core in cores:
            core.limit_offset()

    groups = parameters if isinstance(parameters[0], dict) else [{"params": parameters}]
    trained = {id(p) for group in groups for p in group["params"]}
    frozen = [p for p in model.parameters() if p.requires_grad and id(p) not in trained]
    for p in frozen:
        p.requires_grad_(False)
    try:
        with quick:
            return descend(
                groups, loss, train, held_out, steps=learning.steps, lr=learning.lr,
                generator=torch.Generator().manual_seed(seed), after_step=after_step,
                checkpoint=checkpoint, progress=progress, stage=stage,
            )
    except FloatingPointError as error:
        raise EcoformerError(f"{type(model).__name__}: {error}") from error
    finally:
        for p in frozen:
            p.requires_grad_(True)


def _checkpoint(folder, name, model, calibration, learning, seed, more):
    """Checkpoint of one stage, which belongs to the model and data that it started from."""
    if folder is None:
        return None
    inputs = [x for batch in calibration for x in _inputs(batch)]
    settings = {
        "learning": asdict(learning),
        "seed": seed,
        "model": state_digest(model.state_dict()),
        "calibration": state_digest({str(number): x for number, x in enumerate(inputs)}),
        **more,
    }
    return Checkpoint(Path(folder) / f"{name}.pt", settings)


def _sizes(parameters):
    """What tells one list of parameters from another: their number, by group."""
    if parameters and isinstance(parameters[0], dict):
        return [[len(group["params"]), group.get("lr")] for group in parameters]
    return len(parameters)


def everything(model, hash_lr, lr):
    """All parameters of a converted network for :func:`refine`, with peak learning rates."""
    hashes = [p for core in cores_of(model) for p in core.parameters()]
    own = {id(p) for p in hashes}
    others = [p for p in model.parameters() if id(p) not in own]
    return [{"params": hashes, "lr": hash_lr}, {"params": others, "lr": lr}]


def _inputs(batch):
    values = batch.values() if isinstance(batch, dict) else batch
    values = [values] if isinstance(values, torch.Tensor) else values
    return [x for x in values if isinstance(x, torch.Tensor)]


def _split(model, learning, batches):
    try:
        return learning.split(batches)
    except ValueError as error:
        raise EcoformerError(f"{type(model).__name__}: {error}") from error


def readout(output, batch):
    """The Tensor of a model's output: itself, its logits, or its last hidden state less padding."""
    if isinstance(output, torch.Tensor):
        return output
    for name in ("logits", "last_hidden_state"):
        if (found := getattr(output, name, None)) is not None:
            break
    else:
        raise EcoformerError(f"{type(output).__name__}: neither logits nor last_hidden_state in it")
    mask = batch.get("attention_mask") if isinstance(batch, dict) else None
    if mask is not None and found.shape[:2] == mask.shape:
        found = found * mask[..., None]
    return found


def embedding(output, batch):
    """Embeddings [B, width] of unit length: the mean of the last hidden state less padding."""
    tokens = readout(output, batch)
    if tokens.ndim != 3:
        raise EcoformerError(f"{type(output).__name__}: no hidden state of every token in it")
    return normalize(tokens.sum(1), dim=-1)


def hidden_states(output, batch):
    """What every layer says of every token, as directions: [B, layers·N, width], less padding.

    The batch must ask for it, with ``output_hidden_states=True``. It says more per sentence than
    the last layer alone, which pays when all weights are trained.
    """
    found = getattr(output, "hidden_states", None)
    if found is None:
        raise EcoformerError(f"{type(output).__name__}: no hidden_states in it")
    there = batch["attention_mask"][..., None] if "attention_mask" in batch else 1
    return torch.cat([normalize(layer, dim=-1) * there for layer in found[1:]], 1)


def states_and_embedding(output, batch):
    """:func:`hidden_states` and :func:`embedding`, [B, layers·N + 1, width].

    The embeddings of a batch weigh as much as all its layers.
    """
    states = hidden_states(output, batch)
    weight = (states.detach().square().sum() / len(states)).sqrt()
    return torch.cat([states, weight * embedding(output, batch)[:, None]], 1)


READOUTS = {
    "tokens": readout, "embedding": embedding, "layers": hidden_states,
    "layers-embedding": states_and_embedding,
}  # fmt: skip
"""What of a model's output is to agree: all of it, its mean over the tokens, what every layer says,
or both of these."""


def run_model(model, batch):
    """``model`` called with a dict of keyword arguments, a tuple of arguments, or one argument."""
    if isinstance(batch, dict):
        return model(**batch)
    return model(*batch) if isinstance(batch, tuple) else model(batch)


def save_converted(model, path):
    """Write a converted network to ``path``: where its attention is, state_dict, checksum; atomic.

    The file does not say how to build the network; :func:`load_converted` is given it.
    """
    sites = filled_sites(model)
    if not sites:
        raise EcoformerError(f"{type(model).__name__}: not converted; nothing to save")
    attention = asdict(cores_of(model)[0].config)
    description = {"attention": attention, "sites": [asdict(site) for site in sites]}
    state = model.state_dict()
    content = {"config": json.dumps(description), "state": state, "sha256": state_digest(state)}
    write_atomic(path, torch_bytes(content))


def load_converted(path, model):
    """A copy of the original ``model``, converted as the network was that is in the file ``path``.

    Raises
    ------
    EcoformerError
        No such file, damaged, or the model is not the one that was converted.
    """
    path = Path(path)
    content = read_checked(path, "converted model", "convert")
    converted = deepcopy(model).eval()
    try:
        description = json.loads(content["config"])
        sites = [Site(**site) for site in description["sites"]]
        fill_sites(converted, sites, AttentionConfig(**description["attention"]))
        whole = state_digest(content["state"]) == content["sha256"]
        converted.load_state_dict(content["state"])
    except (KeyError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        raise EcoformerError(
            f"{path}: not a converted {type(model).__name__} ({first_line(error)}); convert it "
            "again"
        ) from error
    if not whole:
        raise EcoformerError(f"{path}: damaged model file (checksum differs); convert it again")
    return converted
