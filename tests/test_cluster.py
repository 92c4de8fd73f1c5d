"""Cluster trees: equal sizes, the structure that is there, and the same tree after a kill."""

import csv
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from full_disk import files_limited_to
from PIL import Image
from runs import write_images
from searches import write_checkpoint
from sklearn.metrics import adjusted_rand_score

from hwsearch.clusters.balanced import equal_prices, fit_partition
from hwsearch.clusters.files import read_clusters, read_tree
from hwsearch.clusters.tree import grow_tree
from hwsearch.errors import HwsearchError
from hwsearch.routing.cluster import ClusterOptions, cluster
from hwsearch.routing.features import FILE as FEATURES


def hierarchical(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Features of 4 groups of 4 groups, and the group of each."""
    rng = np.random.default_rng(seed)
    tops, subs = 3 * rng.normal(size=(4, 32)), rng.normal(size=(4, 4, 32))
    groups = rng.integers(16, size=count)
    found = tops[groups // 4] + subs[groups // 4, groups % 4]
    found = found + 0.2 * rng.normal(size=(count, 32))
    return (found / np.linalg.norm(found, axis=1, keepdims=True)).astype("f4"), groups


def test_prices_make_all_choices_equally_frequent():
    costs = np.random.default_rng(0).normal(size=(3000, 6)) + np.arange(6)
    prices = equal_prices(costs, np.zeros(6))
    sizes = np.bincount((costs + prices).argmin(1), minlength=6)
    assert np.abs(sizes - 500).max() <= 3
    assert np.bincount(costs.argmin(1), minlength=6).max() > 1000


def test_a_tree_finds_groups_of_groups():
    features, groups = hierarchical(4000)
    tree = grow_tree(features, children=4, levels=2)
    leaves = tree.leaf_numbers(features)
    assert adjusted_rand_score(groups, leaves) > 0.9
    assert min(split.balance for split in tree.splits.values()) > 0.95
    assert tree.splits[()].silhouette > 0.5
    fresh, their_groups = hierarchical(500, seed=0)
    assert adjusted_rand_score(their_groups, tree.leaf_numbers(fresh)) > 0.9


def test_sizes_are_equal_where_there_are_no_groups():
    features = np.random.default_rng(0).normal(size=(2000, 8))
    partition = fit_partition(features, 5, seed=2**32 + 3)
    assert np.abs(np.bincount(partition.assign(features)) - 400).max() <= 4


def test_a_tree_that_was_stopped_goes_on_to_the_same_tree():
    features, _ = hierarchical(1000)
    whole, known = grow_tree(features, children=3, levels=2), {}

    def stop(split):
        known[split.node] = split
        if len(known) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        grow_tree(features, children=3, levels=2, record=stop)
    new = []
    again = grow_tree(features, children=3, levels=2, known=known, record=new.append)
    assert len(new) == len(whole.splits) - 2
    assert {n: s.as_row() for n, s in again.splits.items()} == {
        n: s.as_row() for n, s in whole.splits.items()
    }


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cluster")
    write_checkpoint(folder / "run")
    write_images(folder / "photos", 150)
    corrupt = sorted((folder / "photos").rglob("*.png"))[70]
    corrupt.write_bytes(b"no image")
    cluster(options(folder, "out"))
    return folder


def options(made: Path, out: str, **changes: object) -> ClusterOptions:
    given = {"checkpoint": made / "run", "images": str(made / "photos"), "out": made / out}
    return ClusterOptions(**given | {"children": 3} | changes)


def test_every_image_that_can_be_read_has_a_leaf(made):
    with (made / "out" / "assignments.csv").open() as file:
        rows = list(csv.DictReader(file))
    leaves = Counter(row["leaf"] for row in rows)
    assert len(rows) == 150 and leaves.pop("") == 1
    assert set(leaves) == {f"{a}.{b}" for a in range(3) for b in range(3)}
    assert max(leaves.values()) - min(leaves.values()) <= 3
    for leaf in leaves:
        with Image.open(made / "out" / "sheets" / f"{leaf}.png") as sheet:
            assert sheet.size == (526, 526)
    tree, features = read_tree(made / "out"), np.load(made / "out" / FEATURES)
    names = [".".join(map(str, leaf)) for leaf in tree.leaves]
    found = [names[leaf] if leaf >= 0 else "" for leaf in tree.leaf_numbers(features)]
    assert found == [row["leaf"] for row in rows]


@pytest.mark.parametrize("kept", [1, 2, 4])
def test_a_killed_run_goes_on_to_the_same_files(made, kept):
    lines = (made / "out" / "tree.jsonl").read_bytes().splitlines(keepends=True)
    again = made / f"again-{kept}"
    again.mkdir()
    (again / "tree.jsonl").write_bytes(b"".join(lines[:kept]) + lines[kept][:20])
    if kept > 1:
        (again / FEATURES).write_bytes((made / "out" / FEATURES).read_bytes())
    cluster(options(made, again.name))
    for name in ("tree.jsonl", "assignments.csv", FEATURES):
        assert (again / name).read_bytes() == (made / "out" / name).read_bytes(), name


def test_features_that_were_removed_are_computed_again_past_a_stop_and_a_full_disk(
    made, monkeypatch
):
    monkeypatch.setattr("hwsearch.routing.features.CHUNK", 60)
    again = shutil.copytree(made / "out", made / "removed")
    (again / FEATURES).unlink()
    cluster(options(made, again.name))
    assert read_clusters(again).fingerprint == read_clusters(made / "out").fingerprint
    lines = (again / "tree.jsonl").read_bytes().splitlines(keepends=True)
    (again / "tree.jsonl").write_bytes(b"".join(lines[:-2]))  # of three chunks the first is done
    found = np.load(again / FEATURES, mmap_mode="r+")
    whole, found[60:] = found.copy(), 0
    full = files_limited_to((again / FEATURES).stat().st_size // 2)
    with full, pytest.raises(HwsearchError, match=rf"cannot write.*{FEATURES}.*goes on from here"):
        cluster(options(made, again.name))
    cluster(options(made, again.name))
    assert np.array_equal(np.load(again / FEATURES), whole, equal_nan=True)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"levels": 4}, r"node 0\.0 has \d+ images, too few for 3 clusters.*--levels"),
        ({"levels": 9}, "make 19683 leaves, more than 4096"),
        ({"children": 1}, "--children 1 is less than 2"),
        ({"seed": -1}, "--seed -1 is less than 0"),
        ({"out": "out/tree.jsonl"}, "cannot write"),
        ({"out": "out", "seed": 7}, "seed: 0, now 7"),
    ],
)
def test_what_cannot_be_is_refused(made, changes, message):
    out = changes.pop("out", f"refused-{len(message)}")
    with pytest.raises(HwsearchError, match=message):
        cluster(options(made, out, **changes))


def test_an_unfinished_tree_is_not_read(made):
    lines = (made / "out" / "tree.jsonl").read_bytes().splitlines(keepends=True)
    (made / "part").mkdir()
    (made / "part" / "tree.jsonl").write_bytes(b"".join(lines[:-1]))
    with pytest.raises(HwsearchError, match=r"3 of 4 splits.*hwsearch cluster"):
        read_tree(made / "part")
