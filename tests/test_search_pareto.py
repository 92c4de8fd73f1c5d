"""Fronts, knees and the searcher on objectives that need no network."""

import numpy as np
import pytest

from hwsearch.errors import HwsearchError
from hwsearch.search.pareto import hypervolume, knee, pareto_front
from hwsearch.search.pareto_search import pareto_search
from hwsearch.search.sight import Archive
from hwsearch.space import Dim, Part, Space
from hwsearch.spaces import get_space

SMALL = Space(
    name="small",
    input_shape=(3, 8, 8),
    dims=(Dim("a", (1, 2, 3)), Dim("b", (1, 2, 3, 4)), Dim("c", (1, 2))),
    parts=(Part("nothing", (), lambda values: ()),),
)
TWIN = get_space("bottleneck-32")


def distance(codes: np.ndarray) -> np.ndarray:
    missing = 1 - codes / codes.max(axis=0).clip(min=1)
    return missing**2 @ np.linspace(1.0, 0.2, codes.shape[1]) + 0.1 * np.sin(codes.sum(axis=1))


def twin_distance(codes: np.ndarray) -> np.ndarray:
    missing = 1 - codes / (np.array(TWIN.shape) - 1)
    weights = np.array([0.05, 0.05, 0.1, 0.2, 0.2, 0.05, 0.1, 0.15, 0.1])
    return missing**1.5 @ weights + 0.2 * missing[:, 3] * missing[:, 7]


def macs_ms(codes: np.ndarray) -> np.ndarray:
    return TWIN.macs(codes) / 1e7


def depth_ms(codes: np.ndarray) -> np.ndarray:
    return 0.2 + TWIN.macs(codes) / 4e7 + 0.1 * codes[:, 5:].sum(axis=1)


def test_front_drops_beaten_and_repeated_points() -> None:
    points = np.array([[1, 3], [2, 2], [2, 2], [3, 3], [3, 1], [1, 4]])
    assert pareto_front(points).tolist() == [True, True, False, False, True, False]


def test_knee_is_farthest_below_the_chord() -> None:
    latency_ms = np.array([1.0, 2.0, 3.0, 5.0])
    distance = np.array([0.9, 0.3, 0.2, 0.0])
    assert knee(latency_ms, distance) == 1
    assert knee(latency_ms[::-1], distance[::-1]) == 2


def test_knee_of_a_bulging_front_is_still_none_of_its_ends() -> None:
    assert knee(np.array([1.0, 4.0, 4.5, 5.0]), np.array([0.9, 0.8, 0.5, 0.0])) == 2


@pytest.mark.parametrize("points", [1, 2])
def test_front_without_a_bend_has_its_knee_at_the_fastest(points: int) -> None:
    assert knee(np.array([2.0, 5.0][:points]), np.array([0.4, 0.0][:points])) == 0


def test_hypervolume_grows_towards_the_ideal_corner() -> None:
    latency_ms = np.array([1.0, 10.0, 100.0])
    assert hypervolume(latency_ms, np.array([0.5, 0.25, 0.0])) == pytest.approx(0.25)
    assert hypervolume(latency_ms, np.array([0.5, 0.05, 0.0])) == pytest.approx(0.45)
    assert hypervolume(np.array([1.0]), np.array([0.0])) == pytest.approx(1.0)


def test_small_grid_is_searched_like_brute_force() -> None:
    codes, _ = pareto_search(
        SMALL, distance, [lambda codes: 1.0 + codes.sum(axis=1)], evaluations=SMALL.size
    )
    assert {tuple(code) for code in codes} == {tuple(code) for code in SMALL.all_codes()}


def test_nearly_whole_grid_is_reached_without_repetition() -> None:
    budget = SMALL.size - 1
    codes, _ = pareto_search(
        SMALL, distance, [lambda codes: 1.0 + codes.sum(axis=1)], evaluations=budget
    )
    assert len(np.unique(codes, axis=0)) == len(codes) == budget


def test_search_comes_close_to_the_true_front() -> None:
    codes, _ = pareto_search(TWIN, twin_distance, [macs_ms, depth_ms], evaluations=250)
    every = TWIN.all_codes()
    assert len(np.unique(codes, axis=0)) == 250
    for latency in (macs_ms, depth_ms):
        best = hypervolume(latency(every), twin_distance(every))
        assert hypervolume(latency(codes), twin_distance(codes)) > 0.98 * best


def test_ends_of_the_space_are_always_evaluated() -> None:
    codes, _ = pareto_search(TWIN, twin_distance, [macs_ms], evaluations=16, seed=3)
    subnets = [TWIN.decode(code) for code in codes]
    assert TWIN.maximum in subnets
    assert TWIN.minimum in subnets


def test_larger_budget_continues_the_smaller_one() -> None:
    short, long = (
        pareto_search(TWIN, twin_distance, [macs_ms], evaluations=count)[0] for count in (40, 70)
    )
    np.testing.assert_array_equal(short, long[:40])


def other_distance(codes: np.ndarray) -> np.ndarray:
    """What another checkpoint might give: alike in rank, of another scale."""
    missing = 1 - codes / (np.array(TWIN.shape) - 1)
    weights = np.array([0.08, 0.03, 0.15, 0.15, 0.15, 0.1, 0.05, 0.2, 0.09])
    return 0.4 * (missing**1.2 @ weights + 0.1 * missing[:, 2] * missing[:, 7])


def test_an_earlier_search_saves_evaluations() -> None:
    old, _ = pareto_search(TWIN, other_distance, [macs_ms], evaluations=100, seed=9)
    earlier, every = [Archive(old, other_distance(old))], TWIN.all_codes()
    cold, warm = (
        pareto_search(TWIN, twin_distance, [macs_ms], evaluations=count, earlier=hints)[0]
        for count, hints in ((46, []), (36, earlier))
    )
    covered = [hypervolume(macs_ms(codes), twin_distance(codes)) for codes in (cold, warm)]
    assert covered[1] > covered[0] > 0.9 * hypervolume(macs_ms(every), twin_distance(every))


def test_known_networks_are_told_and_not_chosen_again() -> None:
    known = TWIN.all_codes()[::1500]
    codes, _ = pareto_search(TWIN, twin_distance, [macs_ms], evaluations=12, known=known)
    assert len(np.unique(codes, axis=0)) == len(codes) == len(known) + 12
    np.testing.assert_array_equal(codes[: len(known)], known)


@pytest.mark.parametrize(
    ("objective", "message"),
    [
        (lambda codes: np.full(len(codes), np.nan), r"distance of network stem=.* is nan"),
        (lambda codes: 1 / 0, r"distance of 10 networks from stem=.*failed: ZeroDivisionError"),
        (lambda codes: np.zeros(3), r"array of shape \(3,\).*float\[10\]"),
    ],
)
def test_objective_that_fails_is_told_in_one_line(objective, message: str) -> None:
    with pytest.raises(HwsearchError, match=message):
        pareto_search(TWIN, objective, [macs_ms], evaluations=20)


def test_cost_that_is_no_number_is_refused() -> None:
    with pytest.raises(HwsearchError, match=r"cost of network stem=8,.* is nan"):
        pareto_search(TWIN, twin_distance, [lambda codes: -macs_ms(codes)], evaluations=20)


def test_order_follows_the_seed() -> None:
    first, again, other = (
        pareto_search(TWIN, twin_distance, [macs_ms], evaluations=40, seed=seed)[0]
        for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()
