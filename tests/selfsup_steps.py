"""Methods on the tiny space, and training steps for them."""

from dataclasses import replace

import pytest
import torch
from tiny_space import TINY

from hwsearch.nn import Supernet
from hwsearch.selfsup import get_method, method_names
from hwsearch.selfsup.base import Method, Views
from hwsearch.selfsup.settings import MethodSettings, resolve

BATCH = 8
SMALL = {"projection_hidden": 16, "projection": 12}

every_method = pytest.mark.parametrize("name", method_names())
"""Gives a test each registered name."""


def small_settings(name: str, **changes: object) -> MethodSettings:
    """Returns a method's own settings with small heads and a queue of three batches."""
    settings = resolve(name, SMALL, images=12 * BATCH, batch=BATCH)
    return replace(settings, predictor_hidden=16, grid=3, **changes)


def make_method(name: str, **changes: object) -> Method:
    torch.manual_seed(0)
    return get_method(name)(Supernet(TINY, residual_scale=1.0), small_settings(name, **changes))


def make_views(step: int = 0) -> Views:
    """Returns random views; every second step has the same images."""
    generator = torch.Generator().manual_seed(step + 100)
    query, key = (torch.randn(BATCH, 3, 8, 8, generator=generator) for _ in range(2))
    return Views(query, key, torch.arange(BATCH) + BATCH * (step % 2), step, step / 10)


def train_step(method: Method, views: Views, subnets) -> None:
    trained = [p for p in method.parameters() if p.requires_grad]
    optimiser = torch.optim.SGD(trained, lr=0.1)
    optimiser.zero_grad()
    targets = method.targets(views)
    for subnet in subnets:
        method(views, targets, subnet)["loss"].backward()
    optimiser.step()
    method.after_step()
