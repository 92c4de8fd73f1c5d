"""Picking one network from a front: by knee, budget or index, and what cannot be picked."""

from pathlib import Path

import pytest

from hwsearch.errors import HwsearchError
from hwsearch.search.evaluations import match_table
from hwsearch.search.fleet import pick_network
from hwsearch.search.front import FrontPoint, write_points
from hwsearch.search.pick import budget_ms, pick_point
from hwsearch.spaces import get_space

SPACE = get_space("bottleneck-32")


def point(
    index: int, latency_ms: float, *, table: str = "here/a", knee: bool = False
) -> FrontPoint:
    return FrontPoint(
        table=table,
        index=index,
        subnet=SPACE.minimum,
        distance=1.0 / latency_ms,
        latency_ms=latency_ms,
        low_ms=latency_ms,
        high_ms=latency_ms,
        macs=1,
        params=1,
        weight_bytes=4,
        activation_bytes=4,
        knee=knee,
    )


FRONT = [point(0, 1.0), point(1, 2.0, knee=True), point(2, 4.0), point(0, 1.0, table="here/b")]


@pytest.mark.parametrize(
    ("how", "index"),
    [("knee", 1), ("index=0", 0), ("index=2", 2)],
)
def test_pick_follows_the_words(how: str, index: int) -> None:
    assert pick_point(FRONT, "a", how) is FRONT[index]


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("index=7", r"no index 7.*index=0 to index=2"),
        ("index=fast", "cannot read '--pick index=fast'"),
        ("nee", "unknown pick 'nee'.*Did you mean knee"),
        ("knee=3", "unknown pick 'knee=3'.*Did you mean knee"),
    ],
)
def test_pick_that_cannot_be_made_says_what_can(how: str, message: str) -> None:
    with pytest.raises(HwsearchError, match=message):
        pick_point(FRONT, "here/a", how)


@pytest.mark.parametrize(
    ("name", "kept", "message"),
    [
        ("front.csv", slice(0), "damaged front: it is empty .*front.csv"),
        ("front.csv", slice(1), "no network is on the front"),
        ("front.csv", slice(0, None, 3), "damaged front: 0 knees for here/a .*front.csv"),
        ("joint.csv", slice(0), "damaged front: it is empty .*joint.csv"),
        ("joint.csv", slice(0, None, 3), "damaged front: 0 knees for here .*joint.csv"),
    ],
)
def test_a_damaged_front_picks_nothing(
    tmp_path: Path, name: str, kept: slice, message: str
) -> None:
    path = write_points(FRONT[:3], tmp_path / name)
    assert pick_network(tmp_path, "", "knee") == FRONT[1]
    path.write_text("".join(path.read_text().splitlines(keepends=True)[kept]))
    with pytest.raises(HwsearchError, match=message):
        pick_network(tmp_path, "", "knee")


def test_budget_is_a_number_above_0() -> None:
    assert budget_ms("max-latency-ms=2.5") == 2.5
    assert budget_ms("knee") is None
    for number in ("fast", "0", "-1", "inf", "nan"):
        with pytest.raises(HwsearchError, match=f"max-latency-ms={number}"):
            budget_ms(f"max-latency-ms={number}")


def test_table_of_several_devices_needs_its_device() -> None:
    labels = ["here/a", "there/a", "there/b"]
    assert match_table("there/a", labels) == "there/a"
    assert match_table("latency_tables/there/b.jsonl", labels) == "there/b"
    with pytest.raises(HwsearchError, match="several tables"):
        match_table("a", labels)
    with pytest.raises(HwsearchError, match="unknown table of this search 'c'"):
        match_table("c", labels)
