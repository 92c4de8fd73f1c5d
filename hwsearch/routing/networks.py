"""The networks that a task is routed among: one for each leaf, and the one they started from."""

from dataclasses import dataclass

import numpy as np

from hwsearch.checkpoint import Run
from hwsearch.clusters.files import Clusters
from hwsearch.clusters.paths import check_paths, path_of
from hwsearch.clusters.tree import name_of
from hwsearch.distance import SupernetStudents
from hwsearch.distance.students import pooled
from hwsearch.errors import HwsearchError
from hwsearch.nn import StaticNet
from hwsearch.routing.norms import put_norms
from hwsearch.selfsup.specialised import Specialised
from hwsearch.space import Subnet

WHOLE = "whole"
"""Name of the network that all paths started from."""


@dataclass(frozen=True, eq=False)
class PathRun:
    """A run whose paths were trained on a tree.

    Attributes:
        run: The run.
        method: Its method, which holds the network that they started from.
        clusters: The tree.
    """

    run: Run
    method: Specialised
    clusters: Clusters

    @classmethod
    def of(cls, run: Run, clusters: Clusters) -> "PathRun":
        """Checks that run and tree belong together.

        Raises:
            HwsearchError: If the run has no paths, or they were trained on another tree.
        """
        if not isinstance(run.method, Specialised):
            raise HwsearchError(
                "this run trained no paths",
                where=run.path,
                fix="Give one of hwsearch train --warm-start RUN --clusters TREE",
            )
        check_paths(clusters.tree, run.space)
        if run.header.recipe["clusters"] != clusters.fingerprint:
            raise HwsearchError(
                f"the paths of {run.path} were trained on another tree",
                where=clusters.folder,
                fix="Give the --clusters of that run",
            )
        return cls(run, run.method, clusters)

    @property
    def subnets(self) -> dict[str, Subnet]:
        """The network of each leaf by the leaf's name; last, the one they started from."""
        tree, space = self.clusters.tree, self.run.space
        found = {name_of(leaf): path_of(leaf, tree.levels, space) for leaf in tree.leaves}
        return found | {WHOLE: space.maximum}

    def sorter(self) -> StaticNet:
        """Returns the network by whose features the tree sends an image to a leaf."""
        supernet = self.method.teacher.supernet
        return put_norms(supernet.extract(supernet.space.maximum), self.clusters.folder)

    def embeddings(self, name: str, students: SupernetStudents) -> np.ndarray:
        """Computes pooled features of a task's images, by which batch norms are calibrated.

        Args:
            name: Of a network.
            students: Hold the images.

        Returns:
            float32[N, E].
        """
        subnet = self.subnets[name]
        if name != WHOLE:
            return students.embeddings(subnet)
        net = self.method.teacher.supernet.extract(subnet)
        return pooled(students.observe_net(students.calibrated(net)))
