"""Latency of every network under every set of conditions, and the limits that it must keep."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hwsearch.choice.pools import SUPERNET, Pool
from hwsearch.errors import HwsearchError
from hwsearch.latency.fit import fit_latency
from hwsearch.latency.table import Table
from hwsearch.search.evaluations import Target

_ENDS = (0.1, 0.9)
"""Share of the supernet's networks that are faster than the first limit, and than the last one."""


@dataclass(frozen=True, eq=False)
class Condition:
    """One device, runtime and precision, and the limits there.

    Attributes:
        name: Names it in tables and figures.
        latency_C: Predicted milliseconds of every network, float[C].
        budgets_ms: The limits.
    """

    name: str
    latency_C: np.ndarray
    budgets_ms: tuple[float, ...]


def conditions_of(
    tables: Sequence[Table], pools: Sequence[Pool], *, budgets_ms: Sequence[float], budgets: int
) -> tuple[Condition, ...]:
    """Predicts the latency of all networks of all pools, in their order.

    Args:
        tables: Those of one device, runtime and precision, of different spaces, stand together.
        pools: The networks.
        budgets_ms: The limits, or none.
        budgets: How many limits to place if none are given.

    Raises:
        HwsearchError: If the space of a pool has no table under some conditions, or two, or no
            network of the supernet is within a limit.
    """
    groups: dict[tuple, list[Table]] = {}
    for table in tables:
        group = groups.setdefault(Target.of(table).conditions, [])
        if table.space in {one.space for one in group}:
            raise HwsearchError(
                f"two of --tables are of space '{table.space}' on {_name(table)}",
                where=table.path,
                fix="Name one of them",
            )
        group.append(table)
    return tuple(_condition(group, pools, budgets_ms, budgets) for group in groups.values())


def _condition(
    tables: Sequence[Table], pools: Sequence[Pool], budgets_ms: Sequence[float], budgets: int
) -> Condition:
    latency_C = np.concatenate([_latency(tables, pool) for pool in pools])
    own = latency_C[: len(pools[0].networks)]
    assert pools[0].name == SUPERNET
    first, last = np.quantile(own, _ENDS)
    limits = tuple(budgets_ms or np.geomspace(first, last, budgets + 1)[1:].round(4).tolist())
    name = _name(tables[0])
    for limit in limits:
        if not (own <= limit).any():
            raise HwsearchError(
                f"no network of the supernet is within {limit:g} ms; the fastest that was drawn "
                f"takes {own.min():.4g} ms",
                where=name,
                fix="Use larger --budgets-ms",
            )
    return Condition(name, latency_C, limits)


def _latency(tables: Sequence[Table], pool: Pool) -> np.ndarray:
    table = next((one for one in tables if one.space == pool.space.name), None)
    if table is None:
        raise HwsearchError(
            f"the networks of {pool.run.path} are of space '{pool.space.name}', which has no table",
            where=_name(tables[0]),
            fix=f"Profile it there (hwsearch profile --space {pool.space.name} …) and name the "
            "table in --tables",
        )
    codes = np.stack([pool.space.encode(subnet) for subnet in pool.networks.values()])
    return fit_latency(table, pool.space).mean_ms(codes)


def _name(table: Table) -> str:
    rest = f"batch {table.batch}, {table.threads} thread{'s' * (table.threads > 1)}"
    rhythm = f", {table.pace_hz:g} calls a second" if table.pace_hz else ""
    return f"{table.device}, {table.runtime} {table.precision}, {rest}{rhythm}"
