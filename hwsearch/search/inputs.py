"""What a search reads: options, tables, networks, a teacher and images, each known by its hash."""

from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from hwsearch.checkpoint import load_run
from hwsearch.distance import (
    CatalogueStudents,
    DistanceKind,
    Judge,
    Students,
    SupernetStudents,
    TargetImages,
    Teacher,
    choose_kind,
    choose_stages,
    load_target,
    open_judge,
)
from hwsearch.distance.best_teacher import BY_RANK
from hwsearch.errors import HwsearchError
from hwsearch.heads import parse_ships
from hwsearch.journal import differing_fields, read_journal, sha256_of
from hwsearch.latency.table import Table, find_table
from hwsearch.nn.place import find_place
from hwsearch.search.costs import Costs
from hwsearch.search.evaluations import FILE, KIND, Target, label_of, match_table
from hwsearch.search.limits import DeviceLimits, Limit, read_limits
from hwsearch.search.options import CONFIG, SearchOptions, read_options
from hwsearch.search.teachers import find_teacher, name_of
from hwsearch.shipped import Shipped
from hwsearch.space import Space
from hwsearch.spaces import get_space
from hwsearch.spaces.catalogue import Catalogue
from hwsearch.spaces.precisions import PrecisionSpace, with_precisions
from hwsearch.spaces.timm import SCHEME


@dataclass(frozen=True)
class SearchInputs:
    """Everything a search depends on, opened and found to fit together.

    Attributes:
        options: With absolute paths.
        tables: In the order of their labels.
        students: The networks of the tables' space.
        teacher: What they should be close to.
        kind: What the distance compares.
    """

    options: SearchOptions
    tables: tuple[Table, ...]
    students: Students
    teacher: Teacher
    kind: DistanceKind

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

    def distance(self) -> Judge:
        """Returns the distance to the teacher on the target images."""
        cache, stages = self.options.out / "teacher", self.options.stages
        seed = self.options.seed
        return open_judge(
            self.kind, self.students, self.teacher, stages=stages, cache=cache, seed=seed
        )

    @property
    def distance_name(self) -> str:
        """Names what is compared, and of which stages if there are several."""
        return " ".join(map(str, (self.kind, *self.options.stages)))

    def header(self) -> dict[str, Any]:
        """Returns what must be equal for evaluations to be of one search."""
        return {
            "space": self.space.name,
            "task": self.options.task,
            **self.students.origin,
            "distance": self.distance_name,
            "early_stop": self.options.early_stop,
            "teacher": self.teacher.fingerprint,
            "images": self.students.images.fingerprint,
            "ships": sorted(self.options.ships),
            "limits": sorted(self.options.limit),
            "fixed": self.options.fixed,
            "against": list(self.options.against),
            "joint": self.options.joint,
            "warm": [sha256_of(_existing(folder / FILE)) for folder in self.options.warm],
            "batch": self.options.batch,
            "place": self.students.place,
            "seed": self.options.seed,
            "tables": {label_of(table): _conditions(table) for table in self.tables},
        }


def _conditions(table: Table) -> dict[str, Any]:
    conditions = asdict(Target.of(table))
    del conditions["table"]
    return conditions


def open_inputs(options: SearchOptions) -> SearchInputs:
    """Opens everything that the options name.

    Raises:
        HwsearchError: If something is missing, or tables, checkpoint and teacher do not fit
            together.
    """
    paths = [find_table(text, options.tables_dir) for text in options.tables]
    tables = tuple(sorted((Table.read(path) for path in paths), key=label_of))
    _check_tables(tables)
    space = _open_space(tables, options.fixed)
    images = load_target(options.images, space.input_side(space.maximum), limit=options.max_images)
    supernet = _open_checkpoint(options, space, images)
    students = CatalogueStudents(space, images) if isinstance(space, Catalogue) else supernet
    if students is None:
        raise HwsearchError(
            f"--checkpoint must be given to search space '{space.name}'",
            fix=f"Name the --out folder of hwsearch train --space {tables[0].space}",
        )
    teacher = find_teacher(options.teacher, students, supernet, options.out / "teacher")
    kind = choose_kind(options.distance, options.task, students, teacher)
    if options.teacher in BY_RANK:  # whoever opens the search need not find it again
        options = replace(options, teacher=name_of(teacher))
    options = replace(options, stages=choose_stages(options.stages, kind, options.task, students))
    return SearchInputs(_absolute(options, tables), tables, students, teacher, kind)


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
    options: SearchOptions, space: Space, images: TargetImages
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
        place=find_place(options.device),
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


def open_search(folder: Path, *, tables_dir: Path | None = None) -> SearchInputs:
    """Opens again what a search has read, to use its results; networks compute on the CPU.

    Args:
        folder: The --out folder of a search.
        tables_dir: Where the tables are now, if they were moved.

    Raises:
        HwsearchError: If the folder holds no search, or what it has read is gone or changed.
    """
    header, _ = read_journal(_existing(folder / FILE), KIND)
    options = read_options(_existing(folder / CONFIG), out=folder)
    options = replace(options, warm=(), device="cpu")  # what uses it may have no GPU
    if tables_dir is not None:
        options = replace(options, tables=tuple(header["tables"]), tables_dir=tables_dir)
    inputs = open_inputs(options)
    if changed := differing_fields(header | {"warm": [], "place": "cpu"}, inputs.header()):
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
