"""What a run starts with: an earlier run, and the tree of clusters that paths are trained on."""

from dataclasses import dataclass, replace
from typing import Any

from hwsearch.checkpoint import Run, load_run
from hwsearch.clusters.files import Clusters, read_clusters
from hwsearch.data.sources import Source
from hwsearch.errors import HwsearchError
from hwsearch.selfsup.base import Method
from hwsearch.selfsup.settings import MethodSettings
from hwsearch.selfsup.specialised import Specialised, inherit
from hwsearch.spaces import get_space
from hwsearch.train.options import TrainOptions
from hwsearch.train.phases import NodeOrder, Turns, equal_phases


@dataclass(frozen=True, eq=False)
class Start:
    """An earlier run, and the paths that go on from it.

    Attributes:
        run: The earlier run.
        clusters: The tree, if paths are trained.
        order: Whose turn each step is, likewise.
        follow_start: Weight of what paths learn from the earlier run.
        shrinks: Whether smaller networks of paths are trained too.
    """

    run: Run
    clusters: Clusters | None
    order: NodeOrder | None
    follow_start: float
    shrinks: bool = False

    def settings(self, resolved: MethodSettings) -> MethodSettings:
        """Returns what the method is told: as before, but its queue is new.

        Paths have none, as they compare images of one node only: an older key would be of another
        path, and of images that the path is not trained on.

        Args:
            resolved: What the options say without the earlier run.
        """
        found = self.run.header.settings
        if self.order is None:
            return replace(found, queue=resolved.queue)
        return replace(found, follow_start=self.follow_start, queue=0)

    @property
    def recipe(self) -> dict[str, Any]:
        """What decides the result, beside the settings."""
        told: dict[str, Any] = {
            "start": self.run.fingerprint,
            "start_steps": steps_from_scratch(self.run),
        }
        if self.clusters is not None and self.order is not None:
            turns = self.order.turns
            told |= {"clusters": self.clusters.fingerprint, "phases": list(turns.phases)}
            told |= {"shuffle_clusters": turns.shuffled, "shrink_paths": self.shrinks}
        return told

    def begin(self, method: Method[Any]) -> None:
        """Puts the earlier run's weights into a new method."""
        if isinstance(method, Specialised):
            assert self.clusters is not None
            method.begin(self.run.method, self.clusters.weights)
        else:
            inherit(method, self.run.method)


def steps_from_scratch(run: Run) -> int:
    """Returns the steps of a run and of all that it goes back to."""
    return run.header.step + run.header.recipe.get("start_steps", 0)


def open_start(options: TrainOptions, source: Source) -> Start | None:
    """Opens what options name, if they name something.

    Raises:
        HwsearchError: If run, tree, images and options do not fit together.
    """
    if options.warm_start is None:
        return None
    run = load_run(options.warm_start)
    _check_run(run, options)
    if options.clusters is None:
        return Start(run, None, None, 0.0)
    clusters = read_clusters(options.clusters)
    clusters.check_made_by(run.fingerprint, options.warm_start)
    if clusters.subnet != str(run.space.maximum):
        raise HwsearchError(
            "the tree was made with the features of another network than the largest",
            where=clusters.folder,
            fix="Make it again: hwsearch cluster --subnet max",
        )
    phases = options.phases or equal_phases(options.epochs, clusters.tree.levels)
    turns = Turns(phases, options.batch, options.seed, options.shuffle_clusters)
    order = NodeOrder(source, clusters, turns, get_space(options.space))
    weight = 1.0 if options.follow_start is None else options.follow_start
    return Start(run, clusters, order, weight, options.shrink_paths)


def _check_run(run: Run, options: TrainOptions) -> None:
    header = run.header
    if header.settings.follow_start is not None or header.settings.distil is not None:
        kind = "an external teacher" if header.settings.distil else "the paths of a tree"
        raise HwsearchError(
            f"a run with {kind} is nothing to start from", where=run.path, fix="Give another run"
        )
    if header.method != options.method:
        raise HwsearchError(
            f"--warm-start was trained with --method {header.method}, not {options.method}",
            where=run.path,
            fix=f"Use --method {header.method}",
        )
    whole, mine = (name.partition("[")[0] for name in (header.space, options.space))
    if whole != mine:
        raise HwsearchError(
            f"--warm-start is of space '{header.space}', whose networks are not those of "
            f"'{options.space}'",
            where=run.path,
            fix=f"Use --space {whole}",
        )
    given = options.method_options()
    given.pop("queue", None)
    if changed := [
        name for name, value in given.items() if getattr(header.settings, name) != value
    ]:
        raise HwsearchError(
            f"--warm-start was trained with another --{changed[0].replace('_', '-')}",
            where=run.path,
            fix="Leave it out: the settings of --warm-start are kept",
        )
