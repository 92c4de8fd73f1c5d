"""Compare: one network as an engine in each precision, measured side by side in one process."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import msgspec
import numpy as np
from rich.table import Table as Grid
from rich.text import Text

from hwsearch.deploy.assemble import Assembler, Built, engine_distance
from hwsearch.deploy.manifest import InPrecision, Latency, Manifest
from hwsearch.deploy.precisions import AUTO, with_siblings
from hwsearch.deploy.proof import measured_surely
from hwsearch.deploy.source import point_of
from hwsearch.errors import HwsearchError
from hwsearch.latency.lookup import of_measured
from hwsearch.latency.table import Table
from hwsearch.profiling.remeasure import Measured, remeasure
from hwsearch.progress import console
from hwsearch.search.evaluations import label_of
from hwsearch.search.front import FrontPoint
from hwsearch.spaces.precisions import in_precision, network_of


@dataclass(frozen=True, eq=False)
class Candidate:
    """An engine that may be delivered.

    Attributes:
        point: Its network for its table.
        assemble: What made it, in a folder of its own.
        built: The engine.
        measured: Its latency beside the others'.
    """

    point: FrontPoint
    assemble: Assembler
    built: Built
    measured: Measured

    @property
    def latency(self) -> Latency:
        """What its manifest would say."""
        return self.built.latency(self.measured)


@dataclass(frozen=True, eq=False)
class Comparison:
    """One network in several precisions.

    Attributes:
        candidates: Those that can be delivered, by precision.
        found: All of them, the most exact first.
        refused: Why others cannot be delivered, by table.
    """

    candidates: Mapping[str, Candidate]
    found: tuple[InPrecision, ...]
    refused: Mapping[str, HwsearchError]

    def of(self, point: FrontPoint) -> Candidate:
        """Returns the candidate of the picked network's own table.

        Raises:
            HwsearchError: If it cannot be delivered.
        """
        if point.table in self.refused:
            raise self.refused[point.table]
        every = self.candidates.values()
        return next(one for one in every if one.point.table == point.table)

    def finish(self, precision: str) -> tuple[Path, Manifest]:
        """Returns the folder and the manifest of one engine."""
        chosen = self.candidates[precision]
        known = msgspec.structs.replace(chosen.built.known, precisions=self.found)
        built = replace(chosen.built, known=known)
        return chosen.assemble.folder, chosen.assemble.finish(built, chosen.measured)


def compare(assemble: Assembler, point: FrontPoint, *, surely: bool = False) -> Comparison:
    """Builds, checks and measures a network in each precision that its runtime has a table for.

    Args:
        assemble: Makes engines; each gets a folder in its.
        point: The network for one of the tables.
        surely: Measure again if in doubt; see `measured_surely`.

    Raises:
        HwsearchError: If it cannot be delivered in any of them.
    """
    inputs = assemble.inputs
    table, network = inputs.table(point.table), network_of(inputs.space, point.subnet)
    inputs, tables = with_siblings(inputs, table, AUTO)
    shutil.rmtree(assemble.folder, ignore_errors=True)
    assemble = replace(assemble, inputs=inputs, distance=engine_distance(inputs))
    picked = replace(point, subnet=in_precision(inputs.space, network, table.precision))
    built: dict[str, tuple[FrontPoint, Assembler, Built]] = {}
    refused: dict[str, HwsearchError] = {}
    for one in tables:
        own = replace(assemble, folder=assemble.folder / one.precision)
        its = point_of(inputs, one, network) if label_of(one) != point.table else picked
        try:
            built[one.precision] = its, own, own.build(its)
        except HwsearchError as error:
            refused[one.precision] = error
    if not built:
        raise next(iter(refused.values()))
    engines = {name: made for name, (_, _, made) in built.items()}
    measure = partial(_measured, engines, tables, assemble)
    expected = {name: made.known.latency for name, made in engines.items()}
    measured = measured_surely(expected, measure) if surely else measure()
    candidates = {name: Candidate(*made, measured[name]) for name, made in built.items()}
    found = _told([one.precision for one in tables], candidates, refused)
    why = {label_of(t): refused[t.precision] for t in tables if t.precision in refused}
    return Comparison(candidates, tuple(found), why)


def _measured(
    built: Mapping[str, Built], tables: Sequence[Table], assemble: Assembler
) -> dict[str, Measured]:
    """Measures all engines in one process, on the scale of the most exact one's table."""
    return remeasure(
        {name: made.engine for name, made in built.items()},
        next(table for table in tables if table.precision in built),
        budget_seconds=assemble.seconds * len(built),
        precisions={name: name for name in built},
    )


def _told(
    precisions: Sequence[str],
    candidates: Mapping[str, Candidate],
    refused: Mapping[str, HwsearchError],
) -> list[InPrecision]:
    first_ms = next(iter(candidates.values())).measured.latency_ms
    found = []
    for name in precisions:
        if name in refused:
            reason = str(refused[name].what)
            found.append(InPrecision(name, None, None, None, None, None, reason))
            continue
        chosen = candidates[name]
        ms = chosen.measured.latency_ms
        ends = of_measured(np.array([ms]), np.array([chosen.measured.stderr_rel]))
        low_ms, high_ms = (float(end[0]) for end in ends[1:])
        distance = chosen.built.known.distance.engine
        found.append(InPrecision(name, ms, low_ms, high_ms, ms / first_ms, distance))
    return found


def tell_precisions(found: Sequence[InPrecision], chosen: str) -> None:
    """Prints what the engines of all precisions take and lose."""
    grid = Grid(title="The network in each precision", title_justify="left")
    first = next(one.precision for one in found if one.latency_ms is not None)
    for name in ("precision", "ms", "90 % interval", f"to {first}", "distance"):
        grid.add_column(name, justify="right")
    grid.add_column("")
    for one in found:
        if one.latency_ms is None:
            grid.add_row(one.precision, "", "", "", "", Text(one.refused))
            continue
        grid.add_row(
            one.precision,
            f"{one.latency_ms:.3f}",
            f"{one.low_ms:.3f} to {one.high_ms:.3f}",
            f"{one.ratio:.3f}",
            f"{one.distance:.4f}",
            "chosen" if one.precision == chosen else "",
        )
    console.print(grid)
