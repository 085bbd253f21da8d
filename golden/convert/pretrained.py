"""A pretrained model from a folder to a converted one in a folder: data in, figures out.

What :mod:`golden.convert.convert` does to a model in memory, with the reading, checking and
writing around it. Text models take a file of sentences; any model takes a file of arrays.
"""

import warnings
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

from ecoformer.errors import EcoformerError, first_line
from ecoformer.golden.attention import cores_of
from ecoformer.golden.convert.convert import (
    READOUTS,
    enough_batches,
    everything,
    learn_layers,
    refine,
    replace_attention,
    run_model,
    save_converted,
)
from ecoformer.golden.learn.distill import OBJECTIVES, DistillConfig
from ecoformer.golden.networks.sites import find_sites
from ecoformer.golden.quality.measure import assess
from ecoformer.golden.quantize.calibration import calibrate, check_attention, code_disagreement
from ecoformer.golden.quantize.inference import HostedAttention, IntegerEngine, hosted
from ecoformer.golden.recording import record
from ecoformer.progress import SILENT
from ecoformer.spec.checks import check_choice, check_number

__all__ = ["ConvertConfig", "check_device", "load_pretrained", "read_batches", "convert_pretrained"]

SEEN_BATCHES = 4
"""Batches that set the scales of a parameter image, and held-out ones that hashes are judged on."""


@dataclass(frozen=True, kw_only=True)
class ConvertConfig:
    """Hyper-parameters of a conversion.

    Parameters
    ----------
    seed : int
        Of hashes, and of the order of the batches.
    batch : int
        Sentences, or rows of the arrays, per batch.
    length : int
        Tokens at which a sentence is cut.
    held_out : float
        Share of the batches that only decides which step is kept, and measures.
    objective : str
        What one layer learns from, as in :class:`golden.learn.distill.DistillConfig`.
    layer_batches : int
        Batches that layers learn from, one layer after the other, at least two; 0 for as many as
        held-out batches show to be enough.
    layer_steps : int
        Gradient steps per layer.
    layer_lr : float
        Their peak learning rate.
    steps : int
        Gradient steps of all hashes together, against the outputs of the model.
    lr : float
        Their peak learning rate.
    tune_steps : int
        Gradient steps of all weights afterwards; with 0 the model's own weights stay as they are.
    tune_lr, tune_hash_lr : float
        Peak learning rates of the model's own weights and of the hashes.
    learn_offset : bool
        Whether the offset of every head is learned.
    readout : str
        What of the output is to agree: ``tokens``, all of it, ``embedding``, its mean over the
        tokens of a sentence, or ``layers``, what every layer says of every token.
    tune_readout : str
        The same for the training of all weights.

    Raises
    ------
    TypeError, ValueError
        A value of the wrong type or outside its range.
    """

    seed: int = 0
    batch: int = 32
    length: int = 128
    held_out: float = 0.05
    objective: str = "output"
    layer_batches: int = 0
    layer_steps: int = 60
    layer_lr: float = 0.02
    steps: int = 600
    lr: float = 0.01
    tune_steps: int = 0
    tune_lr: float = 5e-4
    tune_hash_lr: float = 5e-3
    learn_offset: bool = True
    readout: str = "tokens"
    tune_readout: str = "layers"

    def __post_init__(self):
        check_number("seed", self.seed, int, 0)
        check_number("batch", self.batch, int, 1)
        check_number("length", self.length, int, 1)
        check_choice("objective", self.objective, OBJECTIVES)
        for name in ("readout", "tune_readout"):
            check_choice(name, getattr(self, name), tuple(READOUTS))
        if self.layer_batches != 0:
            check_number("layer_batches", self.layer_batches, int, 2)
        for name in ("layer_steps", "steps", "tune_steps"):
            check_number(name, getattr(self, name), int, 0)
        for name in ("layer_lr", "lr", "tune_lr", "tune_hash_lr"):
            check_number(name, getattr(self, name), float, 0)
        self.layerwise, self.together, self.tuning  # noqa: B018  check the rest now

    @property
    def layerwise(self):
        """One layer after the other."""
        return DistillConfig(
            objective=self.objective, steps=self.layer_steps, lr=self.layer_lr,
            learn_offset=self.learn_offset,
        )  # fmt: skip

    @property
    def together(self):
        """All hashes against the outputs of the model."""
        return DistillConfig(steps=self.steps, lr=self.lr, held_out=self.held_out)

    @property
    def tuning(self):
        """All weights against the outputs of the model."""
        return DistillConfig(steps=self.tune_steps, held_out=self.held_out)


