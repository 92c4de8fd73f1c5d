"""Backbones with weights that all count."""

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from hwsearch.layers import MEAN, STD
from hwsearch.nn.backbone import Backbone
from hwsearch.spaces import get_space


def backbone_of(space: str, network: str = "max", *, gives_maps: bool = False) -> Backbone:
    """Returns a network with seeded weights, all of which count."""
    family = get_space(space)
    subnet = family.parse(network)
    torch.manual_seed(0)
    net = Backbone(
        subnet, family.lower(subnet), gives_maps=gives_maps, mean=(MEAN,) * 3, std=(STD,) * 3
    )
    for name, value in net.state_dict().items():
        if value.dim() == 1:  # norms and biases, many of which start at one or zero
            ends = (-0.1, 0.1) if name.endswith(("bias", "mean")) else (0.5, 1)
            nn.init.uniform_(value, *ends)
    return net.eval()


def side_of(net: Backbone) -> int:
    return net.default_cfg["input_size"][-1]


def images_for(net: Backbone, count: int = 2) -> Tensor:
    return torch.randn(count, 3, side_of(net), side_of(net))


def edit(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
