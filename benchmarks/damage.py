# SPDX-License-Identifier: Apache-2.0
"""Damaged files of every kind against the command line: refused, or harmless, and soon.

Every run is the command line's own entry in a forked process, with limits on time and memory. A
run is *refused* if it exits with code 2 and one line, *harmless* if its results are those of the
undamaged file, and *as written* if a text that has no checksum is valid with its change. Anything
else is a fault.
"""

import gc
import hashlib
import multiprocessing
import os
import random
import re
import resource
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from benchmarks.mutations import BYTES, TEXT, Mutation, arrays_of, flip_bit, image_of, tensors_of
from benchmarks.results.section import LEARNING, arguments, begin
from ecoformer.progress import show_progress

__all__ = ["Kind", "Outcome", "attack", "kinds", "main", "run", "sentences"]

SECONDS, MEGABYTES = 30, 2_048
"""Most that a run may take, beyond what the process has before it."""
BATCH = 25
"""Mutations of a job."""
FAULTS = ("tracebacks", "other content", "beyond limits")

ENGINE = """\
[engine]
head_dim = 6
value_dim = 6
code_bits = 5
anchors = 7
max_tokens = 4
cycles_per_token = 8
parameter_sets = 4
bus_bytes = 3
"""
CHIP = """\
[chip]
image_size = 8
channels = 1
patch = 4
width = 8
heads = 2
depth = 2
hidden = 12
classes = 3
weights = "ternary"
cycles_per_token = 64

[engine]
head_dim = 4
value_dim = 4
code_bits = 5
hash = "linear"
max_tokens = 4
"""
NETWORK = """
[network]
patch = 14
width = 12
heads = 2
depth = 2

[training]
seed = 0
pretrain_epochs = 1
tune_epochs = 1
tune_lrs = [4e-3]
batch = 500
hash_iterations = 5
hash_images = 16
"""
CONVERSION = """
[attention]
code_bits = 5
hash = "linear"
queries = "separate"
[convert]
batch = 8
layer_batches = 2
layer_steps = 1
steps = 0
held_out = 0.3
"""
SHAPES = """\
name = "shapes"
image_size = 32
channels = 3
classes = 10
[[stages]]
width = 16
depth = 2
heads = 2
mlp_ratio = 2.5
patch = 4
stride = 4
norm = true
[[stages]]
width = 32
depth = 1
heads = 4
patch = 2
stride = 2
attention = "softmax"
"""
WORDS = "the a cat dog tree house sees likes under over red small".split()


@dataclass(frozen=True)
class Kind:
    """A kind of file, and a command that reads it.

    Parameters
    ----------
    path : Path
        An undamaged file.
    commands : list of list of str
        Command lines, taken in turn; ``OUT`` stands for a new folder.
    mutations : tuple of Mutation
    results : str
        Pattern of the files in ``OUT`` that show what was read.
    is_sealed : bool
        Whether every change must be refused.
    is_text : bool
        Whether a change may be valid.
    """

    path: Path
    commands: list[list[str]]
    mutations: tuple[Mutation, ...]
    results: str = "**/*"
    is_sealed: bool = False
    is_text: bool = False


@dataclass
class Outcome:
    """What came of the runs of a kind."""

    counts: Counter = field(default_factory=Counter)
    seconds: float = 0.0
    megabytes: float = 0.0
    faults: list[str] = field(default_factory=list)


    def add(self, other: "Outcome") -> None:
        """Take over what came of more runs."""
        self.counts += other.counts
        self.seconds = max(self.seconds, other.seconds)
        self.megabytes = max(self.megabytes, other.megabytes)
        self.faults += other.faults


@dataclass(frozen=True)
class Run:
    """One command: exit status, 128 + n after signal n; messages; results; cost."""

    status: int
    output: str
    errors: str
    seconds: float
    megabytes: float


