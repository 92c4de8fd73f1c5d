"""Everything that the page of a report draws, as plain values: report.json."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from math import isfinite
from typing import Any

import numpy as np

from hwsearch.errors import HwsearchError
from hwsearch.report.cloud import thin
from hwsearch.report.measured import confirmations
from hwsearch.report.origin import Origin
from hwsearch.report.panel import Panel, Search, Series
from hwsearch.report.volume import growth
from hwsearch.report.words import heading, legend_text
from hwsearch.search.front import COLUMNS, FrontPoint
from hwsearch.search.limits import Limit

FORMAT = 1
"""Version of report.json."""

MOST = 12_000
"""Networks that are drawn, all tables together, beside those of the fronts."""

FEWEST = 500
"""Networks that are drawn for each table however many tables there are."""

_DIGITS = 5
"""Significant digits of what is told of a network that is on no front."""


def report_data(panels: Sequence[Panel], searches: Sequence[Search]) -> dict[str, Any]:
    """Gathers what is drawn.

    Args:
        panels: One for each table, and for each device of a joint search.
        searches: All that the panels show.

    Returns:
        Strings, finite numbers, None, lists and dicts of them.
    """
    origins = [Origin.read(search.folder) for search in searches]
    each = max(FEWEST, MOST // sum(len(panel.series) for panel in panels))
    drawn = [_Drawn(search, number) for number, search in enumerate(searches)]
    views = [_view(panel, drawn, origins, each) for panel in panels]
    return {
        "format": FORMAT,
        "searches": [one.told(origin) for one, origin in zip(drawn, origins, strict=True)],
        "views": views,
    }


class _Drawn:
    """The networks of one search that are drawn, in the order in which they were asked for."""

    def __init__(self, search: Search, number: int) -> None:
        self.search, self.number = search, number
        self._places: dict[int, int] = {}

    def places(self, rows: Iterable[int]) -> list[int]:
        """Returns where networks, by row of the evaluations, stand among those drawn."""
        return [self._places.setdefault(int(row), len(self._places)) for row in rows]

    def told(self, origin: Origin) -> dict[str, Any]:
        """Returns the search and the networks that are drawn."""
        found, folder = self.search.evaluations, self.search.folder
        rows = np.array(list(self._places), dtype=int)
        codes = found.codes[rows]
        return {
            "folder": str(folder),
            "name": folder.resolve().name,
            "space": self.search.name,
            "space_name": found.space.name,
            "size": f"{found.space.size:,}",
            "dims": [{"name": d.name, "choices": list(d.choices)} for d in found.space.dims],
            "evaluated": len(found.codes),
            "distance": found.yardstick.distance,
            "ships": list(origin.ships),
            "networks": {
                "evaluation": rows.tolist(),
                "codes": codes.tolist(),
                "distance": _short(found.distance[rows]),
                "macs": found.space.macs(codes).tolist(),
                "params": found.space.params(codes).tolist(),
                "latency_ms": {
                    t.table: _short(found.latencies(t.table)[rows]) for t in found.targets
                },
            },
        }


def _view(
    panel: Panel, drawn: Sequence[_Drawn], origins: Sequence[Origin], each: int
) -> dict[str, Any]:
    of_search = {id(one.search): one for one in drawn}
    series = [(one, of_search[id(one.search)]) for one in panel.series]
    told = [_series(panel, one, its, origins[its.number], each) for one, its in series]
    return {
        "table": panel.target.table,
        "device": panel.target.device,
        "words": heading(panel),
        "joint": panel.joint,
        "series": told,
        "front": _front(panel, [its for _, its in series]),
        "measured": [
            {"series": at, **asdict(one), "network": its.places([one.row])[0]}
            for at, (series_, its) in enumerate(series)
            for one in confirmations(series_)
        ],
        "engines": [asdict(one) | {"folder": str(one.folder)} for one in panel.delivered],
        "hypervolume": [asdict(one) for one in growth(panel.series)],
    }


def _series(
    panel: Panel, series: Series, drawn: _Drawn, origin: Origin, each: int
) -> dict[str, Any]:
    target, targets = series.target, series.search.evaluations.targets
    kept = series.rows[thin(series.points, each)]
    return {
        "search": drawn.number,
        "table": target.table,
        "precision": target.precision,
        "text": legend_text(panel, series),
        "networks": drawn.places(kept),
        "left_out": len(series.rows) - len(kept),
        "unusable": int(series.search.evaluations.runs_on(target).sum()) - len(series.rows),
        "limits": [
            _limit(one, target.batch)
            for one in origin.limits(target, tuple(other.table for other in targets))
        ],
    }


def _limit(limit: Limit, batch: int) -> dict[str, Any]:
    """Tells a limit, and where a line of it is in the plot: at a latency, a distance or nowhere."""
    line: dict[str, Any] = {"axis": None, "at": None}
    if limit.name in ("latency_ms", "latency_high_ms"):
        line = {"axis": "x", "at": limit.number}
    elif limit.name == "images_per_s":
        line = {"axis": "x", "at": 1e3 * batch / limit.number}
    elif limit.name == "distance":
        line = {"axis": "y", "at": limit.number}
    return {"text": str(limit), **line}


_POINT = tuple(name for name in COLUMNS if name not in ("table", "knee"))
"""What is told of a network of a front; its index is that in the front of its own search."""


def _front(panel: Panel, drawn: Sequence[_Drawn]) -> list[dict[str, Any]]:
    """Tells the networks of each search's own front, and which are on that of all together."""
    best = {(id(one), point.subnet): point.knee for one, point in panel.front}
    found = []
    for at, (series, its) in enumerate(zip(panel.series, drawn, strict=True)):
        for point in series.front:
            row = series.search.row(point.subnet)
            if row is None:
                raise HwsearchError(
                    f"the front has {point.subnet}, which was never evaluated",
                    where=series.search.folder,
                    fix="Run the same hwsearch search again; it repeats no evaluation",
                )
            place, key = its.places([row])[0], (id(series), point.subnet)
            its_own = {"on_front": key in best, "knee": best.get(key, False)}
            found.append({"series": at, "network": place, **its_own, **_told(point)})
    return sorted(found, key=lambda one: one["latency_ms"])


def _told(point: FrontPoint) -> Mapping[str, Any]:
    values = {name: getattr(point, name) for name in _POINT}
    return {name: _finite(value) for name, value in values.items()}


def _finite(value: float | None) -> float | None:
    return value if value is not None and isfinite(value) else None


def _short(values: np.ndarray) -> list[float | None]:
    return [float(f"{value:.{_DIGITS}g}") if isfinite(value) else None for value in values.tolist()]
