"""MoCo v2 on one network by others' means: lightly's parts, and plain PyTorch.

lightly is looked for where the environment variable HWSEARCH_LIGHTLY says, a folder made by
`pip install --no-deps --target FOLDER lightly==1.6.0 lightning_utilities torchvision`.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from copy import deepcopy
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset

TEMPERATURE, EMA, WIDTH, MOMENTUM = 0.2, 0.999, 128, 0.9


class Embedding(nn.Module):
    """The pooled output of one of our static networks."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, images: Tensor) -> Tensor:
        return self.net(images).embedding


class PlainMoco:
    """A MoCo v2 step as it is written from scratch, without elasticity or bookkeeping."""

    def __init__(self, net: nn.Module, width: int, hidden: int, queue: int, device: str) -> None:
        head = nn.Sequential(nn.Linear(width, hidden), nn.ReLU(), nn.Linear(hidden, WIDTH))
        self.query = nn.Sequential(Embedding(net), head).to(device).train()
        self.key = deepcopy(self.query).requires_grad_(False)
        self.optimiser = torch.optim.SGD(self.query.parameters(), lr=0.01, momentum=MOMENTUM)
        self.queue = F.normalize(torch.randn(queue, WIDTH, device=device))
        self.at = 0

    def step(self, query: Tensor, key: Tensor, autocast: torch.autocast) -> None:
        with autocast:
            with torch.no_grad():
                for mine, new in zip(self.key.parameters(), self.query.parameters(), strict=True):
                    mine.lerp_(new, 1 - EMA)
                order = torch.randperm(len(key), device=key.device)
                keys = F.normalize(self.key(key[order])[order.argsort()].float())
            queries = F.normalize(self.query(query).float())
        positive = (queries * keys).sum(1, keepdim=True)
        logits = torch.cat([positive, queries @ self.queue.T], 1) / TEMPERATURE
        loss = F.cross_entropy(logits, torch.zeros(len(logits), dtype=torch.long).to(key.device))
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        self.optimiser.step()
        self.queue[self.at : self.at + len(keys)] = keys
        self.at = (self.at + len(keys)) % len(self.queue)


class LightlyMoco:
    """The same step from lightly's parts, as its MoCo example puts them together."""

    def __init__(self, net: nn.Module, width: int, hidden: int, queue: int, device: str) -> None:
        load_lightly()
        from lightly.loss import NTXentLoss
        from lightly.models.modules import MoCoProjectionHead
        from lightly.models.utils import deactivate_requires_grad

        self.backbone = Embedding(net).to(device).train()
        self.head = MoCoProjectionHead(width, hidden, WIDTH).to(device)
        self.pairs = [(module, deepcopy(module)) for module in (self.backbone, self.head)]
        for _, slow in self.pairs:
            deactivate_requires_grad(slow)
        self.loss = NTXentLoss(TEMPERATURE, memory_bank_size=(queue, WIDTH)).to(device)
        weights = [*self.backbone.parameters(), *self.head.parameters()]
        self.optimiser = torch.optim.SGD(weights, lr=0.01, momentum=MOMENTUM)

    def step(self, query: Tensor, key: Tensor, autocast: torch.autocast) -> None:
        from lightly.models.utils import (
            batch_shuffle,
            batch_unshuffle,
            update_momentum,
        )

        (backbone, slow_backbone), (head, slow_head) = self.pairs
        for fast, slow in self.pairs:
            update_momentum(fast, slow, EMA)
        with autocast:
            queries = head(backbone(query).flatten(1))
            with torch.no_grad():
                mixed, order = batch_shuffle(key)
                keys = batch_unshuffle(slow_head(slow_backbone(mixed).flatten(1)), order)
            loss = self.loss(queries, keys)
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step()


class Pictures(Dataset):
    """Decoded images behind lightly's transform."""

    def __init__(self, images: np.ndarray, side: int) -> None:
        load_lightly()
        from lightly.transforms import MoCoV2Transform

        self.images, self.transform = images, MoCoV2Transform(input_size=side)

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Any:
        query, key = self.transform(Image.fromarray(self.images[index]))
        return query, key


def lightly_batches(
    images: np.ndarray, side: int, batch: int, workers: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yields augmented batches for ever; images are uint8[N, H, W, 3]."""
    pictures = Pictures(images, side)
    loader = DataLoader(
        pictures,
        batch,
        shuffle=True,
        drop_last=True,
        num_workers=workers,
        persistent_workers=workers > 0,
    )
    while True:
        yield from loader


def load_lightly() -> None:
    """Makes lightly importable beside a PyTorch that torchvision was not built for."""
    if "lightly" in sys.modules:
        return
    sys.path.append(os.environ["HWSEARCH_LIGHTLY"])
    with suppress(ImportError, RuntimeError):
        import torchvision  # noqa: F401

        return
    operators = torch.library.Library("torchvision", "DEF")
    for name in ("nms", "qnms"):
        operators.define(f"{name}(Tensor boxes, Tensor scores, float iou_threshold) -> Tensor")
    load_lightly.operators = operators  # type: ignore[attr-defined]  # they live as long as it


def have_lightly() -> bool:
    """Whether lightly can be compared with."""
    return bool(os.environ.get("HWSEARCH_LIGHTLY"))
