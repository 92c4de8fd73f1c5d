"""The report of a search: figures, a page and what they are drawn from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hwsearch.errors import HwsearchError
from hwsearch.journal import write_atomic
from hwsearch.progress import say
from hwsearch.report.data import report_data
from hwsearch.report.engines import read_engines
from hwsearch.report.figure import draw_overview, draw_panel
from hwsearch.report.page import can_draw_page, page, script_json
from hwsearch.report.panel import Panel, Search, joint_panels, panels_of
from hwsearch.report.volume import comparison
from hwsearch.search.front import front_row, write_rows

MIXED = "mixed"
"""How the names of files start that show several searches."""


@dataclass(frozen=True)
class ReportOptions:
    """What to report."""

    directory: Path | None = None
    """Folder of a finished search."""

    beside: tuple[Path, ...] = ()
    """Folders of other searches with the same teacher, images and distance, drawn in the same
    pictures with one front for all, such as a catalogue beside a supernet."""

    compare: tuple[Path, ...] = ()
    """Instead of a folder and --beside: folders of two or more searches, drawn together into the
    first, each with its hypervolume and its share of the front of all."""

    engines: tuple[Path, ...] = ()
    """Folders of delivered engines, whose measured latency is drawn beside the predicted."""

    def __post_init__(self) -> None:
        """Refuses folders that are not there, or none."""
        alone = self.directory is not None
        compared = len(self.compare) > 1 and not self.beside
        if bool(self.compare) == alone or not (alone or compared):
            raise HwsearchError(
                "a report is of one search, or with --compare of two or more",
                fix="Write hwsearch report SEARCH, or hwsearch report --compare SEARCH OTHER",
            )
        for folder in (*self.folders, *self.engines):
            if not folder.is_dir():
                raise HwsearchError(
                    "no such folder",
                    where=folder,
                    fix="Give the folder of hwsearch search --out, and those of hwsearch deploy "
                    "--out to --engines",
                )

    @property
    def folders(self) -> tuple[Path, ...]:
        """Folders of all searches; the report goes into the first."""
        return (self.directory, *self.beside) if self.directory else self.compare


def report(options: ReportOptions) -> tuple[Path, ...]:
    """Draws the front of every table, several side by side, and all of them on one page.

    Returns:
        The files, in the folder `report` of the search: figures, the page and what it draws. With
        other searches beside it, their names start with "mixed", and a CSV file says which
        search each point is from.

    Raises:
        HwsearchError: If a search is not finished, cannot be compared with the first, or an
            engine belongs to none of them.
    """
    searches = [Search.read(folder) for folder in options.folders]
    delivered = read_engines(options.engines, searches)
    panels, joint = panels_of(searches, delivered), []
    if len(searches) == 1:
        joint = joint_panels(searches[0], delivered)
    folder = options.folders[0] / "report"
    prefix = f"{MIXED}--" if len(searches) > 1 else ""
    files = _draw_figures(panels, joint, folder, prefix)
    if len(searches) > 1 and files:
        files.append(_write_mixed(panels, folder / f"{MIXED}.csv"))
    files += _write_page(report_data([*joint, *panels], searches), folder, prefix)
    for file in files:
        say(str(file))
    for line in comparison(panels) if len(searches) > 1 else []:
        say(line)
    if not can_draw_page():
        say("For the interactive page report.html, install plotly: pip install 'hwsearch[html]'")
    return tuple(files)


def _draw_figures(
    panels: Sequence[Panel], joint: Sequence[Panel], folder: Path, prefix: str
) -> list[Path]:
    """Draws a figure for each panel that has a front, and names the others."""
    shown = [panel for panel in panels if panel.front]
    files = [file for panel in shown for file in draw_panel(panel, folder, prefix)]
    files += [file for one in joint if one.front for file in draw_panel(one, folder, prefix)]
    if len(shown) > 1:
        files += draw_overview(shown, folder, prefix)
    for panel in panels:
        if not panel.front:
            say(f"{panel.target.table} has no network on its front, so there is no figure of it")
    return files


def _write_page(data: Mapping[str, Any], folder: Path, prefix: str) -> list[Path]:
    """Writes report.json, and report.html where plotly is installed."""
    files = [folder / f"{prefix}report.json"]
    write_atomic(files[0], script_json(data) + "\n")
    if can_draw_page():
        files.append(folder / f"{prefix}report.html")
        write_atomic(files[1], page(data))
    return files


def _write_mixed(panels: Sequence[Panel], path: Path) -> Path:
    rows = [
        {"search": str(series.search.folder), **front_row(point)}
        for panel in panels
        for series, point in panel.front
    ]
    return write_rows(rows, path)
