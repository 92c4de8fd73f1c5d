"""The networks that learn.py compares: learned, searched, drawn, and like those of the papers."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import product

import numpy as np
from learn_plan import Plan

from hwsearch.deploy.proof import MOST_STDERR
from hwsearch.errors import HwsearchError
from hwsearch.kinds import total_macs
from hwsearch.learn.choose import MARGIN
from hwsearch.learn.confirm import elsewhere
from hwsearch.profiling.remeasure import remeasure_networks
from hwsearch.search.front import read_front
from hwsearch.search.options import SearchOptions
from hwsearch.search.run import search
from hwsearch.space import Space, Subnet
from hwsearch.spaces import get_space

_MBV2 = {f"expansion{n}": 6 for n in (2, 3, 4, 5)} | {f"kernel{n}": 3 for n in (2, 3, 4, 5)}
TRIES = 3
"""Measurements, until one is not in doubt."""


def learned(plan: Plan, seed: int, how: str = "learn") -> tuple[Space, Subnet]:
    """Returns what was learned with a seed."""
    told = json.loads((plan.chosen.keep / plan.name / f"{how}-{seed}/learned.json").read_text())
    return plan.space, plan.space.subnet(**told["subnet"])


def searched(plan: Plan, teacher: str) -> tuple[Space, Subnet]:
    """Returns what a search of the supernet, which sees the training images, picks."""
    out = search(
        SearchOptions(
            tables=(plan.table(plan.chosen.runtime),),
            checkpoint=plan.chosen.supernet,
            images=plan.images,
            teacher=teacher,
            limit=(f"latency_ms<={plan.chosen.latency_ms}",),
            out=plan.chosen.keep / plan.name / f"searched-{teacher}",
        )
    )
    return plan.space, min(read_front(out), key=lambda point: point.distance).subnet


def random_networks(plan: Plan) -> Iterator[Subnet]:
    """Yields networks of the target latency, drawn uniformly among those that have it."""
    rng, target = np.random.default_rng(20), plan.target
    for _ in range(plan.chosen.random):
        while True:
            subnet = plan.space.sample(rng)
            ms = target.latency.mean_ms(plan.space.encode(subnet)[None])[0]
            if abs(ms / target.target_ms - 1) <= MARGIN:
                yield subnet
                break


def mbv2_like(plan: Plan) -> tuple[Space, Subnet]:
    """Returns MobileNetV2's expansion 6 and 3×3 kernels, at the largest size that is no slower."""
    space = get_space("inverted-32")
    return space, _widest(space, plan, _even(space, _MBV2))


def mbv2_fitted(plan: Plan) -> tuple[Space, Subnet]:
    """Returns the same with whatever sizes give the most work in the latency, as predicted."""
    space, fixed = plan.space, {name: (value,) for name, value in _MBV2.items()}
    sizes = [fixed.get(dim.name, dim.choices) for dim in space.dims]
    names = [dim.name for dim in space.dims]
    codes = np.stack(
        [
            space.encode(space.subnet(**dict(zip(names, one, strict=True))))
            for one in product(*sizes)
        ]
    )
    within = plan.target.latency.mean_ms(codes) <= plan.target.target_ms
    return space, space.decode(codes[np.where(within, space.macs(codes), 0).argmax()])


def r18_like(plan: Plan) -> tuple[Space, Subnet]:
    """Returns ResNet-18's two blocks a stage, likewise."""
    space = get_space("basic-32")
    return space, _widest(space, plan, _even(space, {f"depth{n}": 2 for n in (1, 2, 3, 4)}))


def r50_like(plan: Plan) -> tuple[Space, Subnet]:
    """Returns ResNet-50's depths, of which the space has the most blocks a stage, likewise."""
    space = get_space("bottleneck-32")
    deep = {name: value for name, value in space.maximum.as_dict().items() if "depth" in name}
    return space, _widest(space, plan, _even(space, deep))


def _even(space: Space, fixed: dict[str, int]) -> list[Subnet]:
    """Returns networks with some values fixed and all others at the same place of their choices."""
    found = []
    for place in range(3):
        even = {dim.name: dim.choices[place * (len(dim.choices) - 1) // 2] for dim in space.dims}
        found.append(space.subnet(**even | fixed))
    return found


def _widest(space: Space, plan: Plan, networks: Sequence[Subnet]) -> Subnet:
    """Returns the last that is not over the target; the smallest if all are."""
    cost, most = cost_of_networks(space, plan, networks)
    return [networks[0], *(s for s in networks if cost[s] <= most)][-1]


def cost_of_networks(
    space: Space, plan: Plan, networks: Sequence[Subnet]
) -> tuple[dict[Subnet, float], float]:
    """Returns what networks cost, and the most that is allowed.

    That is their latency as measured; elsewhere than on the table's device as predicted, and of
    other spaces multiply-accumulates, of which a learned network's are allowed.
    """
    cost: dict[Subnet, float] = measured_ms(plan, space, networks)
    most = plan.target.target_ms
    if not cost and space == plan.space:
        cost = {s: plan.target.latency.predict_subnet(s).mean_ms[0] for s in networks}
    elif not cost:
        cost = {s: total_macs(space.lower(s)) for s in networks}
        most = total_macs(plan.space.lower(learned(plan, 0)[1]))
    return cost, most


def measured_ms(plan: Plan, space: Space, networks: Sequence[Subnet]) -> dict[Subnet, float]:
    """Measures networks of any space as those of the table were; none on another device.

    Raises:
        HwsearchError: If the machine is too busy; the unit goes on from here when it is run again.
    """
    table = plan.target.table
    if elsewhere(table):
        return {}
    table = replace(table, header=replace(table.header, space=space.name))
    for _ in range(TRIES):
        found = remeasure_networks(networks, table, budget_seconds=4 + 6.0 * len(networks))
        if all(
            one.stderr_rel <= MOST_STDERR and "noisy" not in one.flags for one in found.values()
        ):
            return {subnet: one.latency_ms for subnet, one in found.items()}
    raise HwsearchError(
        "the machine is too busy to measure", fix="Run the unit again when it is not"
    )
