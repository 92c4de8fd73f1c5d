"""Learned architectures: a network of a space, learned without labels to a measured latency."""

from pathlib import Path

from hwsearch.learn.options import LearnOptions

__all__ = ["LearnOptions", "learn"]


def learn(options: LearnOptions) -> Path:
    """Learns which network of a space to take, or goes on with that.

    Returns:
        The run's folder: `learned.json` names the network, and `hwsearch.checkpoint.load_run`
        opens the supernet.

    Raises:
        HwsearchError: If options, images, table or an earlier run do not fit, or training diverges.
    """
    from hwsearch.learn.run import run

    return run(options)
