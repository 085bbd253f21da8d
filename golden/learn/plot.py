# SPDX-License-Identifier: Apache-2.0
"""Curves of a training: losses and accuracies of all its runs, epoch by epoch."""

from pathlib import Path

import matplotlib
from matplotlib.figure import Figure

from ecoformer.files import rendered, write_atomic

__all__ = ["save_curves"]

PANELS = {"loss": "training loss", "validation_accuracy": "validation accuracy"}


def save_curves(path: str | Path, histories: dict[str, list[dict]], title: str) -> None:
    """Write a panel for the loss and one for the accuracy.

    Parameters
    ----------
    path : Path
        The suffix chooses the format.
    histories : dict of str to list of dict
        Of each run, by its name, as :meth:`golden.learn.fit.Fitter.fit` gives them.
    title : str
    """
    path = Path(path)
    with matplotlib.rc_context({"font.size": 9, "svg.hashsalt": "ecoformer"}):
        figure = Figure(figsize=(9, 3.4), layout="constrained")
        for axis, (name, label) in zip(figure.subplots(1, len(PANELS)), PANELS.items()):
            for run, history in histories.items():
                epochs = [entry["epoch"] for entry in history]
                axis.plot(epochs, [entry[name] for entry in history], ".-", label=run)
            axis.set_title(label, loc="left", fontsize=9)
            axis.set_xlabel("epoch")
            axis.spines[["top", "right"]].set_visible(False)
        axis.legend(frameon=False, fontsize=8)
        figure.suptitle(title, x=0.01, ha="left", weight="bold")
        suffix = path.suffix[1:]
        write_atomic(path, rendered(lambda file: figure.savefig(file, format=suffix, dpi=150)))
