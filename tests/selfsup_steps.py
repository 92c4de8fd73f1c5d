"""Methods on the tiny space, and training steps for them."""

from dataclasses import replace

import pytest
import torch
from tiny_space import TINY
from torch import nn

from hwsearch.checkpoint import build_method
from hwsearch.selfsup import method_names
from hwsearch.selfsup.base import Method, Views
from hwsearch.selfsup.distil import TaughtMethod
from hwsearch.selfsup.external import ExternalTeacher
from hwsearch.selfsup.settings import MethodSettings, resolve

BATCH, WIDTH = 8, 12
TAUGHT = ("byol+relations", "distil+relations", "moco-v2+features")
"""Methods with what they learn from an external teacher."""

every_method = pytest.mark.parametrize("name", [*method_names(), *TAUGHT])
"""Gives a test each registered name, and some of methods beside an external teacher."""


def small_settings(name: str, **changes: object) -> MethodSettings:
    """Returns a method's own settings with small heads and a queue of three batches."""
    method, _, distil = name.partition("+")
    small = {"projection_hidden": 16} | ({"projection": WIDTH} if method != "distil" else {})
    settings = resolve(method, small, images=12 * BATCH, batch=BATCH)
    if distil or method == "distil":
        settings = replace(settings, distil=distil or "features", teacher_width=WIDTH)
    return replace(settings, predictor_hidden=16, grid=3, **changes)


def make_teacher() -> ExternalTeacher:
    net = nn.Sequential(nn.Conv2d(3, WIDTH, 3), nn.BatchNorm2d(WIDTH), nn.ReLU())
    net.extend([nn.AdaptiveAvgPool2d(1), nn.Flatten()])
    return ExternalTeacher(net, side=6, origin="a test")


def make_method(name: str, **changes: object) -> Method:
    settings, method = small_settings(name, **changes), name.partition("+")[0]
    built = build_method(TINY, method, settings, seed=0, residual_scale=1.0)
    return follow(built)


def follow(method: Method) -> Method:
    """Gives a method that needs one the same teacher each time."""
    if isinstance(method, TaughtMethod):
        with torch.random.fork_rng():
            torch.manual_seed(0)
            method.follow(make_teacher())
    return method


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
