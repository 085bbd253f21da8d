# SPDX-License-Identifier: Apache-2.0
"""Which attention of a network is replaced: everything that was found, or what was asked for."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase

from torch import nn

from ecoformer.errors import EcoformerError
from ecoformer.golden.attention_config import AttentionConfig
from ecoformer.golden.kinds import KINDS
from ecoformer.golden.sites.probe import probe
from ecoformer.golden.sites.site import Site

__all__ = ["choose_sites", "find_sites"]


def find_sites(model: nn.Module, run: Callable[[], object]) -> list[Site]:
    """Every attention of ``model`` while ``run()`` runs it once, in the order of use.

    Raises
    ------
    EcoformerError
        There is none.
    """
    sites = probe(model, run)
    if not sites:
        raise EcoformerError(
            f"{type(model).__name__}: no attention that can be replaced; it must call "
            "scaled_dot_product_attention or torch.nn.MultiheadAttention"
        )
    return sites


def choose_sites(
    sites: Sequence[Site],
    config: AttentionConfig,
    only: Sequence[str] = (),
    skip: Sequence[str] = (),
    name: str = "model",
    kinds: Sequence[str] = tuple(KINDS),
) -> list[Site]:
    """The same sites; those that are not to be replaced have a reason.

    Parameters
    ----------
    sites : list of Site
    config : AttentionConfig
    only, skip : list of str
        Patterns of paths, as of a shell. A pattern also stands for all that is inside the modules
        that it matches. Without ``only`` all sites are chosen but those to skip.
    name : str
        Of the model, for messages.
    kinds : list of str
        Kinds of attention that are replaced (:data:`golden.kinds.KINDS`), such as those that have
        an engine. Sites of others are left; it is an error if ``only`` asks for one.

    Raises
    ------
    EcoformerError
        A chosen site cannot be replaced or has no engine, a pattern matches nothing, or nothing
        remains.
    """
    for pattern in (*only, *skip):
        if not any(_matches(site, pattern) for site in sites):
            paths = ", ".join(dict.fromkeys(site.path for site in sites))
            raise EcoformerError(f"{name}: {pattern!r} matches no attention; there is {paths}")
    chosen = [_chosen(site, config, only, skip, kinds) for site in sites]
    left = (ONLY, SKIP, *([] if only else map(_no_engine, KINDS)))
    wanted = [now for now in chosen if now.reason not in left]
    refused = [site for site in wanted if site.reason is not None]
    if refused and len(refused) < len(sites):
        more = f" and {len(refused) - 1} more" if len(refused) > 1 else ""
        raise EcoformerError(
            f"{name}, {refused[0].name}{more}: {refused[0].reason}; skip {refused[0].path!r} to "
            "convert the rest"
        )
    if refused or not wanted:
        reason = (refused or chosen)[0]
        raise EcoformerError(
            f"{name}: no attention that can be replaced; {reason.name}: {reason.reason}"
        )
    return chosen


SKIP = "skipped"
ONLY = "not chosen"


def _no_engine(kind):
    fields = " and ".join(f"{name} = {value!r}" for name, value in KINDS[kind].items())
    return f"{kind} attention, which needs an engine with {fields}"


def _chosen(site, config, only, skip, kinds):
    if any(_matches(site, pattern) for pattern in skip):
        return replace(site, reason=SKIP)
    if only and not any(_matches(site, pattern) for pattern in only):
        return replace(site, reason=ONLY)
    reason = site.reason or _unfit(site, config)
    if reason is None and site.kind not in kinds:
        reason = _no_engine(site.kind)
    return replace(site, reason=reason)


def _matches(site, pattern):
    words = site.path.split(".")
    heads = (".".join(words[:end]) for end in range(1, len(words) + 1))
    return any(fnmatchcase(head, pattern) for head in heads)


def _unfit(site, config):
    """Why ``config`` does not go with ``site``, or None."""
    rules = UNFIT.items()
    return next((why for rule, why in rules if rule(site, config)), None)


UNFIT = {
    lambda site, config: site.cross and config.value_term == "own":
        "value_term = 'own' needs as many queries as keys",
    lambda site, config: site.mask == "causal" and config.bandwidth == "per-sequence":
        "bandwidth = 'per-sequence' sees tokens that a causal mask hides",
}
"""What does not go together, and why."""