def load_pretrained(folder):
    """The model in a folder that ``save_pretrained`` of ``transformers`` wrote, in evaluation mode.

    Its class is the one it was saved from.

    Raises
    ------
    EcoformerError
        No such folder, or nothing in it that ``transformers`` can load.
    """
    import transformers

    folder = Path(folder)
    if not (folder / "config.json").is_file():
        raise EcoformerError(
            f"{folder}: no config.json; give the folder of a transformers model (save_pretrained)"
        )
    with _quiet(transformers):
        try:
            config = transformers.AutoConfig.from_pretrained(folder)
            (name, *_) = getattr(config, "architectures", None) or ["AutoModel"]
            kind = getattr(transformers, name, transformers.AutoModel)
            return kind.from_pretrained(folder).eval()
        except (OSError, ValueError, KeyError, ImportError, RuntimeError) as error:
            raise EcoformerError(
                f"{folder}: cannot load the model ({first_line(error)})"
            ) from error


def read_batches(path, folder, config):
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
    model, batches, attention, config, folder, engine=None, progress=SILENT, device="cpu"
):
    """Convert ``model``, write ``converted.pt``, and measure it on held-out batches.

    Parameters
    ----------
    model : Module
    batches : list of dict
        As :func:`read_batches` gives them.
    attention : AttentionConfig
    config : ConvertConfig
    folder : Path
        For the results, and checkpoints from which an interrupted run goes on.
    engine : ecoformer.config.Config or None
        Also write the parameter image for this engine, ``parameters.safetensors``, and measure
        the network with its attention in integers.
    progress : Progress
    device : str
        Where all hashes together, and all weights, are trained.

    Returns
    -------
    dict
        Losses of every stage, agreement with the original on held-out batches, and the quality of
        every hash; JSON-ready.

    Raises
    ------
    EcoformerError
        The attention cannot be replaced or does not fit the engine, or the learning failed.
    """
    checkpoints = Path(folder) / "checkpoints"
    checkpoints.mkdir(parents=True, exist_ok=True)
    sites = find_sites(model, lambda: run_model(model, batches[0]))
    if engine is not None:
        sets = sum(site.heads for site in sites) * (1 + (attention.queries == "separate"))
        check_attention(engine, attention, sites[0].head_dim, sets, _longest(batches))
    read = READOUTS[config.readout]
    if any("layers" in name for name in (config.readout, config.tune_readout)):
        batches = [batch | {"output_hidden_states": True} for batch in batches]
    train, held_out = config.together.split(batches)
    with torch.no_grad():
        wanted = [read(run_model(model, batch), batch) for batch in held_out]

    def agreement():
        return _agreement(converted, held_out, wanted, read)

    count, tried = config.layer_batches, []
    if not count:
        count, tried = enough_batches(
            model, attention, train, held_out[:SEEN_BATCHES], config.layerwise, config.seed,
            progress,
        )
    stages = {}
    converted = replace_attention(model, attention, batches[0], config.seed)
    layers = learn_layers(
        converted, batches[:count], config.layerwise, config.seed, progress, checkpoints
    )
    stages["layer by layer"] = agreement()
    together = tuning = []
    there = _moved(batches, device)

    def refined(*how, **named):
        try:
            return refine(converted.to(device), there, *how, seed=config.seed, **named)
        finally:
            converted.to("cpu")

    if config.steps:
        together = refined(
            config.together, read, progress=progress, folder=checkpoints
        )
        stages["all hashes together"] = agreement()
    if config.tune_steps:
        (tuned := checkpoints / "tuned").mkdir(exist_ok=True)
        tuning = refined(
            config.tuning, READOUTS[config.tune_readout],
            parameters=everything(converted, config.tune_hash_lr, config.tune_lr),
            progress=progress, folder=tuned,
        )  # fmt: skip
        stages["all weights"] = agreement()
    save_converted(converted, Path(folder) / "converted.pt")

    cores = cores_of(converted)
    seen = _tape(converted, cores, held_out[:SEEN_BATCHES])
    figures = {
        "model": type(model).__name__,
        "attention": asdict(attention),
        "conversion": asdict(config),
        "batches": {"train": len(train), "held_out": len(held_out), "layers": count},
        "batches_tried": [{"batches": number, "loss": loss} for number, loss in tried],
        "losses": {"layers": _by_site(sites, layers), "together": together, "tuning": tuning},
        "agreement": stages,
        "offsets": [core.offset.tolist() for core in cores],
        "quality": [head.as_dict() for head in assess(cores, seen)],
    }
    if engine is not None:
        image = calibrate(engine, cores, _tape(converted, cores, batches[:SEEN_BATCHES]))
        image.save(Path(folder) / "parameters.safetensors", engine)
        rates = code_disagreement(engine, cores, image, seen)
        figures["code_disagreement"] = [heads.tolist() for heads in rates]
        host = HostedAttention(engine, image, cores, IntegerEngine(engine, image))
        with hosted(cores, host):
            stages["integers"] = agreement()
    return figures


