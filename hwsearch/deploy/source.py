"""What a delivery starts from: the results of a search, or one network without a search."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from hwsearch.deploy.options import DeployOptions
from hwsearch.search.evaluations import Evaluations, Target, Yardstick
from hwsearch.search.front import FrontPoint, describe
from hwsearch.search.inputs import SearchInputs, open_inputs
from hwsearch.search.options import SearchOptions
from hwsearch.spaces.precisions import PRECISION, PrecisionSpace


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
        yield inputs, _described(inputs, options.subnet)


def _described(inputs: SearchInputs, text: str) -> FrontPoint:
    space, (device,), table = inputs.space, inputs.devices(), inputs.table()
    if isinstance(space, PrecisionSpace):
        values = space.plain.parse(text).as_dict() | {PRECISION: table.precision}
        subnet = space.subnet(**values)
    else:
        subnet = space.parse(text)
    codes, images = space.encode(subnet)[None], inputs.students.images.fingerprint
    evaluated = Evaluations(
        space,
        Yardstick(inputs.distance_name, inputs.teacher.fingerprint, images),
        (Target.of(table),),
        codes,
        distance=np.array([inputs.distance()(subnet)]),
        latency_ms=device.costs.latency.mean_ms(codes)[:, None],
    )
    (point,) = describe(evaluated, np.array([0]), device.costs)
    return point
