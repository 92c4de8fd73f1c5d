"""Early stopping: hopeless networks are seen early, others are wronged as seldom as is promised."""

import numpy as np
import pytest

from hwsearch.distance.stopping import ERROR, FIRST_LOOK, hopeless

TOTAL, DRAWS = 512, 1500


def stops_at(rows: np.ndarray, limit: float) -> int:
    """Returns after how many images a network is given up, or all of them."""
    for seen in range(FIRST_LOOK, len(rows), 64):
        if hopeless(rows[:seen], len(rows), limit):
            return seen
    return len(rows)


@pytest.mark.parametrize("shape", [0.5, 2.0, 20.0])
def test_a_network_that_just_meets_the_limit_is_seldom_given_up(shape):
    rng, wronged = np.random.default_rng(0), 0
    for _ in range(DRAWS):
        rows = rng.gamma(shape, size=TOTAL)
        wronged += stops_at(rows, float(rows.mean())) < TOTAL
    most = ERROR + 3 * np.sqrt(ERROR * (1 - ERROR) / DRAWS)
    assert wronged / DRAWS <= most


def test_a_hopeless_network_is_given_up_at_the_first_look():
    rows = np.random.default_rng(0).gamma(2.0, size=TOTAL)
    assert stops_at(rows, 0.5 * float(rows.mean())) == FIRST_LOOK
    assert stops_at(rows, np.inf) == TOTAL


def test_nothing_is_decided_between_looks_or_after_the_last_image():
    rows = np.full(TOTAL, 5.0)
    assert not hopeless(rows[: FIRST_LOOK - 1], TOTAL, 1.0)
    assert not hopeless(rows, TOTAL, 1.0)
    assert hopeless(rows[:FIRST_LOOK], TOTAL, 1.0)
