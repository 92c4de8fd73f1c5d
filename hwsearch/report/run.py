"""The report of a search: figures and what they are drawn from."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hwsearch.deploy.manifest import read_manifest
from hwsearch.errors import HwsearchError
from hwsearch.progress import console
from hwsearch.report.figure import Delivered, Panel, draw_overview, draw_panel
from hwsearch.search.evaluations import Evaluations, match_table
from hwsearch.search.front import read_front


@dataclass(frozen=True)
class ReportOptions:
    """What to report."""

    directory: Path
    """Folder of a finished search."""

    engines: tuple[Path, ...] = ()
    """Folders of delivered engines, whose measured latency is drawn beside the predicted."""

    def __post_init__(self) -> None:
        """Refuses folders that are not there."""
        for folder in (self.directory, *self.engines):
            if not folder.is_dir():
                raise HwsearchError(
                    "no such folder",
                    where=folder,
                    fix="Give the folder of hwsearch search --out, and those of hwsearch deploy "
                    "--out to --engines",
                )


def report(options: ReportOptions) -> tuple[Path, ...]:
    """Draws the front of every table, and several side by side.

    Returns:
        The files, in the folder `report` of the search.

    Raises:
        HwsearchError: If the search is not finished or an engine belongs to another search.
    """
    evaluations, front = Evaluations.read(options.directory), read_front(options.directory)
    delivered = _delivered(options.engines, evaluations)
    panels = [
        Panel(
            target=target,
            front=[point for point in front if point.table == target.table],
            delivered=[engine for table, engine in delivered if table == target.table],
        )
        for target in evaluations.targets
    ]
    folder = options.directory / "report"
    files = [file for panel in panels for file in draw_panel(evaluations, panel, folder)]
    if len(panels) > 1:
        files += draw_overview(evaluations, panels, folder)
    for file in files:
        console.print(str(file), markup=False)
    return tuple(files)


def _delivered(engines: Sequence[Path], evaluations: Evaluations) -> list[tuple[str, Delivered]]:
    """Reads the manifests: the table's label and what was predicted and measured."""
    found, labels = [], [target.table for target in evaluations.targets]
    for folder in engines:
        manifest = read_manifest(folder)
        label = match_table(manifest.table, labels)
        latency, distance = manifest.latency, manifest.distance
        found.append(
            (
                label,
                Delivered(
                    predicted_ms=latency.predicted_ms,
                    measured_ms=latency.measured_ms,
                    predicted_distance=distance.float_net,
                    measured_distance=distance.engine,
                ),
            )
        )
    return found
