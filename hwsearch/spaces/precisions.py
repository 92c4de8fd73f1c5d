"""Precision as a dimension of any family: a network in other numbers is another candidate."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from hwsearch.errors import unknown_name
from hwsearch.space import Dim, Space, Subnet

PRECISION = "precision"
"""Name of the dimension."""

FULL = "fp32"
"""What supernets are trained in; always a choice, for the teacher computes in it."""

EXACTNESS = ("int8", "fp16", "bf16", FULL)
"""All precisions, the most exact last."""


@dataclass(frozen=True)
class PrecisionSpace(Space):
    """Networks of a family, each in several precisions.

    Attributes:
        plain: The family; a code here is one of its codes and then the precision.
    """

    plain: Space

    def key(self, subnet: Subnet) -> str:
        """Returns what names a subnet in latency tables, each of which is of one precision."""
        return self.plain.key(network_of(self, subnet))


def with_precisions(space: Space, precisions: Iterable[str]) -> Space:
    """Makes the precision the last dimension of a family, unless it is only fp32.

    Args:
        space: The family.
        precisions: Of latency tables, such as "int8".

    Raises:
        HwsearchError: If there is no such precision.
    """
    asked = {FULL, *precisions}
    for name in sorted(asked - {*EXACTNESS}):
        raise unknown_name("precision", name, EXACTNESS)
    if asked == {FULL}:
        return space
    choices = tuple(name for name in EXACTNESS if name in asked)
    dims = (*space.dims, Dim(PRECISION, choices, prefix=False))
    name = f"{space.name}~{'+'.join(choices)}"
    return PrecisionSpace(name, space.input_shape, dims, space.parts, plain=space)


def network_of(space: Space, subnet: Subnet) -> Subnet:
    """Returns the network alone, whatever it computes in."""
    if not isinstance(space, PrecisionSpace):
        return subnet
    values = subnet.as_dict()
    del values[PRECISION]
    return space.plain.subnet(**values)


def in_precision(space: Space, network: Subnet, precision: str) -> Subnet:
    """Returns a network alone as the candidate that computes in a precision, where that is one."""
    if not isinstance(space, PrecisionSpace):
        return network
    return space.subnet(**network.as_dict(), **{PRECISION: precision})


def precision_of(space: Space, subnet: Subnet) -> str:
    """Returns what a candidate computes in; fp32 where that is no choice."""
    return str(subnet[PRECISION]) if isinstance(space, PrecisionSpace) else FULL


def of_precision(space: Space, codes: np.ndarray, precision: str) -> np.ndarray:
    """Marks the candidates int[N, D] of one precision, bool[N]; all where that is no choice."""
    if not isinstance(space, PrecisionSpace):
        return np.ones(len(codes), bool)
    return codes[:, -1] == space.dims[-1].choices.index(precision)


def without_precision(space: Space, codes: np.ndarray) -> np.ndarray:
    """Returns the codes of the networks alone, int[N, D]."""
    return codes[:, :-1] if isinstance(space, PrecisionSpace) else codes
