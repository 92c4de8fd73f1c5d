"""Feeds any number of prepared images through an engine of fixed batch."""

from collections.abc import Iterable, Sequence

import numpy as np

from hwsearch.runtime.base import Engine

AT_ONCE = 64
"""Most images that an engine which takes any number is given in one call."""


def compute(
    engine: Engine,
    inputs_NCHW: np.ndarray,
    *,
    input_name: str,
    outputs: Sequence[str],
    batch: int,
    any_batch: bool = False,
) -> tuple[np.ndarray, ...]:
    """Computes outputs of any number of images; the last batch is filled up with zeros.

    Args:
        engine: A loaded engine.
        inputs_NCHW: What the engine takes, N at least 1.
        input_name: Name of the engine's input.
        outputs: Names of outputs, each [batch, ...].
        batch: Images a call.
        any_batch: Give the engine, which takes any number, `AT_ONCE` a call and never zeros.

    Returns:
        float32[N, ...] each, in the order of the names.
    """
    batch = AT_ONCE if any_batch else batch
    parts: list[list[np.ndarray]] = [[] for _ in outputs]
    for start in range(0, len(inputs_NCHW), batch):
        chunk = feed = inputs_NCHW[start : start + batch]
        if len(chunk) < batch and not any_batch:
            feed = np.zeros((batch, *chunk.shape[1:]), chunk.dtype)
            feed[: len(chunk)] = chunk
        given = engine.run({input_name: feed})
        for part, name in zip(parts, outputs, strict=True):
            part.append(given[name][: len(chunk)])
    return tuple(np.concatenate(part, dtype=np.float32) for part in parts)


def embed(
    engine: Engine, inputs_NCHW: np.ndarray, *, input_name: str, output_name: str, batch: int
) -> np.ndarray:
    """Computes an output [batch, E] or [batch, E, 1, 1] as float32[N, E]; see `compute`."""
    (found,) = compute(
        engine, inputs_NCHW, input_name=input_name, outputs=(output_name,), batch=batch
    )
    return found.reshape(len(found), -1)


def embed_all(
    engine: Engine,
    chunks: Iterable[np.ndarray],
    *,
    input_name: str,
    output_name: str,
    batch: int,
) -> np.ndarray:
    """Computes embeddings of images that come in chunks, float32[N, E]; see `compute`."""
    found = (
        embed(engine, chunk, input_name=input_name, output_name=output_name, batch=batch)
        for chunk in chunks
    )
    return np.concatenate(list(found))
