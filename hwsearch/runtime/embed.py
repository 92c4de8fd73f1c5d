"""Feeds any number of prepared images through an engine of fixed batch."""

from collections.abc import Iterable

import numpy as np

from hwsearch.runtime.base import Engine


def embed(
    engine: Engine, inputs_NCHW: np.ndarray, *, input_name: str, output_name: str, batch: int
) -> np.ndarray:
    """Computes embeddings; the last batch is filled up with zeros.

    Args:
        engine: A loaded engine.
        inputs_NCHW: What the engine takes, N at least 1.
        input_name: Name of the engine's input.
        output_name: Name of the output [batch, E] or [batch, E, 1, 1].
        batch: Images a call.

    Returns:
        float32[N, E].
    """
    feed = np.zeros((batch, *inputs_NCHW.shape[1:]), inputs_NCHW.dtype)
    rows = []
    for start in range(0, len(inputs_NCHW), batch):
        chunk = inputs_NCHW[start : start + batch]
        feed[: len(chunk)] = chunk
        given = engine.run({input_name: feed})[output_name].reshape(batch, -1)
        rows.append(given[: len(chunk)])
    return np.concatenate(rows, dtype=np.float32)


def embed_all(
    engine: Engine,
    chunks: Iterable[np.ndarray],
    *,
    input_name: str,
    output_name: str,
    batch: int,
) -> np.ndarray:
    """Computes embeddings of images that come in chunks, float32[N, E]; see `embed`."""
    found = (
        embed(engine, chunk, input_name=input_name, output_name=output_name, batch=batch)
        for chunk in chunks
    )
    return np.concatenate(list(found))
