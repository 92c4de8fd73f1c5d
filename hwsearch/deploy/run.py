"""Deploy: from a chosen network to a verified engine in a folder of its own."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from hwsearch.deploy.assemble import Assembler, engine_distance
from hwsearch.deploy.budget import COST, open_budget, target_tables
from hwsearch.deploy.build import build_here
from hwsearch.deploy.classifier import ClassifierHead
from hwsearch.deploy.dense import DenseHead
from hwsearch.deploy.far import why_elsewhere, write_build_folder
from hwsearch.deploy.options import DeployOptions
from hwsearch.deploy.originals import Calls
from hwsearch.deploy.precisions import AUTO, searched_for, with_siblings
from hwsearch.deploy.source import evaluated_point, open_network, point_of
from hwsearch.deploy.tell import tell_build_folder
from hwsearch.deploy.workplace import check_free, workplace
from hwsearch.errors import HwsearchError
from hwsearch.evaluate.dense.detection import Detection
from hwsearch.evaluate.dense.segmentation import Segmentation
from hwsearch.evaluate.judges import load_data
from hwsearch.evaluate.labelled import LabelledImages
from hwsearch.latency.table import Table
from hwsearch.progress import say
from hwsearch.search.evaluations import label_of
from hwsearch.search.fleet import pick_network
from hwsearch.search.front import FrontPoint
from hwsearch.search.inputs import SearchInputs, open_search
from hwsearch.search.pick import budget_ms, evaluation_of
from hwsearch.spaces.precisions import network_of


def deploy(options: DeployOptions) -> Path:
    """Extracts and calibrates, or copies, then builds, checks and measures one network.

    For a device elsewhere, or a runtime that is not installed here, all that can be done here is:
    the folder is then one that builds, checks and measures the engine there. It appears only when
    everything in it has been verified.

    Returns:
        The engine's folder, or the build folder.

    Raises:
        HwsearchError: If the pick is not on the front, no network is within the budget, the folder
            exists, or the outputs of the engine differ from the network's.
    """
    check_free(options.out)
    with _opened(options) as (inputs, point), workplace(options.out) as folder:
        tables = _picked_for(inputs, options) if point is None else [inputs.table(point.table)]
        assemble = _assembler(folder, inputs, options)
        if why := next(filter(None, map(why_elsewhere, tables)), ""):
            _refuse_auto(options, why)
            say(f"Nothing can be built or measured here: {why}")
            _send(assemble, point, tables, options)
        else:
            build_here(assemble, point, tables, options)
    return options.out


@contextmanager
def _opened(options: DeployOptions) -> Iterator[tuple[SearchInputs, FrontPoint | None]]:
    """Yields what to deliver from, and the network, or None if a budget is to choose it."""
    if options.search is None:
        with open_network(options) as (inputs, point):
            yield _in_precision(inputs, point, options.precision)
        return
    inputs = open_search(options.search, tables_dir=options.tables_dir)
    if budget_ms(options.pick) is not None:
        yield inputs, None
    else:
        yield _in_precision(inputs, _picked(options.search, inputs, options), options.precision)


def _picked(search: Path, inputs: SearchInputs, options: DeployOptions) -> FrontPoint:
    number = evaluation_of(options.pick)
    if number is None:
        return pick_network(search, options.table, options.pick)
    return evaluated_point(inputs, target_tables(inputs, options.table), number)


def _picked_for(inputs: SearchInputs, options: DeployOptions) -> list[Table]:
    """Returns the tables that a budget picks a network from."""
    tables, precision = target_tables(inputs, options.table), options.precision
    if not precision:
        return tables
    every = [one for table in tables for one in searched_for(inputs, table, precision)]
    return list({one.path: one for one in every}.values())


def _in_precision(
    inputs: SearchInputs, point: FrontPoint, precision: str
) -> tuple[SearchInputs, FrontPoint]:
    """Returns a network for the table of a precision instead, if one was named."""
    table = inputs.table(point.table)
    if precision in ("", AUTO, table.precision):
        return inputs, point
    network = network_of(inputs.space, point.subnet)
    inputs, (table,) = with_siblings(inputs, table, precision)
    return inputs, point_of(inputs, inputs.table(label_of(table)), network)


def _refuse_auto(options: DeployOptions, why: str) -> None:
    if options.precision == AUTO:
        raise HwsearchError(
            f"--precision auto measures engines, which cannot be built here: {why}",
            fix="Name one, such as --precision fp32, or run this on the device",
        )


def _assembler(folder: Path, inputs: SearchInputs, options: DeployOptions) -> Assembler:
    head = _head(inputs, options.labelled) if options.labelled else None
    distance = engine_distance(inputs)
    calls = Calls(any_batch=options.dynamic_batch, raw=options.raw_input)
    return Assembler(folder, inputs, distance, options.measure_seconds, head, calls)


def _head(inputs: SearchInputs, labelled: str) -> ClassifierHead | DenseHead:
    side, task = inputs.space.input_side(inputs.space.maximum), inputs.options.task
    data = load_data(task, labelled, side)
    if isinstance(data, LabelledImages):
        return ClassifierHead(data)
    assert isinstance(data, Detection | Segmentation)
    return DenseHead(task, data)


def _send(
    assemble: Assembler,
    point: FrontPoint | None,
    tables: Sequence[Table],
    options: DeployOptions,
) -> None:
    """Makes a build folder."""
    limit_ms = budget_ms(options.pick) if options.search else None
    if point is None:
        assert limit_ms is not None
        say(f"The network is chosen by its prediction, {COST}<={limit_ms:g}")
        with open_budget(limit_ms, assemble.inputs, tables) as budget:
            point = budget.best()
    delivery, found = write_build_folder(assemble, point, limit_ms)
    assemble.folder.rename(options.out)
    tell_build_folder(options.out, delivery, found)
