"""The package lightly, unpacked in a folder: an independent word on what losses are."""

import os
import sys
from importlib import import_module
from types import ModuleType

import pytest
import torch

VARIABLE = "HWSEARCH_LIGHTLY"
_OPERATORS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)
"""What torchvision registers before it can be imported, if its binary does not fit this torch."""


def import_lightly(module: str) -> ModuleType:
    """Imports a module of lightly, or skips the test and says why."""
    folder = os.environ.get(VARIABLE)
    if not folder:
        pytest.skip(f"{VARIABLE} names no folder with lightly and lightning_utilities")
    if folder not in sys.path:
        sys.path.append(folder)
        define_torchvision_operators()
    return import_module(f"lightly.{module}")


def define_torchvision_operators() -> None:
    """Makes torchvision importable beside a torch that its binary does not fit."""
    if hasattr(torch.ops.torchvision, "nms"):
        return
    library = torch.library.Library("torchvision", "FRAGMENT")
    for signature in _OPERATORS:
        library.define(signature)
    define_torchvision_operators.library = library  # its operators live as long as it does
