"""Where networks to choose from come from: a supernet, paths of clusters, networks of their own."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from hwsearch.checkpoint import Run, load_run
from hwsearch.choice.options import ChooseOptions
from hwsearch.clusters.files import read_clusters
from hwsearch.distance import SupernetStudents, TargetImages
from hwsearch.evaluate.frozen import Embed, FrozenFeatures
from hwsearch.latency.fit import fit_latency
from hwsearch.latency.table import Table
from hwsearch.nn.place import find_place
from hwsearch.routing.networks import PathRun
from hwsearch.space import Space, Subnet
from hwsearch.spaces import get_space

SUPERNET, PATHS, LEARNED = "supernet", "paths", "learned"


@dataclass(frozen=True, eq=False)
class Pool:
    """Networks of one training run.

    Attributes:
        name: Names a journal.
        run: Holds their weights.
        space: Whose latency tables tell their latencies.
        networks: By name, as networks of that space.
        paths: What the networks are trained on, if they are paths.
    """

    name: str
    run: Run
    space: Space
    networks: dict[str, Subnet]
    paths: PathRun | None = None

    @property
    def origin(self) -> dict[str, Any]:
        """Returns what names the weights, for the header of a journal."""
        tree = {"clusters": self.paths.clusters.fingerprint} if self.paths else {}
        return {"checkpoint": self.run.fingerprint, "space": self.space.name, **tree}

    def embedder(self, images: TargetImages, options: ChooseOptions) -> Embed:
        """Returns what computes features, each network calibrated on the first of the images."""
        students = self.students(images, options)
        if (paths := self.paths) is not None:
            names = {subnet: name for name, subnet in self.networks.items()}
            return lru_cache(maxsize=1)(lambda subnet: paths.embeddings(names[subnet], students))
        frozen = FrozenFeatures(students, images)
        return lambda subnet: frozen(self._own(subnet))

    def students(self, images: TargetImages, options: ChooseOptions) -> SupernetStudents:
        """Opens the run's networks on images."""
        return SupernetStudents(
            self.run,
            images,
            weights=options.weights,
            calibration_images=options.calibration_images,
            place=find_place(options.device),
        )

    def _own(self, subnet: Subnet) -> Subnet:
        """Returns a network as one of the run's space, which may hold it alone."""
        return self.run.space.subnet(**subnet.as_dict())


def open_pools(options: ChooseOptions, tables: tuple[Table, ...]) -> tuple[Pool, ...]:
    """Opens all runs; networks of the supernet are drawn by the latencies of the first table.

    Raises:
        HwsearchError: If a run cannot be used.
    """
    return tuple(_opened(options, tables))


def _opened(options: ChooseOptions, tables: tuple[Table, ...]) -> Iterator[Pool]:
    run = load_run(options.checkpoint)
    table = next((one for one in tables if one.space == run.space.name), tables[0])
    drawn = draw_networks(table, run.space, options.networks, options.seed)
    yield Pool(SUPERNET, run, run.space, {str(subnet): subnet for subnet in drawn})
    if options.paths is not None and options.clusters is not None:
        paths = PathRun.of(load_run(options.paths), read_clusters(options.clusters))
        yield Pool(PATHS, paths.run, paths.run.space, paths.subnets, paths)
    for number, folder in enumerate(options.learned, 1):
        run = load_run(folder)
        space = get_space(run.space.name.partition("[")[0])
        network = space.subnet(**run.space.maximum.as_dict())
        yield Pool(f"{LEARNED}-{number}", run, space, {f"{space.name}[{network}]": network})


def draw_networks(table: Table, space: Space, count: int, seed: int) -> list[Subnet]:
    """Draws different networks, evenly over the logarithm of their predicted latency.

    Args:
        table: Predicts it.
        space: Of the networks.
        count: How many; fewer if the space has no more.
        seed: Chooses them.

    Raises:
        HwsearchError: If the table is of another space.
    """
    rng = np.random.default_rng(seed)
    codes = np.unique(space.pool(rng), axis=0)
    logs = np.log(fit_latency(table, space).mean_ms(codes))
    chosen: list[int] = []
    left = np.ones(len(codes), dtype=bool)
    for aim in np.linspace(logs.min(), logs.max(), min(count, len(codes))):
        off = np.where(left, np.abs(logs - aim), np.inf)
        nearest = np.flatnonzero(off <= off.min() + _NEAR)
        chosen.append(int(rng.choice(nearest)))
        left[chosen[-1]] = False
    return [space.decode(codes[at]) for at in chosen]


_NEAR = 0.01
"""Networks within a hundredth of a latency are equally near to it."""
