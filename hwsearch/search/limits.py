"""What networks must keep: limits on costs, and the nearest network where none keeps them."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import isfinite

import numpy as np

from hwsearch.errors import HwsearchError, unknown_name
from hwsearch.search.candidates import least
from hwsearch.search.costs import COSTS, Costs
from hwsearch.search.evaluations import match_table
from hwsearch.space import Space
from hwsearch.spaces.precisions import of_precision

DISTANCE = "distance"
"""The one limit that is not known before an evaluation: fronts leave out what breaks it."""

_OFF = 1e3
"""What a table misses by that is of another precision: more than any limit."""

_LATENCIES = ("latency_ms", "latency_high_ms", "images_per_s")

_LIMIT = re.compile(r"(?:(.+):)?\s*([a-z_]+)\s*(<=|>=)\s*(\S+)")
_FORM = 'Write it like "latency_ms<=2" or "DEVICE/TABLE:weights_mb<=1.5"'


@dataclass(frozen=True)
class Limit:
    """A bound on one cost.

    Attributes:
        name: One of `COSTS`, or "distance".
        most: Whether the number is the most that is allowed; else it is the least.
        number: Positive, in the unit that the name ends in.
        table: Table that it holds for, as the user named it; all tables if empty.
    """

    name: str
    most: bool
    number: float
    table: str = ""

    @classmethod
    def parse(cls, text: str) -> "Limit":
        """Reads "latency_ms<=2", or "DEVICE/TABLE:latency_ms<=2" for one table alone.

        Raises:
            HwsearchError: If it cannot be read.
        """
        if (found := _LIMIT.fullmatch(text.strip())) is None:
            raise HwsearchError(f"cannot read '--limit {text}'", fix=_FORM)
        table, name, sign, digits = found.groups()
        if name not in (*COSTS, DISTANCE):
            raise unknown_name("cost of --limit", name, (*COSTS, DISTANCE))
        try:
            number = float(digits)
        except ValueError as cause:
            raise HwsearchError(f"cannot read '--limit {text}'", fix=_FORM) from cause
        if not (isfinite(number) and number > 0):
            raise HwsearchError(f"--limit {text} is not above 0", fix=_FORM)
        if name == DISTANCE and (sign == ">=" or table):
            raise HwsearchError(
                f"--limit {text} cannot be kept",
                fix="A distance can only be limited from above, and on all tables alike",
            )
        return cls(name, sign == "<=", number, table or "")

    def __str__(self) -> str:
        """What the user would write, without the table."""
        return f"{self.name}{'<=' if self.most else '>='}{self.number:g}"

    def missed_by(self, values: np.ndarray) -> np.ndarray:
        """Returns how far values are on the wrong side, as the logarithm of a ratio, float[N]."""
        off = np.log(np.maximum(values, 1e-12) / self.number)
        return off if self.most else -off

    def reached(self, value: float) -> str:
        """Returns the limit that a value would keep."""
        scale = 10.0 ** (np.floor(np.log10(abs(value) or 1.0)) - 2)
        near = np.ceil(value / scale) if self.most else np.floor(value / scale)
        return f"{self.name}{'<=' if self.most else '>='}{near * scale:.10g}"


def read_limits(texts: Iterable[str]) -> tuple[Limit, ...]:
    """Reads limits, and refuses those that no network at all could keep together.

    Raises:
        HwsearchError: If one cannot be read, or two contradict each other.
    """
    limits = tuple(map(Limit.parse, texts))
    for upper in (limit for limit in limits if limit.most):
        for lower in (limit for limit in limits if not limit.most):
            same = upper.name == lower.name and (
                upper.table == lower.table or not (upper.table and lower.table)
            )
            if same and lower.number > upper.number:
                raise HwsearchError(
                    f"--limit {upper} and {lower} contradict each other", fix="Change one of them"
                )
    return limits


def most_distance(limits: Iterable[Limit]) -> float:
    """Returns the largest distance that is of interest, infinite without a limit."""
    return min((limit.number for limit in limits if limit.name == DISTANCE), default=np.inf)


@dataclass(frozen=True)
class DeviceLimits:
    """The limits that hold on one device.

    Attributes:
        costs: What networks cost there.
        limits: Those of its table and of all tables, but for the distance.
    """

    costs: Costs
    limits: tuple[Limit, ...]

    @classmethod
    def all_of(cls, every: Sequence[Costs], limits: Sequence[Limit]) -> list["DeviceLimits"]:
        """Sorts limits by device.

        Raises:
            HwsearchError: If one names a table that is not searched for, or a cost it lacks.
        """
        labels = [costs.label for costs in every]
        own = {limit: match_table(limit.table, labels) for limit in limits if limit.table}
        known = [limit for limit in limits if limit.name != DISTANCE]
        return [
            cls(costs, tuple(one for one in known if own.get(one, costs.label) == costs.label))
            for costs in every
        ]

    def excess(self, codes: np.ndarray) -> np.ndarray:
        """Returns by how much networks int[N, D] miss the hardest limit; kept if ≤ 0, float[N].

        Those that compute in another precision than the table's engines are far off.
        """
        missed = [self._missed(limit, codes) for limit in self.limits]
        missed.append(np.where(self._of_precision(codes), -np.inf, _OFF))
        return np.max(missed, axis=0)

    def _of_precision(self, codes: np.ndarray) -> np.ndarray:
        return of_precision(self.costs.shipped.space, codes, self.costs.target.precision)

    @property
    def limits_latency(self) -> bool:
        """Whether a limit is on latency or follows from it."""
        return any(limit.name in _LATENCIES for limit in self.limits)

    def chance(self, codes: np.ndarray) -> np.ndarray:
        """Returns the probability that networks int[N, D] keep the limits, float[N].

        Only their latency is uncertain.
        """
        latency, found = self.costs.latency.predict(codes), self._of_precision(codes).astype(float)
        for limit in self.limits:
            if limit.name not in _LATENCIES:
                found *= self._missed(limit, codes) <= 0
                continue
            speed = limit.name == "images_per_s"
            ms = 1e3 * self.costs.target.batch / limit.number if speed else limit.number
            below = latency.chance_below(ms)
            found = np.minimum(found, below if limit.most != speed else 1 - below)
        return found

    def _missed(self, limit: Limit, codes: np.ndarray) -> np.ndarray:
        return limit.missed_by(self.costs.of(limit.name)(codes))

    def require_a_network(self, space: Space) -> None:
        """Refuses limits that no network keeps.

        Raises:
            HwsearchError: With the network that misses them by least, and what would let it in.
        """
        if not self.limits:
            return
        code = least(space, self.excess)[None]
        if self.excess(code)[0] <= 0:
            return
        values = {limit: float(self.costs.of(limit.name)(code)[0]) for limit in self.limits}
        broken = [limit for limit in self.limits if self._missed(limit, code)[0] > 0]
        has = ", ".join(
            f"{limit.name} {values[limit]:.4g} ({abs(values[limit] / limit.number - 1):.1%} "
            f"{'above' if limit.most else 'below'} {limit.number:g})"
            for limit in broken
        )
        relaxed = " ".join(f'"{limit.reached(values[limit])}"' for limit in broken)
        raise HwsearchError(
            f"no network keeps --limit {' and '.join(map(str, self.limits))} on "
            f"{self.costs.label}; the nearest is {space.decode(code[0])} with {has}",
            fix=f"Relax to --limit {relaxed}",
        )
