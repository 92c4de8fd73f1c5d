"""Whether the task that networks were trained on tells how others order the networks of a family.

Shapes: R draws (the first row is no draw), S networks, T tasks.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from hwsearch.correlation.analysis import Interval
from hwsearch.correlation.ranks import spearman
from hwsearch.study.scores import Results
from hwsearch.study.statistics import Draws


@dataclass(frozen=True)
class SourceEffect:
    """How alike the source task and another one order the networks of one family.

    Attributes:
        measure: Of the results.
        family: Name of the space.
        source: The source task.
        task: The other one.
        networks: How many there are.
        rho: Spearman's ρ of the means over seeds.
    """

    measure: str
    family: str
    source: str
    task: str
    networks: int
    rho: Interval


def source_effects(
    results: Results, measure: str, source: str | None, *, draws: int, seed: int
) -> Iterator[SourceEffect]:
    """Yields the effect on each other task in each family that has enough networks."""
    if source not in results.tasks:
        return
    own = results.tasks.index(source)
    for family, places in results.families.items():
        drawn = Draws.make(len(places), len(results.seeds), draws, seed)
        means_RST = drawn.means(results.scores[measure][places])
        for at, task in enumerate(results.tasks):
            if at != own:
                rho = Interval.of(spearman(means_RST[..., own], means_RST[..., at]), -1, 1)
                yield SourceEffect(measure, family, source, task, len(places), rho)
