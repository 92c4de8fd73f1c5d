"""Deploy: from a chosen network to a verified engine in a folder of its own."""

import tempfile
from pathlib import Path

from msgspec.structs import replace

from hwsearch.deploy.assemble import Assembler, engine_distance
from hwsearch.deploy.budget import Budget, target_tables
from hwsearch.deploy.classifier import ClassifierHead
from hwsearch.deploy.manifest import Latency, Manifest, write_manifest
from hwsearch.deploy.options import DeployOptions
from hwsearch.deploy.source import open_network
from hwsearch.errors import HwsearchError
from hwsearch.evaluate.labelled import load_labelled
from hwsearch.journal import Journal
from hwsearch.latency.table import require_this_device
from hwsearch.progress import console, say
from hwsearch.search.confirmed import FILE, KIND
from hwsearch.search.fleet import pick_network
from hwsearch.search.inputs import SearchInputs, open_search
from hwsearch.search.pick import budget_ms


def deploy(options: DeployOptions) -> Path:
    """Extracts and calibrates, or copies, then builds, checks and measures one network.

    The folder appears only when everything in it has been verified.

    Returns:
        The engine's folder.

    Raises:
        HwsearchError: If the pick is not on the front, no network is within the budget, the folder
            exists, the table is of another device, or the engine's outputs differ from the
            network's.
    """
    if options.out.exists():
        raise HwsearchError(
            "the output folder exists", where=options.out, fix="Name another --out, or remove it"
        )
    partial = options.out.with_name(options.out.name + ".partial")
    manifest = _picked(partial, options) if options.search else _alone(partial, options)
    write_manifest(partial, manifest)
    partial.rename(options.out)
    _print(options.out, manifest)
    return options.out


def _alone(folder: Path, options: DeployOptions) -> Manifest:
    with open_network(options) as (inputs, point):
        return _assembler(folder, inputs, options)(point)


def _assembler(folder: Path, inputs: SearchInputs, options: DeployOptions) -> Assembler:
    head = None
    if options.labelled:
        side = inputs.space.input_side(inputs.space.maximum)
        head = ClassifierHead(load_labelled(options.labelled, side))
    distance = engine_distance(inputs)
    return Assembler(folder, inputs, distance, options.measure_seconds, head)


def _picked(folder: Path, options: DeployOptions) -> Manifest:
    assert options.search is not None
    limit_ms = budget_ms(options.pick)
    found = open_search(options.search, tables_dir=options.tables_dir)
    assemble = _assembler(folder, found, options)
    if limit_ms is not None:
        return _within(limit_ms, assemble, options)
    return assemble(pick_network(options.search, options.table, options.pick))


def _within(limit_ms: float, assemble: Assembler, options: DeployOptions) -> Manifest:
    """Assembles networks until the engine of one is within a budget, as measured."""
    tables = target_tables(assemble.inputs, options.table)
    for table in tables:
        require_this_device(table)
    with (
        tempfile.TemporaryDirectory(prefix="hwsearch-") as temporary,
        Journal.open(Path(temporary) / FILE, KIND, {}) as journal,
    ):
        budget = Budget.open(assemble.inputs, tables, limit_ms, journal)
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


def _print(folder: Path, manifest: Manifest) -> None:
    latency, distance = manifest.latency, manifest.distance
    console.print(
        f"engine {folder / manifest.engine} ({manifest.runtime} {manifest.precision})\n"
        f"  subnet    {','.join(f'{name}={value}' for name, value in manifest.subnet.items())}\n"
        f"  latency   {latency.measured_ms:.3f} ms, {_marked(latency)}; expected "
        f"{latency.predicted_ms:.3f} ms ({latency.low_ms:.3f} to {latency.high_ms:.3f})\n"
        f"  parity    {manifest.parity.relative_error:.1e} relative error against "
        f"{manifest.parity.reference} on {manifest.parity.images} images\n"
        f"  distance  {distance.engine:.4f} of the engine, {distance.searched:.4f} as searched, "
        f"{distance.float_net:.4f} of the float network",
        highlight=False,
    )
    if (told := manifest.classifier) is not None:
        console.print(
            f"  accuracy  {told.accuracy:.1%} ({told.low:.1%} to {told.high:.1%}) of "
            f"{len(told.classes)} classes, each of {told.images} images told by what the others "
            "taught",
            highlight=False,
        )


def _marked(latency: Latency) -> str:
    """Says whether the measurement can be relied on."""
    if latency.flags:
        return f"noisy ({', '.join(latency.flags)})"
    return f"confirmed within {latency.limit_ms:g} ms" if latency.limit_ms else "confirmed"
