"""What a delivery starts from: the results of a search, or one network without a search."""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np

from hwsearch.deploy.options import DeployOptions
from hwsearch.errors import HwsearchError
from hwsearch.heads import parse_ships
from hwsearch.latency.table import Table
from hwsearch.search.confirmed import confirmed_devices, with_latencies
from hwsearch.search.costs import Costs
from hwsearch.search.evaluations import Evaluations, Target, Yardstick, label_of
from hwsearch.search.front import FrontPoint, describe
from hwsearch.search.inputs import SearchInputs, open_inputs
from hwsearch.search.options import SearchOptions
from hwsearch.shipped import Shipped
from hwsearch.space import Subnet
from hwsearch.spaces.precisions import PrecisionSpace, in_precision


@contextmanager
def open_network(options: DeployOptions) -> Iterator[tuple[SearchInputs, FrontPoint]]:
    """Opens one network of a checkpoint or a catalogue as if a search had found it.

    Yields:
        What a search of its table would have read, and the network, on no front.

    Raises:
        HwsearchError: If something is missing or does not fit together.
    """
    with tempfile.TemporaryDirectory(prefix="hwsearch-") as folder:
        inputs = open_inputs(
            SearchOptions(
                device="cpu",
                tables=(options.table,),
                tables_dir=options.tables_dir,
                checkpoint=options.checkpoint,
                images=options.images,
                max_images=options.max_images,
                teacher=options.teacher,
                task=options.task,
                weights=options.weights,
                out=Path(folder),
            )
        )
        space = inputs.space
        plain = space.plain if isinstance(space, PrecisionSpace) else space
        yield inputs, point_of(inputs, inputs.table(), plain.parse(options.subnet))


def point_of(inputs: SearchInputs, table: Table, network: Subnet) -> FrontPoint:
    """Returns a network for a table as if a search had found it, on no front.

    Args:
        inputs: Of the search.
        table: One of its tables; the network is to compute in its precision.
        network: Of the table's space.
    """
    space = inputs.space
    network = in_precision(space, network, table.precision)
    costs = Costs.fit(table, Shipped(space, parse_ships(inputs.options.ships)))
    codes, images = space.encode(network)[None], inputs.students.images.fingerprint
    evaluated = Evaluations(
        space,
        Yardstick(inputs.distance_name, inputs.teacher.fingerprint, images),
        (Target.of(table),),
        codes,
        distance=np.array([inputs.distance()(network)]),
        latency_ms=costs.latency.mean_ms(codes)[:, None],
    )
    (point,) = describe(evaluated, np.array([0]), costs)
    return point


def evaluated_point(inputs: SearchInputs, tables: Sequence[Table], number: float) -> FrontPoint:
    """Returns a network that a search has evaluated, as the search knows it, on no front.

    Args:
        inputs: Of the search.
        tables: Some of its tables; the network is for the one that it is fastest on.
        number: Which of its evaluations, counted from 0.

    Raises:
        HwsearchError: If there is none of that number, or it computes in another precision than the
            tables' engines.
    """
    folder, labels = inputs.options.out, [label_of(table) for table in tables]
    found = Evaluations.read(folder)
    known = number in range(len(found.codes))
    labels = [one for one in labels if known and found.runs_on(found.target(one))[int(number)]]
    if not labels:
        raise HwsearchError(
            f"the search has no evaluation {number:.12g} on {' or '.join(map(label_of, tables))}",
            where=folder,
            fix="Use a number that the page of hwsearch report tells",
        )
    row = int(number)
    every = confirmed_devices(folder, inputs.devices(), inputs.tables)
    devices = [every[inputs.labels.index(label)] for label in labels]
    now = with_latencies(found, devices)
    points = [describe(now, np.array([row]), device.costs)[0] for device in devices]
    point = min(points, key=lambda point: point.latency_ms)
    if row in found.stopped:  # then its distance is an estimate from some of the images
        return replace(point, distance=inputs.distance()(point.subnet))
    return point
