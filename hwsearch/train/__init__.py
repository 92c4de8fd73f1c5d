"""Supernet training: options, one step, and a run that can be killed and resumed."""

from pathlib import Path

from hwsearch.train.options import TrainOptions

__all__ = ["TrainOptions", "train"]


def train(options: TrainOptions) -> Path:
    """Trains a supernet on unlabelled images, or goes on with a run.

    Returns:
        The run's folder; `hwsearch.checkpoint.load_run` opens it.

    Raises:
        HwsearchError: If options, images or an earlier run do not fit, or training diverges.
    """
    from hwsearch.train.loop import run

    return run(options)
