"""Networks that were never trained: what scores at initialisation and one control look at."""

from dataclasses import replace

import torch
from torch import nn

from hwsearch.checkpoint import Run, build_method
from hwsearch.distance.students import SupernetStudents
from hwsearch.nn import StaticNet
from hwsearch.space import Space, Subnet


def fresh_network(space: Space, subnet: Subnet, seed: int) -> StaticNet:
    """Builds a network with random weights whose residual branches are all in use.

    Args:
        space: Of the network.
        subnet: Which network.
        seed: Chooses the weights.

    Returns:
        It, in training mode.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = StaticNet(space.lower(subnet))
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.ones_(module.weight)
    return net


def with_random_weights(students: SupernetStudents, seed: int) -> SupernetStudents:
    """Returns the same networks of a supernet that was never trained.

    Args:
        students: Of a trained supernet.
        seed: Chooses the weights.
    """
    run, header = students.run, students.run.header
    method = build_method(
        run.space, header.method, header.settings, seed=seed, residual_scale=1.0
    ).requires_grad_(False)
    fresh = Run(run.path, run.space, method, replace(header, step=0), f"random weights {seed}")
    return SupernetStudents(
        fresh,
        students.images,
        weights=students.weights,
        calibration_images=students.calibration_images,
        space=students.space,
        place=students.place,
    )
