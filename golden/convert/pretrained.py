# SPDX-License-Identifier: Apache-2.0
"""A pretrained model from a folder to a converted one in a folder.

Reading, checking, measuring and writing around :mod:`golden.convert.convert`. Text models take a
file of sentences; any model takes a file of arrays.
"""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import torch
from torch import nn

from ecoformer.errors import EcoformerError, first_line
from ecoformer.golden.attention import cores_of
from ecoformer.golden.attention_config import AttentionConfig
from ecoformer.golden.convert.batches import run_model
from ecoformer.golden.convert.convert import enough_batches, learn_layers, replace_attention
from ecoformer.golden.convert.foreign import load_tokenizer
from ecoformer.golden.convert.hardware import (
    check_targets,
    code_rates,
    in_integers,
    make_targets,
    write_targets,
)
from ecoformer.golden.convert.readouts import READOUTS
from ecoformer.golden.convert.recipe import ConvertConfig
from ecoformer.golden.convert.refine import everything, refine
from ecoformer.golden.convert.saved import save_converted
from ecoformer.golden.kinds import KINDS
from ecoformer.golden.learn.checkpoint import drop_checkpoints
from ecoformer.golden.quality.measure import assess
from ecoformer.golden.recording import record
from ecoformer.golden.sites.choosing import choose_sites, find_sites
from ecoformer.inputs import read_arrays, read_text
from ecoformer.progress import SILENT, Progress
from ecoformer.spec.config import Config

__all__ = ["check_device", "convert_pretrained", "read_batches"]

LARGEST_SENTENCES = 1 << 26
"""Most bytes of a file of sentences."""
MEASURED_BATCHES = 4
"""Batches that set the scales of a parameter image, and held-out ones that hashes are judged on."""


def read_batches(
    path: str | Path, folder: str | Path, config: ConvertConfig
) -> list[dict]:
    """Calibration data as the model is called with it: list of dict, shuffled.

    Parameters
    ----------
    path : Path
        ``.txt``: one sentence per line, for the tokenizer in ``folder``. ``.npz``: arrays by the
        names of the model's arguments, samples first.
    folder : Path
        Of the model.
    config : ConvertConfig
        ``batch``, ``length`` and ``seed`` count.

    Raises
    ------
    EcoformerError
        No such file, another format, or fewer than two batches.
    """
    path = Path(path)
    readers = {".txt": _read_text, ".npz": _read_arrays}
    if path.suffix not in readers:
        raise EcoformerError(
            f"{path}: calibration data must be .txt (one sentence per line) or .npz (the model's "
            "inputs by name)"
        )
    batches = readers[path.suffix](path, folder, config)
    if len(batches) < 2:
        raise EcoformerError(
            f"{path}: {len(batches)} batch of {config.batch}; at least 2 are needed, one of them "
            "held out: give more data or a smaller batch"
        )
    order = torch.randperm(len(batches), generator=torch.Generator().manual_seed(config.seed))
    return [batches[i] for i in order]


def convert_pretrained(
    model: nn.Module,
    batches: list[dict],
    attention: AttentionConfig,
    config: ConvertConfig,
    folder: Path,
    checkpoints: Path,
    engine: Config | None = None,
    progress: Progress = SILENT,
    device: str = "cpu",
    resume: bool = True,
    only: Sequence[str] = (),
    skip: Sequence[str] = (),
    engines: Sequence[Config] = (),
) -> dict:
    """Convert ``model``, write ``converted.pt``, and measure it on held-out batches.

    Parameters
    ----------
    model : Module
    batches : list of dict
        As :func:`read_batches` gives them.
    attention : AttentionConfig
    config : ConvertConfig
    folder : Path
        For the results.
    checkpoints : Path
        Folder of the checkpoints from which an interrupted run resumes.
    engine : ecoformer.spec.config.Config or None
        Also write the parameter image for this engine, ``parameters.safetensors``, and what it
        gets for a held-out sample, ``workload.npz``; and measure the network with its attention in
        integers. Attention of a kind that has no engine is left.
    progress : Progress
    device : str
        Where all hashes together, and all weights, are trained.
    resume : bool
        Whether checkpoints are used; when not, they are deleted.
    only, skip : list of str
        Same as in :func:`golden.convert.convert.convert`.
    engines : list of ecoformer.spec.config.Config
        More engines, for other kinds of attention; their files go into folders that are named after
        the kinds.

    Returns
    -------
    dict
        Every attention that was found, losses of every stage, agreement with the original on
        held-out batches, and the quality of every hash; JSON-ready.

    Raises
    ------
    EcoformerError
        The attention cannot be replaced or does not fit the engine, or the learning failed.
    """
    checkpoints = Path(checkpoints)
    sites = find_sites(model, lambda: run_model(model, batches[0]))
    targets = make_targets(engine, engines)
    kinds = [target.kind for target in targets] or tuple(KINDS)
    sites = choose_sites(sites, attention, only, skip, type(model).__name__, kinds)
    chosen = [site for site in sites if site.reason is None]
    check_targets(targets, attention, chosen, batches)
    if not resume:
        drop_checkpoints(checkpoints)
    read = READOUTS[config.readout]
    if any("layers" in name for name in (config.readout, config.tune_readout)):
        batches = [batch | {"output_hidden_states": True} for batch in batches]
    train, held_out = config.together.split(batches)
    with torch.no_grad():
        originals = [read(run_model(model, batch), batch).float() for batch in held_out]

    def agreement():
        return _agreement(converted, held_out, originals, read)

    tried: list[tuple[int, float]] = []
    count = config.layer_batches
    if not count:
        count, tried = enough_batches(
            model, attention, train, held_out[:MEASURED_BATCHES], config.layerwise, config.seed,
            progress, only, skip, kinds,
        )
    stages = {}
    converted = replace_attention(model, attention, batches[0], config.seed, only, skip, kinds)
    layers = learn_layers(
        converted, batches[:count], config.layerwise, config.seed, progress, checkpoints
    )
    stages["layer by layer"] = agreement()
    together = tuning = []
    on_device = _moved(batches, device)

    def refined(*how, **named):
        try:
            return refine(converted.to(device), on_device, *how, seed=config.seed, **named)
        finally:
            converted.to("cpu")

    if config.steps:
        together = refined(
            config.together, read, progress=progress, folder=checkpoints
        )
        stages["all hashes together"] = agreement()
    if config.tune_steps:
        tuning = refined(
            config.tuning, READOUTS[config.tune_readout],
            parameters=everything(converted, config.tune_hash_lr, config.tune_lr),
            progress=progress, folder=checkpoints / "tuned",
        )
        stages["all weights"] = agreement()
    save_converted(converted, Path(folder) / "converted.pt")

    cores = cores_of(converted)
    tape = _tape(converted, cores, held_out[:MEASURED_BATCHES])
    figures = {
        "model": type(model).__name__,
        "attention": asdict(attention),
        "conversion": asdict(config),
        "sites": [asdict(site) | {"converted": site.reason is None} for site in sites],
        "batches": {"train": len(train), "held_out": len(held_out), "layers": count},
        "batches_tried": [{"batches": number, "loss": loss} for number, loss in tried],
        "losses": {"layers": _by_site(chosen, layers), "together": together, "tuning": tuning},
        "agreement": stages,
        "offsets": [core.offset.tolist() for core in cores],
        "quality": [head.as_dict() for head in assess(cores, tape)],
    }
    if targets:
        calibration = _tape(converted, cores, batches[:MEASURED_BATCHES])
        sample = _tape(converted, cores, [_first(held_out[0])])
        images = write_targets(targets, cores, calibration, sample, Path(folder))
        rates = code_rates(targets, images, cores, tape)
        figures["engines"] = {target.kind: target.folder for target in targets}
        figures["code_disagreement"] = [heads.tolist() for heads in rates]
        with in_integers(targets, images, cores):
            stages["integers"] = agreement()
    return figures


