"""What a search reads: options, tables, networks, a teacher and images, each known by its hash."""

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from hwsearch.distance import (
    DistanceKind,
    Judge,
    Teacher,
    choose_kind,
    choose_stages,
    open_judge,
)
from hwsearch.distance.best_teacher import BY_RANK, COMMITTEE
from hwsearch.errors import HwsearchError
from hwsearch.journal import differing_fields, read_journal, sha256_of
from hwsearch.latency.table import Table
from hwsearch.search.evaluations import FILE, KIND, Target, label_of
from hwsearch.search.networks import SearchedNetworks, open_networks
from hwsearch.search.options import CONFIG, SearchOptions, read_options
from hwsearch.search.teachers import find_teacher, name_of, what_fits


@dataclass(frozen=True)
class SearchInputs(SearchedNetworks):
    """Everything a search depends on.

    Attributes:
        teacher: What networks should be close to.
        kind: What the distance compares.
    """

    teacher: Teacher
    kind: DistanceKind

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
    return with_teacher(open_networks(options))


def with_teacher(networks: SearchedNetworks) -> SearchInputs:
    """Opens the teacher, or looks for it, which can take a minute and writes in the folder.

    Raises:
        HwsearchError: If there is none, or the networks do not give what the distance compares.
    """
    options, students = networks.options, networks.students
    named = what_fits(options.teacher, networks.space, options.task, options.distance)
    by_image = options.distance == "dense" or options.task != "classification"
    if options.early_stop and named in BY_RANK and not by_image:  # said before looking for it
        raise no_mean_over_images("regression" if named == COMMITTEE else "relation")
    teacher = find_teacher(named, students, networks.supernet, options.out / "teacher")
    kind = choose_kind(options.distance, options.task, students, teacher)
    if named in BY_RANK:  # whoever opens the search need not find it again
        options = replace(options, teacher=name_of(teacher))
    options = replace(options, stages=choose_stages(options.stages, kind, options.task, students))
    return SearchInputs(options, networks.tables, students, networks.supernet, teacher, kind)


def no_mean_over_images(kind: str) -> HwsearchError:
    """Returns what is said where a distance cannot be told from some of the images."""
    return HwsearchError(
        f"--early-stop does not work with --distance {kind}, which is no mean over images",
        fix="Leave it out, or use --teacher max with --distance dense or a projection head without "
        "batch norms",
    )


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
