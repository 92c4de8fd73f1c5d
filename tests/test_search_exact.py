"""The exact front by integer programming, and a search beside it."""

from dataclasses import replace

import numpy as np
from test_search_pareto import TWIN

from hwsearch.block import Block
from hwsearch.kinds import cost_of, total_macs
from hwsearch.search.exact import exact_front
from hwsearch.search.pareto import hypervolume, pareto_front
from hwsearch.search.pareto_search import pareto_search

DIMS = tuple(replace(dim, choices=dim.choices[:: len(dim.choices) - 1]) for dim in TWIN.dims)
SPACE = replace(TWIN, name="ends of bottleneck-32", dims=DIMS)
"""512 networks: integer programs take long."""


def added_ms(blocks: tuple[Block, ...]) -> float:
    """A time that depends on more than on multiply-accumulates."""
    costs = map(cost_of, blocks)
    return sum(
        0.02 + cost.macs / 2e7 + cost.written_elements * (1 + 0.3 * (cost.params % 7)) / 1e6
        for cost in costs
    )


def test_exact_front_is_that_of_enumeration_and_a_search_comes_close():
    codes = exact_front(SPACE, added_ms, lambda blocks: -float(total_macs(blocks)))
    every, most = SPACE.all_codes(), SPACE.macs(SPACE.encode(SPACE.maximum)[None])[0]
    gathered = SPACE.tabulate(lambda blocks: np.array([added_ms(blocks)]))

    def latency_ms(codes: np.ndarray) -> np.ndarray:
        return gathered(codes)[:, 0]

    def missing(codes: np.ndarray) -> np.ndarray:
        return (most - SPACE.macs(codes)) / 1e6

    points = np.column_stack([latency_ms(every), missing(every)])
    truth = points[pareto_front(points)]
    np.testing.assert_allclose(missing(codes), np.sort(truth[:, 1])[::-1])
    np.testing.assert_allclose(latency_ms(codes), np.sort(truth[:, 0]))
    found, _ = pareto_search(SPACE, missing, [latency_ms], evaluations=60)
    ends = every[[np.argmin(latency_ms(every)), np.argmax(latency_ms(every))]]
    volumes = [
        hypervolume(latency_ms(boxed), missing(boxed))
        for boxed in (np.concatenate([ends, found]), np.concatenate([ends, codes]))
    ]
    assert volumes[0] >= 0.99 * volumes[1]
