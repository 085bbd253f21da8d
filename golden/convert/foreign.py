# SPDX-License-Identifier: Apache-2.0
"""Models and tokenizers of ``transformers`` from a folder: data only, complete, and offline.

A folder cannot make the library run code of its own, unpickle, ask a question or reach the network,
and nothing of the model is made up: a tensor that is missing is an error.
"""

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ecoformer.errors import EcoformerError, first_line
from ecoformer.inputs import parse_json, read_bytes

__all__ = ["load_pretrained", "load_tokenizer"]

SAFE = {"local_files_only": True, "trust_remote_code": False}
"""Of everything that is loaded."""
LARGEST_CONFIG = 1 << 20
DEEPEST = 1_000
"""Most layers of a model."""
SPARSEST = 8
"""Most weights per byte of the files of weights; some layers share theirs."""


def load_pretrained(folder: str | Path) -> nn.Module:
    """The model in a folder that ``save_pretrained`` of ``transformers`` wrote, in evaluation mode.

    Its class is the one it was saved from.

    Raises
    ------
    EcoformerError
        No such folder, nothing in it that ``transformers`` can load, a tensor that is missing or
        not finite, or sizes that the files of weights cannot fill.
    """
    folder = Path(folder)
    _check_config(folder)
    with _quiet() as transformers:
        config = _loaded(
            f"{folder}: cannot load the model",
            lambda: transformers.AutoConfig.from_pretrained(folder, **SAFE),
        )
        kind = _kind(transformers, config)
        _check_size(folder, config, kind)
        model, report = _loaded(
            f"{folder}: cannot load the model",
            lambda: kind.from_pretrained(
                folder, config=config, weights_only=True, output_loading_info=True, **SAFE
            ),
        )
    if missing := sorted(report["missing_keys"]):
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise EcoformerError(
            f"{folder}: tensor {missing[0]}{more} of the model is missing; save the model again"
        )
    for name, tensor in model.state_dict().items():
        if tensor.is_floating_point() and not tensor.isfinite().all():
            raise EcoformerError(
                f"{folder}: tensor {name} holds numbers that are not finite; save the model again"
            )
    return model.eval()


def load_tokenizer(folder: str | Path) -> Any:
    """The tokenizer in the folder of a model; an EcoformerError if there is none."""
    folder = Path(folder)
    if not any((folder / name).is_file() for name in TOKENIZERS):
        raise EcoformerError(
            f"{folder}: no tokenizer ({', '.join(TOKENIZERS)}); give the model's inputs as .npz"
        )
    with _quiet() as transformers:
        return _loaded(
            f"{folder}: cannot load the tokenizer",
            lambda: transformers.AutoTokenizer.from_pretrained(folder, **SAFE),
        )


TOKENIZERS = (
    "tokenizer.json", "vocab.txt", "vocab.json", "tokenizer.model", "spiece.model", "spm.model",
    "sentencepiece.bpe.model",
)
"""Files that may hold the vocabulary, without which transformers makes up an empty one."""


def _check_config(folder):
    path = folder / "config.json"
    if not path.is_file():
        raise EcoformerError(
            f"{folder}: no config.json; give the folder of a transformers model (save_pretrained)"
        )
    try:
        content = parse_json(read_bytes(path, LARGEST_CONFIG))
        if not isinstance(content, dict):
            raise ValueError("must hold an object")
        if "auto_map" in content:
            raise ValueError("auto_map names code of its own, which is not run")
        for key, value in content.items():
            if "layer" in key and isinstance(value, int) and not 0 <= value <= DEEPEST:
                raise ValueError(f"{key} must be 0…{DEEPEST:,}, not {str(value)[:20]}")
    except ValueError as error:
        raise EcoformerError(f"{path}: cannot load the model ({error})") from error


def _kind(transformers, config):
    """The class of models that the folder was saved from, or the one for its type."""
    names = getattr(config, "architectures", None)
    name = names[0] if isinstance(names, list) and names else None
    kind = getattr(transformers, name, None) if isinstance(name, str) else None
    is_model = isinstance(kind, type) and issubclass(kind, transformers.PreTrainedModel)
    return kind if is_model else transformers.AutoModel


def _check_size(folder, config, kind):
    """Refuse sizes for which the files have no weights, before memory is taken for them."""
    def build():
        with torch.device("meta"):
            return kind.from_config(config) if hasattr(kind, "from_config") else kind(config)

    model = _loaded(f"{folder}: cannot load the model", build)
    weights = sum(p.numel() for p in model.parameters())
    files = [*folder.glob("*.safetensors"), *folder.glob("*.bin")]
    stored = sum(path.stat().st_size for path in files)
    if weights > SPARSEST * stored:
        raise EcoformerError(
            f"{folder}: config.json describes {weights:,} weights, for which {stored:,} bytes are "
            "too few; save the model again"
        )


def _loaded(what, load):
    """What ``load()`` gives; whatever else a foreign library comes to is one error."""
    try:
        return load()
    except EcoformerError:
        raise
    except Exception as error:
        raise EcoformerError(f"{what} ({_cause(error)})") from error


def _cause(error):
    return first_line(error) if str(error) else type(error).__name__


@contextmanager
def _quiet() -> Iterator[Any]:
    """``transformers``, offline and without its progress bars and notes."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    import transformers

    level = transformers.logging.get_verbosity()
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield transformers
    finally:
        transformers.logging.set_verbosity(level)
        transformers.logging.enable_progress_bar()