def run(command: list[str], folder: Path) -> Run:
    """Run the command line in a forked process, within the limits, with ``folder`` as current."""
    output, errors = folder / "stdout", folder / "stderr"
    begun = time.monotonic()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    pid = os.fork()
    if not pid:
        _child(command, folder, output, errors)
    end = begun + SECONDS
    while True:
        found, status, usage = os.wait4(pid, os.WNOHANG)
        if found:
            break
        if time.monotonic() > end:
            os.killpg(pid, signal.SIGKILL)
            _, status, usage = os.wait4(pid, 0)
            break
        time.sleep(0.002)
    code = os.waitstatus_to_exitcode(status)
    return Run(
        code if code >= 0 else 128 - code,
        output.read_text(errors="replace"), errors.read_text(errors="replace"),
        time.monotonic() - begun, max(0, usage.ru_maxrss - before) / 1e3,
    )


def _child(command, folder, output, errors):
    from ecoformer.cli import main as ecoformer

    os.setsid()
    os.chdir(folder)
    for number, path in ((1, output), (2, errors)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    used = int(re.search(r"VmData:\s*(\d+)", Path("/proc/self/status").read_text())[1]) << 10
    resource.setrlimit(resource.RLIMIT_DATA, (used + (MEGABYTES << 20),) * 2)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    status = 70
    try:
        ecoformer(command)
    except SystemExit as end:
        status = end.code
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def attack(kind: Kind, numbers: range, seed: int) -> Outcome:
    """The mutations ``numbers`` of a kind's file, each read once."""
    whole, outcome = kind.path.read_bytes(), Outcome()
    references: dict[int, str] = {}
    for number in numbers:
        rng = random.Random(f"{seed} {kind.path.name} {number}")
        bad = whole
        while bad == whole:
            bad = rng.choice(kind.mutations)(whole, rng)
            for _ in range(rng.choice((0, 0, 0, 1, 2)) if len(kind.mutations) > 1 else 0):
                bad = rng.choice(BYTES)(bad or b"?", rng)
        which = number % len(kind.commands)
        with tempfile.TemporaryDirectory() as folder:
            if which not in references:
                references[which] = _results(kind, which, whole, Path(folder) / "whole")[1]
            found, results = _results(kind, which, bad, Path(folder) / "bad")
        verdict = _verdict(kind, found, results == references[which])
        outcome.counts[verdict] += 1
        outcome.seconds = max(outcome.seconds, found.seconds)
        outcome.megabytes = max(outcome.megabytes, found.megabytes)
        if verdict in FAULTS:
            kept = Path("build/damage") / f"{kind.path.stem}-{number}{kind.path.suffix}"
            kept.parent.mkdir(parents=True, exist_ok=True)
            kept.write_bytes(bad)
            last = (found.errors.strip().splitlines() or [""])[-1]
            outcome.faults.append(f"{kept}: {verdict}: status {found.status}: {last[:200]}")
    return outcome


def _results(kind, which, content, folder):
    """The run with a file of this ``content``, and a digest of what it wrote, or else printed."""
    source = kind.path.parent
    shutil.copytree(source, folder, symlinks=True)
    (folder / kind.path.name).write_bytes(content)
    out = folder / "out"
    command = [str(out) if word == "OUT" else word for word in kind.commands[which]]
    found = run(command, folder)
    written = [path for path in sorted(out.glob(kind.results)) if path.is_file()]
    digest = hashlib.sha256(str(found.status).encode())
    for path in written:
        digest.update(path.name.encode() + path.read_bytes())
    if not written:
        digest.update(found.output.encode())
    return found, digest.hexdigest()


def _verdict(kind, found, same):
    lines = found.errors.strip().splitlines()
    if found.seconds >= SECONDS or found.megabytes >= MEGABYTES or "enough memory" in found.errors:
        return "beyond limits"
    if "Traceback" in found.errors or found.status not in (0, 2):
        return "tracebacks"
    if found.status == 2:
        one_line = bool(lines) and lines[-1].startswith("ecoformer: ")
        return "refused" if one_line else "tracebacks"
    if same and not kind.is_sealed:
        return "harmless"
    return "as written" if kind.is_text else "other content"


def kinds(folder: Path) -> dict[str, Kind]:
    """Undamaged files of every kind, made in ``folder``."""
    _make(folder / "text", {"config.toml": ENGINE + NETWORK, "shapes.toml": SHAPES})
    text = folder / "text"
    (text / "shapes.json").write_text(_as_json(SHAPES))
    _must(["generate", "-c", "config.toml", "-o", "design"], text)
    image = _copy(folder / "image", {"config.toml": text / "config.toml",
                                     "p.safetensors": text / "design/parameters.safetensors"})
    workload = _copy(folder / "workload", {"config.toml": text / "config.toml",
                                           "w.npz": text / "design/vectors/workload.npz"})
    _make(chip := folder / "chip", {"chip.toml": CHIP})
    _must(["generate", "--network", "-c", "chip.toml", "-o", "made"], chip)
    for name in ("network.safetensors", "vectors/images.npz"):
        shutil.copy(chip / "made" / name, chip)
    shutil.rmtree(chip / "made")
    of_a_chip = ["generate", "--network", "-c", "chip.toml", "-o", "OUT"]
    shutil.rmtree(text / "design")
    _must(["train", "-c", "config.toml", "-o", "run"], text)
    model = _copy(folder / "model", {"model.pt": text / "run/ecoformer.pt"})
    name = text / "run" / "checkpoints" / "pretrain.pt"
    checkpoint = _copy(folder / "checkpoint", {"config.toml": text / "config.toml",
                                               name.name: name})
    shutil.rmtree(text / "run")
    texts = sentences(folder / "sentences")
    trained = (flip_bit, *BYTES, tensors_of)
    (checkpoint / "out" / "checkpoints").mkdir(parents=True)
    (checkpoint / "out" / "checkpoints" / name.name).symlink_to(f"../../{name.name}")
    resume = Kind(checkpoint / name.name, [["train", "-c", "config.toml", "-o", "OUT"]], trained,
                  is_sealed=True)
    return {
        "configuration, TOML": Kind(
            text / "config.toml",
            [["energy", "config.toml"], ["energy", "config.toml"], ["energy", "config.toml"],
             ["train", "-c", "config.toml", "-o", "OUT", "--start", "none.pt"],
             ["generate", "-c", "config.toml", "-o", "OUT"]],
            TEXT, is_text=True),
        "shapes, TOML": Kind(text / "shapes.toml", [["energy", "shapes.toml"]], TEXT,
                             is_text=True),
        "shapes, JSON": Kind(text / "shapes.json", [["energy", "shapes.json"]], TEXT,
                             is_text=True),
        "parameter image": Kind(
            image / "p.safetensors",
            [["generate", "-c", "config.toml", "-p", "p.safetensors", "-o", "OUT"]],
            (*BYTES, image_of), "vectors/*.hex"),
        "workload": Kind(
            workload / "w.npz", [["generate", "-c", "config.toml", "-w", "w.npz", "-o", "OUT"]],
            (*BYTES, arrays_of), "vectors/*.hex"),
        "network, TOML": Kind(chip / "chip.toml", [of_a_chip], TEXT, is_text=True),
        "network image": Kind(
            chip / "network.safetensors", [[*of_a_chip, "-p", "network.safetensors"]],
            (*BYTES, image_of), "vectors/*.hex"),
        "images": Kind(
            chip / "images.npz", [[*of_a_chip, "-w", "images.npz"]], (*BYTES, arrays_of),
            "vectors/*.hex"),
        "model": Kind(model / "model.pt", [["energy", "model.pt"]], trained, is_sealed=True),
        "checkpoint": resume,
        "checkpoint, one bit": Kind(resume.path, resume.commands, (flip_bit,), is_sealed=True),
        "sentences": Kind(
            texts / "s.txt",
            [["convert", "bert", "-d", "s.txt", "-c", "config.toml", "-o", "OUT"]],
            TEXT, "convert.json", is_text=True),
    }


def _make(folder, files):
    folder.mkdir()
    for name, text in files.items():
        (folder / name).write_text(text)


def _copy(folder, files):
    folder.mkdir()
    for name, path in files.items():
        shutil.copyfile(path, folder / name)
    return folder


def _as_json(text):
    import json
    import tomllib

    return json.dumps(tomllib.loads(text), indent=1)


def sentences(folder: Path) -> Path:
    """A tiny BERT with its tokenizer, a configuration, and sentences."""
    rng = random.Random(0)
    lines = [" ".join(rng.choices(WORDS, k=rng.randint(2, 8))) for _ in range(40)]
    _make(folder, {"config.toml": CONVERSION, "s.txt": "\n".join(lines) + "\n"})
    pid = os.fork()
    if not pid:
        import torch
        import transformers

        bert = folder / "bert"
        bert.mkdir()
        words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]
        (bert / "vocab.txt").write_text("\n".join(words))
        transformers.BertTokenizer(str(bert / "vocab.txt")).save_pretrained(bert)
        torch.manual_seed(0)
        transformers.BertModel(transformers.BertConfig(
            vocab_size=len(words), max_position_embeddings=128, hidden_size=16,
            num_hidden_layers=1, num_attention_heads=2, intermediate_size=16,
        )).save_pretrained(bert)
        os._exit(0)
    os.waitpid(pid, 0)
    return folder


