"""What a search chooses among and for: options, tables, images and networks, without a teacher."""

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from hwsearch.checkpoint import load_run
from hwsearch.distance import (
    CatalogueStudents,
    Students,
    SupernetStudents,
    TargetImages,
    load_target,
)
from hwsearch.errors import HwsearchError
from hwsearch.heads import parse_ships
from hwsearch.latency.table import Table, find_table
from hwsearch.nn.place import find_place
from hwsearch.runtime.half_range import needs_half_range
from hwsearch.search.costs import Costs
from hwsearch.search.evaluations import label_of, match_table
from hwsearch.search.limits import DeviceLimits, Limit, read_limits
from hwsearch.search.options import SearchOptions
from hwsearch.shipped import Shipped
from hwsearch.space import Space
from hwsearch.spaces import get_space
from hwsearch.spaces.catalogue import Catalogue
from hwsearch.spaces.precisions import PrecisionSpace, with_precisions
from hwsearch.spaces.timm import SCHEME


@dataclass(frozen=True)
class SearchedNetworks:
    """What a search chooses among and for, opened and found to fit together.

    Attributes:
        options: With absolute paths.
        tables: In the order of their labels.
        students: The networks of the tables' space.
        supernet: Those of the checkpoint, if there is one.
    """

    options: SearchOptions
    tables: tuple[Table, ...]
    students: Students
    supernet: SupernetStudents | None

    @property
    def space(self) -> Space:
        """The space that is searched."""
        return self.students.space

    @property
    def labels(self) -> tuple[str, ...]:
        """Labels "device/name" of the tables."""
        return tuple(label_of(table) for table in self.tables)

    def table(self, text: str = "") -> Table:
        """Returns one of the tables by label, name or path; the only one by nothing."""
        return self.tables[self.labels.index(match_table(text, self.labels))]

    @cached_property
    def limits(self) -> tuple[Limit, ...]:
        """What networks must keep."""
        return read_limits(self.options.limit)

    def devices(self) -> list[DeviceLimits]:
        """Returns costs and limits on the device of each table.

        Raises:
            HwsearchError: If a table does not cover the space or lacks a cost, or no network keeps
                the limits.
        """
        shipped = Shipped(self.space, parse_ships(self.options.ships))
        every = [Costs.fit(table, shipped) for table in self.tables]
        devices = DeviceLimits.all_of(every, self.limits)
        for device in devices:
            for name in self.options.against:
                device.costs.of(name)
            device.require_a_network(self.space)
        return devices


def open_networks(options: SearchOptions) -> SearchedNetworks:
    """Opens everything that the options name but the teacher, and writes nothing.

    Raises:
        HwsearchError: If something is missing, or tables and checkpoint do not fit together.
    """
    paths = [find_table(text, options.tables_dir) for text in options.tables]
    tables = tuple(sorted((Table.read(path) for path in paths), key=label_of))
    _check_tables(tables)
    space = _open_space(tables, options.fixed)
    images = load_target(options.images, space.input_side(space.maximum), limit=options.max_images)
    supernet = _open_checkpoint(options, space, images, half_range=_half_range(tables))
    students = CatalogueStudents(space, images) if isinstance(space, Catalogue) else supernet
    if students is None:
        raise HwsearchError(
            f"--checkpoint must be given to search space '{space.name}'",
            fix=f"Name the --out folder of hwsearch train --space {tables[0].space}",
        )
    return SearchedNetworks(_absolute(options, tables), tables, students, supernet)


def _open_space(tables: tuple[Table, ...], fixed: str) -> Space:
    """Opens the space of the tables; a supernet's networks are another one in each precision."""
    space = _open_whole_space(tables)
    if not fixed:
        return space
    pairs = [item.partition("=") for item in fixed.split(",")]
    if not all(equals for _, equals, _ in pairs):
        raise HwsearchError(
            f"cannot read '--fixed {fixed}'", fix="Write NAME=VALUE,NAME=VALUE, as route prints it"
        )
    named = space.parse(fixed)
    space.encode(named)  # refuses what is off the grid
    values = named.as_dict()
    return replace(space, fixed=tuple((n, values[n]) for n in (one.strip() for one, *_ in pairs)))


def _open_whole_space(tables: tuple[Table, ...]) -> Space:
    name = tables[0].space
    if name.startswith(SCHEME):
        from hwsearch.export.timm import export_timm

        export_timm(name)
    space = get_space(name)
    if isinstance(space, Catalogue):
        return space
    return get_space(with_precisions(space, (table.precision for table in tables)).name)


def _open_checkpoint(
    options: SearchOptions, space: Space, images: TargetImages, *, half_range: bool
) -> SupernetStudents | None:
    """Opens the supernet, which must be of the searched space unless that is a catalogue."""
    if options.checkpoint is None:
        return None
    catalogue = isinstance(space, Catalogue)
    plain = space.plain if isinstance(space, PrecisionSpace) else space
    run = load_run(options.checkpoint, space=None if catalogue else plain.name)
    if run.header.recipe.get("clusters") and not run.header.recipe.get("shrink_paths"):
        raise HwsearchError(
            "the paths of this run were trained at their full size only",
            where=options.checkpoint,
            fix="Train them with hwsearch train --shrink-paths",
        )
    return SupernetStudents(
        run,
        images,
        weights=options.weights,
        calibration_images=options.calibration_images,
        space=None if catalogue else space,
        half_range=half_range,
        place=find_place(options.device),
    )


def _half_range(tables: tuple[Table, ...]) -> bool:
    """Tells whether all processors that compute in int8 keep weights to half the range."""
    integer = [table for table in tables if table.precision == "int8"]
    return bool(integer) and all(
        needs_half_range(table.runtime, table.header.fingerprint) for table in integer
    )


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
    teacher = options.teacher
    return replace(
        options,
        checkpoint=options.checkpoint and options.checkpoint.resolve(),
        device=find_place(options.device),
        teacher=_absolute_path(teacher) if teacher.endswith((".onnx", ".py")) else teacher,
        tables=tuple(str(table.path.resolve()) for table in tables),
        warm=tuple(folder.resolve() for folder in options.warm),
        images=_absolute_path(options.images),
        out=options.out.resolve(),
        tables_dir=None,
    )


def _absolute_path(text: str) -> str:
    """Makes text absolute if it is a path; an empty one, a glob or a name stays."""
    local = Path(text).expanduser()
    return str(local.resolve()) if text and local.exists() else text
