# SPDX-License-Identifier: Apache-2.0
"""What a converted network gives to its engines, one for each kind of its attention."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ecoformer.errors import EcoformerError
from ecoformer.golden.attention import EcoFormerAttention
from ecoformer.golden.attention_config import AttentionConfig
from ecoformer.golden.integer.engine import IntegerEngine
from ecoformer.golden.kinds import engine_kind
from ecoformer.golden.quantize.calibration import calibrate, check_attention, code_disagreement
from ecoformer.golden.quantize.inference import EngineAttention, override_attention, packets
from ecoformer.golden.recording import Call
from ecoformer.golden.sites.site import Site
from ecoformer.spec.config import Config
from ecoformer.spec.parameters import ParameterImage

__all__ = [
    "PARAMETERS", "WORKLOAD", "Target", "check_targets", "code_rates", "in_integers",
    "make_targets", "write_targets",
]

PARAMETERS, WORKLOAD = "parameters.safetensors", "workload.npz"
Tape = Sequence[Sequence[Call]]
"""Calls of every layer of a network."""
INPUTS = {
    "self": ("input_ids",),
    "causal": ("decoder_input_ids", "input_ids"),
    "cross": ("input_ids", "decoder_input_ids"),
}
"""Inputs whose lengths are those of the sequences of each kind of attention; of causal attention
the first that there is."""


@dataclass(frozen=True)
class Target:
    """An engine, and the folder within the results that holds what it is given.

    Parameters
    ----------
    config : Config
    folder : str
    """

    config: Config
    folder: str = "."

    @property
    def kind(self) -> str:
        """Kind of attention that the engine computes."""
        return engine_kind(self.config)

    @property
    def files(self) -> list[str]:
        """Names of its files within the results."""
        return [str(Path(self.folder, name)) for name in (PARAMETERS, WORKLOAD)]

    def own(self, cores: Sequence[EcoFormerAttention], *columns: Sequence) -> list[list]:
        """The cores that the engine computes, and what ``columns`` hold for them."""
        mine = [number for number, core in enumerate(cores) if core.kind == self.kind]
        return [[column[number] for number in mine] for column in (cores, *columns)]


def make_targets(engine: Config | None, others: Sequence[Config] = ()) -> list[Target]:
    """The engine of a configuration, whose files lie in the results themselves, and others.

    Raises
    ------
    EcoformerError
        Two engines for one kind of attention.
    """
    targets = [] if engine is None else [Target(engine)]
    targets += [Target(other, engine_kind(other)) for other in others]
    kinds = [target.kind for target in targets]
    if twice := {kind for kind in kinds if kinds.count(kind) > 1}:
        raise EcoformerError(
            f"two engines for {min(twice)} attention; give one for each kind of attention"
        )
    return targets


def check_targets(
    targets: Sequence[Target], attention: AttentionConfig, sites: Sequence[Site],
    batches: Sequence[dict],
) -> None:
    """Refuse engines that cannot run the attention of ``sites``, or have none to run.

    Parameters
    ----------
    targets : list of Target
    attention : AttentionConfig
    sites : list of Site
        Those that are converted.
    batches : list of dict
        Their longest sequences have to fit.
    """
    for target in targets:
        own = [site for site in sites if site.kind == target.kind]
        if not own:
            kinds = " and ".join(dict.fromkeys(site.kind for site in sites))
            raise EcoformerError(
                f"[engine] computes {target.kind} attention, and what is converted of this model "
                f"is {kinds} attention; leave that engine out"
            )
        sets, longest = sum(site.heads for site in own), _longest(batches, target.kind)
        for head_dim in dict.fromkeys(site.head_dim for site in own):
            check_attention(target.config, attention, head_dim, sets, longest, target.kind)


def write_targets(
    targets: Sequence[Target], cores: Sequence[EcoFormerAttention], calibration: Tape,
    sample: Tape, folder: Path,
) -> list[ParameterImage]:
    """Write the parameters of every engine, and the packets that it gets for a sample.

    Parameters
    ----------
    targets : list of Target
    cores : list of EcoFormerAttention
    calibration : list of list of Call
        Sets the scales.
    sample : list of list of Call
    folder : Path
        Of the results.
    """
    images = []
    for target in targets:
        own, scales, calls = target.own(cores, calibration, sample)
        image = calibrate(target.config, own, scales)
        (folder / target.folder).mkdir(exist_ok=True)
        image.save(folder / target.folder / PARAMETERS, target.config)
        packets(target.config, image, own, calls).save(folder / target.folder / WORKLOAD)
        images.append(image)
    return images


def code_rates(
    targets: Sequence[Target], images: Sequence[ParameterImage],
    cores: Sequence[EcoFormerAttention], tape: Tape,
) -> list[np.ndarray]:
    """Fraction of code bits per core and head on which integer and float hash differ."""
    rates: dict[int, np.ndarray] = {}
    for target, image in zip(targets, images, strict=True):
        own, calls = target.own(cores, tape)
        found = code_disagreement(target.config, own, image, calls)
        rates |= {core.layer: heads for core, heads in zip(own, found, strict=True)}
    return [rates[core.layer] for core in cores]


@contextmanager
def in_integers(
    targets: Sequence[Target], images: Sequence[ParameterImage],
    cores: Sequence[EcoFormerAttention],
) -> Iterator[None]:
    """Meanwhile all of ``cores`` attend in integers, each on the engine for its kind."""
    with ExitStack() as stack:
        for target, image in zip(targets, images, strict=True):
            (own,) = target.own(cores)
            engine = IntegerEngine(target.config, image)
            attention = EngineAttention(target.config, image, own, engine)
            stack.enter_context(override_attention(own, attention))
        yield


def _longest(batches, kind):
    """Tokens of the longest sequence; 1 where batches are not text."""
    longest = 1
    for batch in batches:
        names = [name for name in INPUTS[kind] if name in batch]
        for name in names[:1] if kind == "causal" else names:
            longest = max(longest, batch[name].shape[1])
    return longest
