"""Deploy: from a chosen network to a verified engine in a folder of its own."""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from msgspec.structs import replace

from hwsearch.deploy.assemble import Assembler, engine_distance
from hwsearch.deploy.budget import COST, Budget, target_tables
from hwsearch.deploy.classifier import ClassifierHead
from hwsearch.deploy.far import why_elsewhere, write_build_folder
from hwsearch.deploy.manifest import Manifest, write_manifest
from hwsearch.deploy.options import DeployOptions
from hwsearch.deploy.source import open_network
from hwsearch.deploy.tell import tell_build_folder, tell_engine
from hwsearch.errors import HwsearchError
from hwsearch.evaluate.labelled import load_labelled
from hwsearch.journal import Journal
from hwsearch.latency.table import Table
from hwsearch.progress import say
from hwsearch.search.confirmed import FILE, KIND
from hwsearch.search.fleet import pick_network
from hwsearch.search.front import FrontPoint
from hwsearch.search.inputs import SearchInputs, open_search
from hwsearch.search.pick import budget_ms


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
    if options.out.exists():
        raise HwsearchError(
            "the output folder exists", where=options.out, fix="Name another --out, or remove it"
        )
    partial = options.out.with_name(options.out.name + ".partial")
    with _opened(options) as (inputs, point):
        assemble = _assembler(partial, inputs, options)
        tables = (
            target_tables(inputs, options.table) if point is None else [inputs.table(point.table)]
        )
        if why := next(filter(None, map(why_elsewhere, tables)), ""):
            say(f"Nothing can be built or measured here: {why}")
            _send(assemble, point, tables, options)
        else:
            _build(assemble, point, tables, options)
    return options.out


@contextmanager
def _opened(options: DeployOptions) -> Iterator[tuple[SearchInputs, FrontPoint | None]]:
    """Yields what to deliver from, and the network, or None if a budget is to choose it."""
    if options.search is None:
        with open_network(options) as (inputs, point):
            yield inputs, point
    else:
        inputs = open_search(options.search, tables_dir=options.tables_dir)
        chosen = budget_ms(options.pick) is not None
        yield inputs, None if chosen else pick_network(options.search, options.table, options.pick)


def _assembler(folder: Path, inputs: SearchInputs, options: DeployOptions) -> Assembler:
    head = None
    if options.labelled:
        side = inputs.space.input_side(inputs.space.maximum)
        head = ClassifierHead(load_labelled(options.labelled, side))
    distance = engine_distance(inputs)
    return Assembler(folder, inputs, distance, options.measure_seconds, head)


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
        with _budget(limit_ms, assemble.inputs, tables) as budget:
            point = budget.best()
    delivery, found = write_build_folder(assemble, point, limit_ms)
    assemble.folder.rename(options.out)
    tell_build_folder(options.out, delivery, found)


def _build(
    assemble: Assembler,
    point: FrontPoint | None,
    tables: Sequence[Table],
    options: DeployOptions,
) -> None:
    """Makes an engine here."""
    manifest = _within(assemble, tables, options) if point is None else assemble(point)
    write_manifest(assemble.folder, manifest)
    assemble.folder.rename(options.out)
    tell_engine(options.out, manifest)


def _within(assemble: Assembler, tables: Sequence[Table], options: DeployOptions) -> Manifest:
    """Assembles networks until the engine of one is within a budget, as measured."""
    limit_ms = budget_ms(options.pick)
    assert limit_ms is not None
    with _budget(limit_ms, assemble.inputs, tables) as budget:
        budget.measure(options.budget_seconds)
        while True:
            point = budget.best()
            manifest = assemble(point)
            latency = replace(manifest.latency, limit_ms=limit_ms)
            if budget.holds(point, latency):
                return replace(manifest, latency=latency)
            say(
                f"{point.subnet} took {latency.measured_ms:.3f} ms when it was built and measured: "
                f"not within {limit_ms:g} ms with 95 % probability; the next is built"
            )


@contextmanager
def _budget(limit_ms: float, inputs: SearchInputs, tables: Sequence[Table]) -> Iterator[Budget]:
    with (
        tempfile.TemporaryDirectory(prefix="hwsearch-") as temporary,
        Journal.open(Path(temporary) / FILE, KIND, {}) as journal,
    ):
        yield Budget.open(inputs, tables, limit_ms, journal)