def check_device(device: str) -> None:
    """Refuse anything but the CPU or a CUDA device of this machine."""
    try:
        if torch.device(device).type not in ("cpu", "cuda"):
            raise RuntimeError("not supported")
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise EcoformerError(f"device {device}: {first_line(error)}; give cpu or cuda") from error


def _moved(batches, device):
    return [
        {name: x.to(device) if isinstance(x, torch.Tensor) else x for name, x in batch.items()}
        for batch in batches
    ]


@torch.no_grad()
def _agreement(model, batches, originals, read):
    """Squared error of outputs over the square of the original's, and mean cosine of rows."""
    error = square = cosine = rows = 0
    for batch, original in zip(batches, originals, strict=True):
        output = read(run_model(model, batch), batch).float()
        error += (output - original).square().sum().item()
        square += original.square().sum().item()
        mask = original.square().sum(-1) > 0  # rows of padding are 0
        cosines = torch.cosine_similarity(output, original, dim=-1)[mask]
        cosine, rows = cosine + cosines.sum().item(), rows + cosines.numel()
    return {"error": error / square, "cosine": cosine / rows}


@torch.no_grad()
def _tape(model, cores, batches):
    return record(cores, lambda: [run_model(model, batch) for batch in batches])


def _first(batch):
    """The first sample of a batch."""
    return {name: x[:1] if isinstance(x, torch.Tensor) else x for name, x in batch.items()}


def _by_site(sites, losses):
    """Losses of every layer under its module's path; uses of one module after the first count."""
    return dict(zip((site.name for site in sites), losses, strict=True))


def _read_text(path, folder, config):
    tokenizer = load_tokenizer(folder)
    if tokenizer.pad_token is None:  # as of many decoders; what is padding, the mask says
        tokenizer.pad_token = tokenizer.eos_token or tokenizer.unk_token
    try:
        text = read_text(path, LARGEST_SENTENCES)
        lines = [line for line in text.splitlines() if line.strip()]
    except ValueError as error:
        raise EcoformerError(f"{path}: not a text file ({first_line(error)})") from error
    lines.sort(key=len)  # sentences of similar length share a batch, for little padding
    return [
        dict(
            tokenizer(
                lines[i : i + config.batch], padding=True, truncation=True,
                max_length=config.length, return_tensors="pt",
            )
        )
        for i in range(0, len(lines), config.batch)
    ]


def _read_arrays(path, folder, config):
    try:
        arrays = {name: torch.from_numpy(array) for name, array in read_arrays(path).items()}
    except (ValueError, TypeError) as error:
        raise EcoformerError(f"{path}: not a file of arrays ({first_line(error)})") from error
    counts = {x.shape[0] if x.ndim else 0 for x in arrays.values()}
    if len(counts) != 1:
        raise EcoformerError(
            f"{path}: its arrays have {sorted(counts)} samples; all must have the same number"
        )
    (count,) = counts
    order = torch.randperm(count, generator=torch.Generator().manual_seed(config.seed))
    return [{name: x[part] for name, x in arrays.items()} for part in order.split(config.batch)]
