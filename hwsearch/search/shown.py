"""How a search prints its fronts."""

from collections.abc import Callable, Sequence

from rich.table import Table as Grid

from hwsearch.search.evaluations import Evaluations
from hwsearch.search.front import FrontPoint, costs_against
from hwsearch.search.limits import DeviceLimits
from hwsearch.search.pareto import hypervolume
from hwsearch.spaces.precisions import PRECISION

SHOWN = 12
"""Most rows of a front that are printed; front.csv has them all."""

_COLUMNS: dict[str, Callable[[FrontPoint], str]] = {
    "weights_mb": lambda point: f"{point.weight_bytes / 1e6:.3g}",
    "peak_memory_mb": lambda point: f"{point.activation_bytes / 1e6:.3g}",
    "energy_mj": lambda point: f"{point.energy_mj:.3g}",
}
"""What is printed beside the latency if the front is drawn against it; MACs always are."""


def table_grid(evaluations: Evaluations, device: DeviceLimits, front: Sequence[FrontPoint]) -> Grid:
    """Returns the front of one table as it is printed."""
    runs = evaluations.runs_on(device.costs.target)
    costs = costs_against(evaluations, device.costs, evaluations.against)[runs]
    volume = hypervolume(costs, evaluations.distance[runs])
    title = (
        f"{device.costs.label}: {len(front)} of {len(costs)} networks on the front, "
        f"hypervolume {volume:.3f}"
    )
    return _grid(title, front, evaluations.against)


def joint_grid(device: str, front: Sequence[FrontPoint], against: Sequence[str]) -> Grid:
    """Returns the front of a device over all its tables as it is printed."""
    title = f"{device}: {len(front)} networks on the front of all its tables"
    return _grid(title, front, against, with_table=True)


def _grid(
    title: str, front: Sequence[FrontPoint], against: Sequence[str], *, with_table: bool = False
) -> Grid:
    names = [name for name, _ in front[0].subnet.values if not with_table or name != PRECISION]
    grid = Grid(
        title=title,
        caption=f"values: {', '.join(names)}",
        title_justify="left",
        caption_justify="left",
    )
    extra = [name for name in against if name in _COLUMNS]
    for name in ("index", *extra, "ms", "90 % interval", "distance", "M MACs", "M params"):
        grid.add_column(name, justify="right")
    for name in ("", *(["table"] if with_table else []), "values"):
        grid.add_column(name)
    for point in _shown(front):
        grid.add_row(
            str(point.index),
            *(_COLUMNS[name](point) for name in extra),
            f"{point.latency_ms:.3f}",
            f"{point.low_ms:.3f} to {point.high_ms:.3f}",
            f"{point.distance:.4f}",
            f"{point.macs / 1e6:.1f}",
            f"{point.params / 1e6:.2f}",
            "knee" if point.knee else "",
            *([_conditions(point)] if with_table else []),
            " ".join(str(point.subnet[name]) for name in names),
            style="bold" if point.knee else None,
        )
    return grid


def _conditions(point: FrontPoint) -> str:
    """Names a table without its device and space."""
    space = point.subnet.space.partition("~")[0]
    return point.table.split("/")[-1].removeprefix(f"{space}-")


def _shown(front: Sequence[FrontPoint]) -> list[FrontPoint]:
    """Keeps the ends, the knee and points spread evenly between."""
    step = max(1, (len(front) - 1) / (SHOWN - 2))
    kept = {round(step * number) for number in range(SHOWN - 1)}
    return [point for point in front if point.index in kept or point.knee]
