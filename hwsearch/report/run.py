"""The report of a search: figures and what they are drawn from."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hwsearch.deploy.manifest import read_manifest
from hwsearch.errors import HwsearchError
from hwsearch.progress import console
from hwsearch.report.figure import draw_overview, draw_panel
from hwsearch.report.panel import Delivered, Panel, Search, joint_panels, panels_of
from hwsearch.search.evaluations import match_table
from hwsearch.search.front import front_row, write_rows

MIXED = "mixed"
"""How the names of files start that show several searches."""


@dataclass(frozen=True)
class ReportOptions:
    """What to report."""

    directory: Path
    """Folder of a finished search."""

    beside: tuple[Path, ...] = ()
    """Folders of other searches with the same teacher, images and distance, drawn in the same
    pictures with one front for all, such as a catalogue beside a supernet."""

    engines: tuple[Path, ...] = ()
    """Folders of delivered engines, whose measured latency is drawn beside the predicted."""

    def __post_init__(self) -> None:
        """Refuses folders that are not there."""
        for folder in (self.directory, *self.beside, *self.engines):
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
        The files, in the folder `report` of the search. With other searches beside it, their
        names start with "mixed", and a CSV file says which search each point is from.

    Raises:
        HwsearchError: If a search is not finished, cannot be compared with the first, or an
            engine belongs to none of them.
    """
    searches = [Search.read(folder) for folder in (options.directory, *options.beside)]
    delivered = _delivered(options.engines, searches)
    panels = panels_of(searches, delivered)
    folder = options.directory / "report"
    prefix = f"{MIXED}--" if options.beside else ""
    files = [file for panel in panels for file in draw_panel(panel, folder, prefix)]
    if not options.beside:
        joint = joint_panels(searches[0], delivered)
        files += [file for panel in joint for file in draw_panel(panel, folder, prefix)]
    if len(panels) > 1:
        files += draw_overview(panels, folder, prefix)
    if options.beside:
        files.append(_write_mixed(panels, folder / f"{MIXED}.csv"))
    for file in files:
        console.print(str(file), markup=False)
    return tuple(files)


def _write_mixed(panels: Sequence[Panel], path: Path) -> Path:
    rows = [
        {"search": str(series.search.folder), **front_row(point)}
        for panel in panels
        for series, point in panel.front
    ]
    return write_rows(rows, path)


def _delivered(engines: Sequence[Path], searches: Sequence[Search]) -> list[Delivered]:
    """Reads the manifests: the table's label and what was predicted and measured."""
    labels = [target.table for search in searches for target in search.evaluations.targets]
    manifests = [read_manifest(folder) for folder in engines]
    return [
        Delivered(
            table=match_table(manifest.table, labels),
            predicted_ms=manifest.latency.predicted_ms,
            measured_ms=manifest.latency.measured_ms,
            predicted_distance=manifest.distance.searched,
            measured_distance=manifest.distance.engine,
        )
        for manifest in manifests
    ]