def _must(command, folder):
    found = run(command, folder)
    if found.status:
        raise SystemExit(f"{' '.join(command)}: status {found.status}: {found.errors}")


def _preload():
    """Import once what every run needs; a forked process has it then."""
    from transformers import (  # noqa: F401
        AutoConfig,
        AutoTokenizer,
        BertConfig,
        BertModel,
        BertTokenizer,
    )

    from ecoformer.cli import main  # noqa: F401
    from ecoformer.golden.convert import foreign, pretrained  # noqa: F401
    from ecoformer.golden.energy import honest, paper, report, sources  # noqa: F401
    from ecoformer.golden.learn import data, train  # noqa: F401
    from ecoformer.hw.emit import lint, manifest, network, verilog  # noqa: F401
    from ecoformer.sim import stimulus  # noqa: F401
    from ecoformer.sim.network import testbench  # noqa: F401
    from ecoformer.sim.testbench import write  # noqa: F401

    data.load()
    gc.collect()
    gc.freeze()  # pages stay shared with the forked processes


def main() -> int:
    parser = arguments(__doc__)
    parser.add_argument("--count", type=int, default=500, help="mutations of each kind")
    parser.add_argument("--bits", type=int, default=300, help="single bits of a checkpoint")
    parser.add_argument("--only", default="", help="only kinds whose name contains this")
    parser.add_argument("--workers", type=int, default=2, help="runs at the same time")
    measurement = begin(parser)
    options = measurement.options
    os.environ["OMP_NUM_THREADS"] = "1"
    _preload()
    outcomes: dict[str, Outcome] = {}
    fork = multiprocessing.get_context("fork")  # with everything imported
    with (
        tempfile.TemporaryDirectory() as folder,
        ProcessPoolExecutor(options.workers, fork) as workers,
        show_progress() as progress,
    ):
        for name, kind in kinds(Path(folder)).items():
            if options.only not in name:
                continue
            count = options.bits if "one bit" in name else options.count
            parts = [range(start, min(start + BATCH, count)) for start in range(0, count, BATCH)]
            outcomes[name] = Outcome()
            jobs = workers.map(partial(attack, kind, seed=options.seed), parts)
            for part, outcome in zip(parts, jobs):
                outcomes[name].add(outcome)
                progress.update(name, part.stop, count)
                for fault in outcome.faults:
                    progress.line(fault)
    verdicts = ("refused", "harmless", "as written", *FAULTS)
    total = {verdict: sum(o.counts[verdict] for o in outcomes.values()) for verdict in verdicts}
    faults = sum(total[verdict] for verdict in FAULTS)
    measurement.write_section(
        "damage", "mutations", "Mutations by kind of file",
        ["file", "mutations", *verdicts, "slowest, s", "most memory, MB"],
        [
            [name, o.counts.total(), *(o.counts[v] for v in verdicts), f"{o.seconds:.1f}",
             f"{o.megabytes:,.0f}"]
            for name, o in outcomes.items()
        ],
        headline=f"{sum(total.values()):,} damaged files, {faults} faults",
        conditions=f"at most {SECONDS} s and {MEGABYTES} MB a run", tools=LEARNING,
        modules=["ecoformer.cli"],
    )
    return bool(faults)


if __name__ == "__main__":
    sys.exit(main())
