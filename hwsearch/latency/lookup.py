"""Latency by looking it up: for spaces of few networks, all of which were measured."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np

from hwsearch.block import Block
from hwsearch.errors import HwsearchError
from hwsearch.latency.extras import AddedTimes
from hwsearch.latency.rows import Row
from hwsearch.latency.table import Table
from hwsearch.space import Space, Subnet

BETWEEN_PROCESSES = 0.004
"""How far another process's latency of an engine may be off, beside the standard error.

Two processes on a quiet machine differed by 0.28 % on ONNX Runtime and 0.52 % on OpenVINO on
average, standard errors included: 0.25 and 0.46 % each, so that this errs on the side of caution.
"""

_NORMAL = 1.6449
"""Standard errors on each side that hold 90 % of a normal distribution."""


class Prediction(NamedTuple):
    """Predicted latencies of N networks.

    Attributes:
        mean_ms: Expected latency, float[N].
        low_ms: Lower end of the 90 % interval of a measurement, float[N].
        high_ms: Upper end, float[N].
    """

    mean_ms: np.ndarray
    low_ms: np.ndarray
    high_ms: np.ndarray

    def chance_below(self, limit_ms: float) -> np.ndarray:
        """Returns the probability that a measurement is not above a limit, float[N]."""
        from scipy.special import ndtr

        spread = np.log(self.high_ms / self.mean_ms) / _NORMAL
        return ndtr(np.log(limit_ms / self.mean_ms) / np.maximum(spread, 1e-9))


class LatencyModel(Protocol):
    """What tells the latency of any network of a space on one device."""

    def predict(self, codes: np.ndarray) -> Prediction:
        """Predicts networks by code int[N, D]."""
        ...

    def mean_ms(self, codes: np.ndarray) -> np.ndarray:
        """Predicts networks by code int[N, D] without intervals, float[N]."""
        ...

    def predict_subnet(self, subnet: Subnet) -> Prediction:
        """Predicts one network; arrays of length 1."""
        ...

    def added_ms(self, block: Block) -> float:
        """Tells what a block, such as a head, adds to an engine that is called anyway.

        Raises:
            HwsearchError: If it was not measured.
        """
        ...


@dataclass(frozen=True)
class Lookup:
    """Measured latencies; the interval is that of the measurement itself.

    Attributes:
        space: The networks.
        latency_ms: By code, float[choices of each dimension].
        stderr_rel: Their relative standard errors, likewise.
        added: What heads and preprocessing add.
    """

    space: Space
    latency_ms: np.ndarray
    stderr_rel: np.ndarray
    added: AddedTimes

    @classmethod
    def of(cls, rows: Mapping[str, Row], space: Space, added: AddedTimes) -> "Lookup":
        """Sorts the rows of all networks of a space, given by `Space.key`, by code."""
        found = [rows[space.key(space.decode(code))] for code in space.all_codes()]
        latency_ms = np.array([row.latency_ms for row in found]).reshape(space.shape)
        stderr_rel = np.array([row.stderr_rel for row in found]).reshape(space.shape)
        return cls(space, latency_ms, stderr_rel, added)

    def predict(self, codes: np.ndarray) -> Prediction:
        """Looks networks up by code int[N, D]."""
        index = tuple(np.asarray(codes).T)
        return of_measured(self.latency_ms[index], self.stderr_rel[index])

    def mean_ms(self, codes: np.ndarray) -> np.ndarray:
        """Looks networks up by code int[N, D], float[N]."""
        return self.predict(codes).mean_ms

    def predict_subnet(self, subnet: Subnet) -> Prediction:
        """Looks one network up; arrays of length 1."""
        return self.predict(self.space.encode(subnet)[None])

    def added_ms(self, block: Block) -> float:
        """Tells what a block adds to an engine that is called anyway; see `AddedTimes`."""
        return self.added.ms(block)


def of_measured(latency_ms: np.ndarray, stderr_rel: np.ndarray) -> Prediction:
    """Returns measurements float[N] with the interval of what another process would measure."""
    reach = np.exp(_NORMAL * np.hypot(stderr_rel, BETWEEN_PROCESSES))
    return Prediction(latency_ms, latency_ms / reach, latency_ms * reach)


def measured_networks(table: Table, space: Space) -> dict[str, Row]:
    """Returns the rows of a table that are of networks of a space, by `Space.key`.

    Raises:
        HwsearchError: If a network is another one now than when it was measured.
    """
    found = {}
    for row in (*table.networks("evidence"), *table.networks("heldout")):
        try:
            key = space.key(space.subnet(**row.subnet))
        except HwsearchError:
            continue  # no longer in the space
        if key != row.key:
            name = ", ".join(map(str, row.subnet.values()))
            raise HwsearchError(
                f"the model '{name}' was changed since it was measured",
                where=table.path,
                fix=f"Measure it again: hwsearch profile --space {space.name} "
                f"--runtime {table.runtime}, with the table's other options",
            )
        found[key] = row
    return found
