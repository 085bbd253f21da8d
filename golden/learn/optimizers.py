# SPDX-License-Identifier: Apache-2.0
"""Optimizers of the row of one bit, on numpy arrays."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np

__all__ = ["OPTIMIZERS", "Optimizer"]


def _nesterov(a, lr=5e-4, momentum=0.9):
    """Steps of SGD with Nesterov momentum on ``a``, in place."""
    velocity = np.zeros_like(a)

    def step(gradient):
        nonlocal velocity
        velocity = momentum * velocity + gradient
        a[...] -= lr * (gradient + momentum * velocity)

    return step


def _adam(a, lr=0.05, weight_decay=1.0, beta1=0.9, beta2=0.999, epsilon=1e-8):
    """Steps of AdamW on ``a``, in place."""
    first, second, steps = np.zeros_like(a), np.zeros_like(a), 0

    def step(gradient):
        nonlocal first, second, steps
        steps += 1
        a[...] *= 1 - lr * weight_decay
        first = beta1 * first + (1 - beta1) * gradient
        second = beta2 * second + (1 - beta2) * gradient * gradient
        size = np.sqrt(second / (1 - beta2**steps)) + epsilon
        a[...] -= lr / (1 - beta1**steps) * first / size

    return step


class Optimizer(NamedTuple):
    """How the row of one bit descends.

    Parameters
    ----------
    steps : callable
        Gives a function that takes a gradient and steps, for an array that it changes in place.
    whitens : bool
        Whether it steps in coordinates in which the features are uncorrelated: kernel values of
        close anchors are nearly the same, and what tells tokens apart is their small differences.
    """

    steps: Callable
    whitens: bool = False


OPTIMIZERS = {
    "sgd": Optimizer(_nesterov),
    "adam": Optimizer(_adam),
    "whitened": Optimizer(partial(_adam, lr=0.2, weight_decay=0.3), whitens=True),
}
"""Optimizers of a row, by name.

Decay keeps Adam from separating tokens that lie close together by large coefficients of opposite
sign, whose bits would flip as soon as tokens and coefficients are rounded to int8.
"""
