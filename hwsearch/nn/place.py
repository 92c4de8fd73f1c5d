"""Where networks compute, as a user names it."""

from typing import Literal

import torch

from hwsearch.errors import HwsearchError

Device = Literal["auto", "cpu", "cuda"]
Place = Literal["cpu", "cuda"]


def find_place(asked: Device) -> Place:
    """Resolves "auto": a GPU if there is one.

    Raises:
        HwsearchError: If a GPU was asked for and there is none.
    """
    here = torch.cuda.is_available()
    if asked == "auto":
        return "cuda" if here else "cpu"
    if asked not in ("cpu", "cuda"):
        raise HwsearchError(f"unknown device '{asked}'", fix="Use --device auto, cpu or cuda")
    if asked == "cuda" and not here:
        raise HwsearchError("--device cuda, but there is no GPU here", fix="Use --device cpu")
    return asked


def compute_repeatably(place: Place) -> None:
    """Lets convolutions on a GPU give the same numbers each time, in whole float32.

    Distances are small differences: shortened products (TF32) would drown those that matter.
    """
    if place == "cuda":
        torch.backends.cudnn.allow_tf32 = False
        torch.backends.cuda.matmul.allow_tf32 = False
        torch.backends.cudnn.benchmark = False
        torch.backends.cudnn.deterministic = True
