"""How one network of a search is picked: by the knee of a front, a budget or a number."""

from collections.abc import Sequence
from math import isfinite

from hwsearch.errors import HwsearchError, unknown_name
from hwsearch.search.evaluations import match_table
from hwsearch.search.front import FILE, FrontPoint

_PICKS = ("knee", "max-latency-ms=NUMBER", "index=NUMBER", "evaluation=NUMBER", "fleet")
_WRITE = f"Write {', '.join(_PICKS[:-1])} or {_PICKS[-1]}"


def pick_point(points: Sequence[FrontPoint], table: str, how: str) -> FrontPoint:
    """Picks one network from the front of a table.

    Args:
        points: The fronts of a search, as read from front.csv.
        table: Label, name or path of the table; may be empty if there is only one.
        how: "knee" or "index=I", a row of front.csv.

    Raises:
        HwsearchError: If the words cannot be read or no network fits.
    """
    if not points:
        raise HwsearchError("no network is on the front", fix="Search with more --evaluations")
    label = match_table(table, (point.table for point in points))
    return choose([point for point in points if point.table == label], how)


def choose(front: Sequence[FrontPoint], how: str) -> FrontPoint:
    """Picks one network from a front; see `pick_point`."""
    if how == "knee":
        return next(point for point in front if point.knee)
    name, _, value = how.partition("=")
    if name == "index":
        return _at(front, _number(how, value))
    raise unknown_name("pick", how, _PICKS)


def evaluation_of(how: str) -> float | None:
    """Returns which evaluation a pick names, counted from 0, or None if it is no such pick.

    Raises:
        HwsearchError: If the number cannot be read.
    """
    name, _, value = how.partition("=")
    return _number(how, value) if name == "evaluation" else None


def budget_ms(how: str) -> float | None:
    """Returns the latency that a pick is to be within, or None if it is no such pick.

    Raises:
        HwsearchError: If the number cannot be read or is not above 0.
    """
    name, _, value = how.partition("=")
    if name != "max-latency-ms":
        return None
    limit_ms = _number(how, value)
    if not (isfinite(limit_ms) and limit_ms > 0):
        raise HwsearchError(f"--pick {how} is not above 0", fix=_WRITE)
    return limit_ms


def _number(how: str, value: str) -> float:
    try:
        return float(value)
    except ValueError as cause:
        raise HwsearchError(f"cannot read '--pick {how}'", fix=_WRITE) from cause


def _at(front: Sequence[FrontPoint], index: float) -> FrontPoint:
    for point in front:
        if point.index == index:
            return point
    raise HwsearchError(
        f"the front of {front[0].table} has no index {index:g}",
        fix=f"Use --pick index=0 to index={front[-1].index}; see the index column of {FILE}",
    )
