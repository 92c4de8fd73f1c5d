"""An external teacher: the largest network of a run, as `hwsearch train --teacher` takes it.

The environment variables TUTOR_RUN, a folder of `hwsearch train`, and TUTOR_IMAGES, a folder with
train-*.tar.gz to calibrate on, say which.
"""

import os
from pathlib import Path

import judges
from torch import nn

from hwsearch.checkpoint import load_run

SIDE = 32


class Features(nn.Module):
    """The pooled output of a network."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, images):
        return self.net(images).embedding


def teacher() -> nn.Module:
    """Returns the network, calibrated."""
    run = load_run(Path(os.environ["TUTOR_RUN"]))
    judge = judges.Judge(Path(os.environ["TUTOR_IMAGES"]), SIDE)
    return Features(judge.calibrated(run.supernet().extract(run.space.maximum)))
