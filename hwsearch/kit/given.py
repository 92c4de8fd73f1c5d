"""What an engine gives for the stored images, as one row of the results, and back.

Shapes: N stored images.
"""

import base64
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

_DTYPE = np.dtype("<f4")


def given_row(files: Mapping[str, str], outputs: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Returns the row.

    Args:
        files: Hashes of the files that the engine consists of, by name, the main file first.
        outputs: float[N, ...] by name.
    """
    return {
        "given": {
            name: base64.b64encode(np.ascontiguousarray(array, _DTYPE).tobytes()).decode()
            for name, array in outputs.items()
        },
        "files": dict(files),
    }


def given_outputs(
    row: Mapping[str, Any], shapes: Mapping[str, tuple[int, ...]]
) -> dict[str, np.ndarray]:
    """Reads the outputs of a row, float32 by name.

    Args:
        row: What `given_row` gave.
        shapes: Of the outputs, [N, ...].

    Raises:
        ValueError: If they are others than these.
    """
    if set(row["given"]) != set(shapes):
        raise ValueError("other outputs than the network has")
    found = {}
    for name, shape in shapes.items():
        data = base64.b64decode(row["given"][name], validate=True)
        if len(data) != _DTYPE.itemsize * int(np.prod(shape)):
            raise ValueError(f"an output has {len(data)} bytes")
        found[name] = np.frombuffer(data, _DTYPE).reshape(shape)
    return found


def last_given(rows: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """Returns the last such row of the results, or None if there is none yet."""
    return next((row for row in reversed(rows) if "given" in row), None)
