"""Feeds any number of prepared images through an engine of fixed batch."""

import numpy as np

from hwsearch.deploy.manifest import Input, Output
from hwsearch.runtime.base import Engine


def embed(engine: Engine, inputs_NCHW: np.ndarray, takes: Input, gives: Output) -> np.ndarray:
    """Computes embeddings; the last batch is filled up with zeros.

    Args:
        engine: A loaded engine.
        inputs_NCHW: Normalised float32 inputs.
        takes: The engine's input.
        gives: The engine's output.

    Returns:
        float32[N, E].
    """
    count, batch = len(inputs_NCHW), takes.batch
    embeddings_NE = np.empty((count, gives.width), np.float32)
    feed = np.zeros((batch, *inputs_NCHW.shape[1:]), np.float32)
    for start in range(0, count, batch):
        chunk = inputs_NCHW[start : start + batch]
        feed[: len(chunk)] = chunk
        rows = engine.run({takes.name: feed})[gives.name].reshape(batch, -1)
        embeddings_NE[start : start + batch] = rows[: len(chunk)]
    return embeddings_NE