def check_device(device):
    """Refuse what is neither the CPU nor a CUDA device of this machine."""
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
def _agreement(model, batches, wanted, read):
    """How alike outputs are: squared error over the square, and mean cosine of rows."""
    error = square = cosine = rows = 0
    for batch, want in zip(batches, wanted, strict=True):
        found = read(run_model(model, batch), batch)
        error += (found - want).square().sum().item()
        square += want.square().sum().item()
        there = want.square().sum(-1) > 0  # rows of padding are 0
        alike = torch.cosine_similarity(found, want, dim=-1)[there]
        cosine, rows = cosine + alike.sum().item(), rows + alike.numel()
    return {"error": error / square, "cosine": cosine / rows}


@torch.no_grad()
def _tape(model, cores, batches):
    return record(cores, lambda: [run_model(model, batch) for batch in batches])


def _by_site(sites, losses):
    """Losses of every layer under its module's path; uses of one module after the first count."""
    names = [site.path if not site.turn else f"{site.path}, use {site.turn + 1}" for site in sites]
    return dict(zip(names, losses, strict=True))


def _longest(batches):
    """Tokens of the longest sentence; 1 where a batch is no text."""
    texts = [batch["input_ids"].shape[1] for batch in batches if "input_ids" in batch]
    return max(texts, default=1)


def _read_text(path, folder, config):
    import transformers

    try:
        lines = [line for line in path.read_text().splitlines() if line.strip()]
    except UnicodeDecodeError as error:
        raise EcoformerError(f"{path}: not a text file ({first_line(error)})") from error
    with _quiet(transformers):
        try:
            tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
        except (OSError, ValueError, KeyError, ImportError) as error:
            raise EcoformerError(
                f"{folder}: no tokenizer ({first_line(error)}); give the model's inputs as .npz"
            ) from error
    lines.sort(key=len)  # sentences of like length share a batch: little padding
    return [
        dict(
            tokenizer(
                lines[i : i + config.batch], padding=True, truncation=True,
                max_length=config.length, return_tensors="pt",
            )  # fmt: skip
        )
        for i in range(0, len(lines), config.batch)
    ]


def _read_arrays(path, folder, config):
    try:
        with np.load(path) as content:
            arrays = {name: torch.from_numpy(content[name]) for name in content.files}
    except (ValueError, OSError, TypeError) as error:
        if isinstance(error, OSError) and error.filename is not None:
            raise
        raise EcoformerError(f"{path}: not a file of arrays ({first_line(error)})") from error
    counts = {x.shape[0] if x.ndim else 0 for x in arrays.values()}
    if len(counts) != 1:
        raise EcoformerError(
            f"{path}: its arrays have {sorted(counts)} samples; all must have the same number"
        )
    (count,) = counts
    order = torch.randperm(count, generator=torch.Generator().manual_seed(config.seed))
    return [{name: x[part] for name, x in arrays.items()} for part in order.split(config.batch)]


@contextmanager
def _quiet(transformers):
    """No progress bars and notes of transformers; what matters comes as an error."""
    level = transformers.logging.get_verbosity()
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        transformers.logging.set_verbosity(level)
        transformers.logging.enable_progress_bar()
