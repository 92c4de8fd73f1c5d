"""From a tree to paths: which stage follows which level, and what does not fit."""

from itertools import product

import pytest

from hwsearch.clusters.paths import check_paths, level_of_stage, path_of
from hwsearch.clusters.tree import ClusterTree
from hwsearch.errors import HwsearchError
from hwsearch.spaces import get_space
from hwsearch.spaces.paths import path_dims

SPACE = get_space("bottleneck-32^4")  # of four stages


def choices(node, levels):
    subnet = path_of(node, levels, SPACE)
    return tuple(subnet[dim.name] for dim in path_dims(SPACE))


@pytest.mark.parametrize(
    ("levels", "expected"),
    [(1, [1, 1, 1, 1]), (2, [1, 1, 2, 2]), (3, [1, 2, 3, 3]), (4, [1, 2, 3, 4])],
)
def test_levels_are_spread_over_the_stages(levels, expected):
    assert [level_of_stage(stage, 4, levels) for stage in range(1, 5)] == expected


def test_a_node_is_specialised_down_to_its_level():
    assert choices((), 2) == ("all",) * 4
    assert choices((3,), 2) == ("3", "3", "all", "all")
    assert choices((3, 0), 2) == ("3", "3", "0", "0")
    assert choices((3, 0, 1), 4) == ("3", "0", "1", "all")
    assert path_of((), 3, SPACE) == SPACE.maximum


def test_each_leaf_has_a_network_of_its_own_that_is_else_the_largest():
    leaves = [path_of(leaf, 2, SPACE) for leaf in product(range(4), repeat=2)]
    assert len(set(leaves)) == 16
    names = {dim.name for dim in path_dims(SPACE)}
    rest = {tuple(item for item in leaf.values if item[0] not in names) for leaf in leaves}
    assert rest == {tuple(item for item in SPACE.maximum.values if item[0] not in names)}


@pytest.mark.parametrize(
    ("space", "children", "levels", "message"),
    [
        ("bottleneck-32", 4, 2, r"no paths to choose from.*--space bottleneck-32\^4"),
        ("bottleneck-32^2", 4, 2, r"2 groups to choose from, and .* 4 .*bottleneck-32\^4"),
        ("bottleneck-32^4[max]", 4, 2, r"no paths to choose from"),
        ("bottleneck-32^2", 2, 5, r"5 levels, .* 4 stages.*--levels 4 or fewer"),
    ],
)
def test_a_tree_that_does_not_fit_is_refused(space, children, levels, message):
    with pytest.raises(HwsearchError, match=message):
        check_paths(ClusterTree(children, levels, {}), get_space(space))
