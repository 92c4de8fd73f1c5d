"""Some images' part of what a step holds about all of them.

The shape suffix of a name tells: `keys_BD` has a row for each image of the batch, `image_2BD` two
views of the batch one after the other, `keys_KD` none.
"""

import re
from dataclasses import fields, is_dataclass, replace
from typing import TypeVar

from torch import Tensor

T = TypeVar("T")
_PER_IMAGE = re.compile(r"_2?B[A-Z]*$")


def rows_of(held: T, rows: slice, batch: int) -> T:
    """Returns what holds for some images.

    Args:
        held: A dataclass of tensors, of others like it and of what is no tensor; or what is none.
        rows: Which images.
        batch: How many images there are.
    """
    if not is_dataclass(held) or isinstance(held, type):
        return held
    parts = {}
    for field in fields(held):
        value = getattr(held, field.name)
        if not isinstance(value, Tensor):
            parts[field.name] = rows_of(value, rows, batch)
        elif _PER_IMAGE.search(field.name):
            parts[field.name] = value.unflatten(0, (-1, batch))[:, rows].flatten(0, 1)
    return replace(held, **parts)
