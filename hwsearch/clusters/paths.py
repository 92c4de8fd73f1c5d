"""From the node of a tree to the path of a network that is trained on the node's images."""

from math import ceil

from hwsearch.clusters.tree import ClusterTree, Node
from hwsearch.errors import HwsearchError
from hwsearch.space import Space, Subnet
from hwsearch.spaces.paths import ALL, path_dims


def level_of_stage(stage: int, stages: int, levels: int) -> int:
    """Returns the level of a tree, 1 to L, whose choice a stage follows.

    Args:
        stage: From 1, the one nearest to the image.
        stages: How many there are.
        levels: L, at most as many; then each level has a run of equally many stages, or nearly.
    """
    return ceil(stage * levels / stages)


def path_of(node: Node, levels: int, space: Space) -> Subnet:
    """Returns the network of a node: its own groups down to its level, all groups beyond.

    Args:
        node: A node of any level; the root has all groups everywhere.
        levels: Levels of the tree.
        space: A space with paths; what are no paths stay at their maximum.
    """
    dims = path_dims(space)
    chosen = (level_of_stage(stage, len(dims), levels) for stage in range(1, len(dims) + 1))
    groups = (str(node[level - 1]) if level <= len(node) else ALL for level in chosen)
    return space.subnet(**dict(zip((dim.name for dim in dims), groups, strict=True)))


def check_paths(tree: ClusterTree, space: Space) -> None:
    """Refuses a space whose paths do not branch as a tree does.

    Raises:
        HwsearchError: If it has no paths, fewer stages than the tree has levels, or another
            number of groups than a node has children.
    """
    dims, family = path_dims(space), space.name.partition("^")[0].partition("[")[0]
    groups = len(dims[0].choices) - 1 if dims else 0
    if groups != tree.children:
        told = f"{groups} groups to choose from" if groups else "no paths to choose from"
        raise HwsearchError(
            f"space '{space.name}' has {told}, and each node of the tree {tree.children} children",
            fix=f"Use --space {family}^{tree.children}",
        )
    if tree.levels > len(dims):
        raise HwsearchError(
            f"the tree has {tree.levels} levels, and networks of space '{space.name}' have "
            f"{len(dims)} stages, one for each level at most",
            fix=f"Run hwsearch cluster with --levels {len(dims)} or fewer",
        )
