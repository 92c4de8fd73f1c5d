"""Progressive phases over a tree of clusters: which node a step has, its images and its path (SDR).

Phase l specialises the stages that follow levels 1 to l; it has some passes over the images. Each
of its steps draws one node of level l in proportion to the node's images, and a batch from those
alone. All is a function of (seed, step), so that resuming is exact and processes agree.

Shapes: N images of the source, S steps of an epoch, B batch.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import pairwise

import numpy as np

from hwsearch.clusters.files import Clusters
from hwsearch.clusters.paths import check_paths, path_of
from hwsearch.clusters.tree import Node, name_of
from hwsearch.data.draws import permutation, uniform
from hwsearch.data.order import steps_of
from hwsearch.data.sources import Source
from hwsearch.errors import HwsearchError
from hwsearch.space import Space, Subnet
from hwsearch.spaces.paths import path_dims
from hwsearch.train.schedule import PATH, Schedule

_NODES, _IMAGES, _DEAL = range(3)
"""What a number is drawn for, so that draws of equal counters differ."""


def equal_phases(epochs: int, levels: int) -> tuple[int, ...]:
    """Divides passes over the images among the levels of a tree; the last one gets what is left.

    Raises:
        HwsearchError: If there are fewer passes than levels.
    """
    each = epochs // levels
    if not each:
        raise HwsearchError(
            f"--epochs {epochs} are fewer than the {levels} levels of the tree",
            fix=f"Use {levels} or more, or say by --phases how many each level gets",
        )
    return (*[each] * (levels - 1), epochs - each * (levels - 1))


@dataclass(frozen=True)
class Turns:
    """What decides whose turn it is.

    Attributes:
        phases: Passes over the images for each level, from the first.
        batch: Images of a step, over all processes.
        seed: Of all draws.
        shuffled: Whether images are dealt to the leaves at random, in the leaves' sizes: a control
            that tells what the clusters are good for.
    """

    phases: tuple[int, ...]
    batch: int
    seed: int
    shuffled: bool = False


class NodeOrder:
    """The node of each step, and its images.

    Args:
        source: The images that were clustered.
        clusters: Their tree.
        turns: Whose turn it is.
        space: Whose paths belong to the nodes.

    Attributes:
        tree: The tree.
        turns: Whose turn it is.
        steps_per_epoch: As of an ordinary pass over all images.

    Raises:
        HwsearchError: If the images are others, the space does not branch like the tree, there are
            not as many phases as levels, or a node has too few images for a batch.
    """

    def __init__(self, source: Source, clusters: Clusters, turns: Turns, space: Space) -> None:
        self.tree, self.turns = clusters.tree, turns
        check_paths(self.tree, space)
        _check_images(source, clusters)
        self.steps_per_epoch = steps_of(source, turns.batch)
        self._leaves_N = (
            _dealt(clusters.leaves_N, turns.seed) if turns.shuffled else (clusters.leaves_N)
        )
        self._check_phases()
        self._numbers = lru_cache(2)(self._draw_numbers)
        self._members = lru_cache(1)(self._find_members)

    @property
    def epochs(self) -> int:
        """Passes over the images of all phases."""
        return sum(self.turns.phases)

    def level_at(self, epoch: int) -> int:
        """Returns the level, 1 to L, of the phase that an epoch is in; the last after the end."""
        ends = np.cumsum(self.turns.phases)
        return min(int(np.searchsorted(ends, epoch, side="right")) + 1, self.tree.levels)

    def node_at(self, step: int) -> Node:
        """Returns the node of a step."""
        epoch, step = divmod(step, self.steps_per_epoch)
        return self._node(int(self._numbers(epoch)[step]), self.level_at(epoch))

    def nodes_at(self, step: int) -> int:
        """Returns how many nodes take turns in the phase of a step."""
        return self.tree.children ** self.level_at(step // self.steps_per_epoch)

    def deals_before(self, step: int) -> int:
        """Returns how often a step's node has dealt all its images before, in the step's epoch."""
        epoch, step = divmod(step, self.steps_per_epoch)
        numbers = self._numbers(epoch)
        node = int(numbers[step])
        turns = int(np.count_nonzero(numbers[:step] == node))
        return turns // self._batches_of(self.level_at(epoch), node)

    def rows(self, epoch: int) -> np.ndarray:
        """Returns the images of each batch of an epoch, int64[S, B], no image twice in a batch."""
        numbers, level = self._numbers(epoch), self.level_at(epoch)
        rows_SB = np.empty((self.steps_per_epoch, self.turns.batch), dtype=np.int64)
        for number in np.unique(numbers):
            steps = np.flatnonzero(numbers == number)
            rows_SB[steps] = self._batches(epoch, level, int(number), len(steps))
        return rows_SB

    def _batches(self, epoch: int, level: int, number: int, count: int) -> np.ndarray:
        """Returns batches of one node: its images in a random order, as often as is needed."""
        images, batch = self._members(level)[number], self.turns.batch
        whole, found = self._batches_of(level, number), []
        for again in range(-(-count // whole)):
            counters = (self.turns.seed, epoch, _IMAGES, level, number, again)
            order = images[permutation(len(images), *counters)]
            found.append(order[: whole * batch].reshape(whole, batch))
        return np.concatenate(found)[:count]

    def _batches_of(self, level: int, number: int) -> int:
        """Returns how many batches the images of a node fill."""
        return len(self._members(level)[number]) // self.turns.batch

    def _draw_numbers(self, epoch: int) -> np.ndarray:
        """Draws the node of each step of an epoch, by its number in its level, int64[S]."""
        ends = np.cumsum([len(images) for images in self._members(self.level_at(epoch))])
        at = uniform(self.turns.seed, epoch, _NODES, np.arange(self.steps_per_epoch)) * ends[-1]
        return np.searchsorted(ends, at, side="right")

    def _find_members(self, level: int) -> list[np.ndarray]:
        """Returns the images of each node of a level."""
        below = self.tree.children ** (self.tree.levels - level)
        numbers_N = self._leaves_N // below  # that of images without a leaf stays negative
        order = np.argsort(numbers_N, kind="stable")
        nodes = np.arange(self.tree.children**level + 1)
        ends = np.searchsorted(numbers_N[order], nodes)
        return [order[start:stop] for start, stop in pairwise(ends)]

    def _node(self, number: int, level: int) -> Node:
        return tuple(int(i) for i in np.unravel_index(number, (self.tree.children,) * level))

    def _check_phases(self) -> None:
        levels, phases, batch = self.tree.levels, self.turns.phases, self.turns.batch
        if len(phases) != levels or not phases[-1]:
            raise HwsearchError(
                f"--phases says {len(phases)} numbers of epochs for a tree of {levels} levels, the "
                "last of which needs one at least",
                fix=f"Give {levels} numbers, the last above 0",
            )
        for level in range(1, levels + 1):
            sizes = [len(images) for images in self._find_members(level)]
            if phases[level - 1] and min(sizes) < batch:
                node = self._node(int(np.argmin(sizes)), level)
                raise HwsearchError(
                    f"node {name_of(node)} of the tree has {min(sizes)} images, too few for "
                    f"--batch {batch}",
                    fix=f"Use --batch {min(sizes)} or less, or cluster into fewer --levels",
                )


def _check_images(source: Source, clusters: Clusters) -> None:
    if source.fingerprint() != clusters.images or len(source) != len(clusters.leaves_N):
        raise HwsearchError(
            f"the tree is of other images than {source.name}",
            where=clusters.folder,
            fix="Train on what was clustered, or cluster these: hwsearch cluster --images SRC",
        )


def _dealt(leaves_N: np.ndarray, seed: int) -> np.ndarray:
    """Deals the leaves to the images that have one at random."""
    dealt_N, usable = leaves_N.copy(), np.flatnonzero(leaves_N >= 0)
    dealt_N[usable] = leaves_N[usable][permutation(len(usable), seed, 0, _DEAL)]
    return dealt_N


@dataclass(frozen=True)
class PathSchedule(Schedule):
    """A schedule whose steps train the path of one node each.

    Attributes:
        order: The node of each step.
        shrinks: Whether smaller networks of the path are trained too.
    """

    order: NodeOrder
    shrinks: bool = False

    def subnets_at(self, step: int, space: Space) -> Iterator[tuple[str, Subnet]]:
        """Yields the path of a step's node, specialised down to the level of the phase.

        Then its smallest network and random ones, if paths are to be shrunk.
        """
        path = path_of(self.order.node_at(step), self.order.tree.levels, space)
        yield PATH, path
        if not self.shrinks:
            return
        on_path = replace(space, fixed=tuple((d.name, path[d.name]) for d in path_dims(space)))
        rng = np.random.default_rng((self.seed, step))
        yield "min", on_path.canonical(space.minimum)
        for _ in range(self.random_subnets):
            yield "random", on_path.canonical(space.sample(rng, self.sampling))

    def node_at(self, step: int) -> Node:
        """Returns the node whose images a step sees."""
        return self.order.node_at(step)

    def nodes_at(self, step: int) -> int:
        """Returns how many nodes take turns in the phase of a step."""
        return self.order.nodes_at(step)

    def sights_before(self, step: int) -> int:
        """Returns how often a step's node has dealt all its images before, in the step's epoch."""
        return self.order.deals_before(step)
