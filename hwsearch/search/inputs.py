"""What a search reads: options, checkpoint, tables and target images, each known by its hash."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from hwsearch.checkpoint import Run, load_run
from hwsearch.distance import TargetImages, TeacherDistance, load_target
from hwsearch.errors import HwsearchError
from hwsearch.journal import differing_fields, read_journal, sha256_of
from hwsearch.latency.table import Table, find_table
from hwsearch.search.evaluations import FILE, KIND, match_table
from hwsearch.selfsup.base import Weights

CONFIG = "config.toml"
"""Name of the file that keeps the options in the folder of a search."""


@dataclass(frozen=True, kw_only=True)
class SearchOptions:
    """What to search for, and how long."""

    checkpoint: Path
    """Folder that hwsearch train wrote."""

    tables: tuple[str, ...]
    """Latency tables of the devices to search for, by path, name or DEVICE/NAME."""

    images: str
    """Unlabelled images of the target domain: a folder, tar shards or sklearn:digits."""

    out: Path
    """Folder of the search; the same command goes on where it was stopped."""

    task: Literal["classification", "detection", "segmentation"] = "classification"
    """What the engine is for; decides what the teacher distance compares."""

    evaluations: int = 200
    """Networks whose distance is evaluated; a larger number later continues the search."""

    population: int = 16
    """Networks in a generation."""

    max_images: int = 512
    """Most images that the distance looks at."""

    weights: Weights = "online"
    """Which of the checkpoint's weights: as trained, or their slow average."""

    seed: int = 0
    """Seed of the search."""

    tables_dir: Path | None = None
    """Folder of latency tables, looked into first."""

    def __post_init__(self) -> None:
        """Refuses values that cannot work."""
        if self.task != "classification":
            raise HwsearchError(
                f"--task {self.task} is not available yet", fix="Use --task classification"
            )
        if not self.tables:
            raise HwsearchError(
                "--tables names no table", fix="Measure this machine with hwsearch profile first"
            )
        if self.population < 4:
            raise HwsearchError("--population must be at least 4")
        if self.evaluations < self.population:
            raise HwsearchError(
                f"--evaluations {self.evaluations} is below --population {self.population}"
            )
        if self.max_images < 2:
            raise HwsearchError("--max-images must be at least 2")


@dataclass(frozen=True)
class SearchInputs:
    """Everything a search depends on, opened and found to fit together.

    Attributes:
        options: With absolute paths.
        run: The trained supernet.
        tables: In the order of their labels.
        images: Of the target domain.
    """

    options: SearchOptions
    run: Run
    tables: tuple[Table, ...]
    images: TargetImages

    @property
    def labels(self) -> tuple[str, ...]:
        """Labels "device/name" of the tables."""
        return tuple(label_of(table) for table in self.tables)

    def table(self, text: str = "") -> Table:
        """Returns one of the tables by label, name or path; the only one by nothing."""
        return self.tables[self.labels.index(match_table(text, self.labels))]

    def distance(self) -> TeacherDistance:
        """Returns the teacher distance on the target images."""
        cache = self.options.out / "teacher"
        return TeacherDistance(self.run, self.images, weights=self.options.weights, cache=cache)

    def header(self) -> dict[str, Any]:
        """Returns what must be equal for evaluations to be of one search."""
        return {
            "space": self.run.space.name,
            "task": self.options.task,
            "checkpoint": self.run.fingerprint,
            "weights": self.options.weights,
            "images": self.images.fingerprint,
            "population": self.options.population,
            "seed": self.options.seed,
            "tables": {label_of(table): _conditions(table) for table in self.tables},
        }


def label_of(table: Table) -> str:
    """Names a table among those of several devices."""
    return f"{table.device}/{table.name}"


def _conditions(table: Table) -> Mapping[str, str | int]:
    return {
        "device": table.device,
        "runtime": table.runtime,
        "precision": table.precision,
        "batch": table.batch,
        "threads": table.threads,
        "sha256": sha256_of(table.path),
    }


def open_inputs(options: SearchOptions) -> SearchInputs:
    """Opens everything that the options name.

    Raises:
        HwsearchError: If something is missing, or tables and checkpoint are of several spaces.
    """
    paths = [find_table(text, options.tables_dir) for text in options.tables]
    tables = tuple(sorted((Table.read(path) for path in paths), key=label_of))
    _check_tables(tables)
    run = load_run(options.checkpoint, space=tables[0].space)
    side = run.space.input_shape[1]
    images = load_target(options.images, side, limit=options.max_images)
    return SearchInputs(_absolute(options, tables), run, tables, images)


def _check_tables(tables: tuple[Table, ...]) -> None:
    first = tables[0]
    for table in tables[1:]:
        if table.space != first.space:
            raise HwsearchError(
                f"--tables are of several spaces: '{first.space}' and '{table.space}'",
                where=table.path,
                fix="Search one space at a time",
            )
    labels = [label_of(table) for table in tables]
    if twice := {label for label in labels if labels.count(label) > 1}:
        raise HwsearchError(f"--tables names {min(twice)} twice", fix="Name each table once")


def _absolute(options: SearchOptions, tables: tuple[Table, ...]) -> SearchOptions:
    """Makes paths absolute, so that a search can be used from any folder."""
    local = Path(options.images).expanduser()
    return replace(
        options,
        checkpoint=options.checkpoint.resolve(),
        tables=tuple(str(table.path.resolve()) for table in tables),
        images=str(local.resolve()) if local.exists() else options.images,
        out=options.out.resolve(),
        tables_dir=None,
    )


def open_search(folder: Path, *, tables_dir: Path | None = None) -> SearchInputs:
    """Opens again what a search has read, to use its results.

    Args:
        folder: The --out folder of a search.
        tables_dir: Where the tables are now, if they were moved.

    Raises:
        HwsearchError: If the folder holds no search, or what it has read is gone or changed.
    """
    header, _ = read_journal(_existing(folder / FILE), KIND)
    options = _read_options(_existing(folder / CONFIG), out=folder)
    if tables_dir is not None:
        options = replace(options, tables=tuple(header["tables"]), tables_dir=tables_dir)
    inputs = open_inputs(options)
    if changed := differing_fields(header, inputs.header()):
        raise HwsearchError(
            f"what the search has read was changed since ({'; '.join(changed)})",
            where=folder,
            fix="Restore it, or search again with another --out",
        )
    return inputs


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise HwsearchError(
            "no search found", where=path.parent, fix="Give the folder of hwsearch search --out"
        )
    return path


def _read_options(config: Path, *, out: Path) -> SearchOptions:
    try:
        values: dict[str, Any] = tomllib.loads(config.read_text(encoding="utf-8"))
        values["checkpoint"], values["tables"] = Path(values["checkpoint"]), tuple(values["tables"])
        values["out"] = out
        return SearchOptions(**values)
    except (ValueError, KeyError, TypeError) as cause:
        raise HwsearchError(
            f"the options of the search are damaged: {cause}",
            where=config,
            fix="Run the same hwsearch search again; it repeats no evaluation",
        ) from cause
