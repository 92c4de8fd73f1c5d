"""Kit: a folder that measures a device which cannot be reached from here."""

import shutil
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path

from hwsearch.errors import HwsearchError, unknown_name
from hwsearch.journal import differing_fields, sha256_of, write_atomic
from hwsearch.kit.jobs import JOBS, MODELS, PROGRAM, RESULTS, JobList
from hwsearch.latency.transfer import LIKENESS
from hwsearch.measurement import PROTOCOL
from hwsearch.profiling.models import (
    Model,
    block_models,
    max_blocks,
    reference_models,
    table_models,
)
from hwsearch.profiling.options import MeasureOptions
from hwsearch.profiling.recipe import readme
from hwsearch.profiling.split import EVIDENCE_A_HELDOUT, TRANSFER
from hwsearch.profiling.workshop import Workshop
from hwsearch.profiling.zipapp import write_program
from hwsearch.progress import say, track
from hwsearch.runtime import get_runtime, runtime_names
from hwsearch.runtime.base import check_precision
from hwsearch.spaces import get_space

EVIDENCE = 60
"""Networks that predictors learn from where nothing else is said."""

_EXPORTS = ".exports"
"""Folder of exported files while the kit is made: there from its first to its last moment."""


@dataclass(frozen=True, kw_only=True)
class KitOptions(MeasureOptions):
    """What the kit is to measure, and where it goes."""

    out: Path
    """Folder of the kit."""


def kit(options: KitOptions) -> JobList:
    """Makes a kit; an interrupted one goes on by itself.

    Returns:
        What the kit will measure.

    Raises:
        HwsearchError: If a name is unknown, or another kit or something else lies in the folder.
    """
    jobs = make_kit(options, options.out)
    size_mb = sum(path.stat().st_size for path in options.out.rglob("*")) / 1e6
    say(f"{len(jobs.jobs)} models in {len(jobs.files)} files, {size_mb:.1f} MB: {options.out}")
    say(f"Copy the folder to the device and run: python3 {PROGRAM}")
    say(f"Then here: hwsearch import {options.out / RESULTS}")
    return jobs


def make_kit(options: MeasureOptions, folder: Path) -> JobList:
    """Fills a folder with everything that the device needs; nothing is done twice.

    Args:
        options: What to measure.
        folder: Where the kit goes.

    Raises:
        HwsearchError: If a name is unknown, or another kit or something else lies in the folder.
    """
    _check_names(options)
    _check_folder(folder)
    wanted = _wanted(options)
    jobs = _finished(wanted, folder) or _exported(wanted, folder)
    write_program(folder / PROGRAM, "hwsearch.kit.target")
    write_atomic(folder / "README.txt", readme(jobs))
    jobs.write(folder / JOBS)
    shutil.rmtree(folder / _EXPORTS, ignore_errors=True)
    return jobs


def _check_names(options: MeasureOptions) -> None:
    if options.runtime not in runtime_names():
        raise unknown_name("runtime", options.runtime, runtime_names())
    try:
        runtime = get_runtime(options.runtime)
    except HwsearchError:  # it is not installed here; on the device it will say
        return
    check_precision(runtime, options.precision)


def _check_folder(folder: Path) -> None:
    """Refuses a folder of something else: a kit begins with its exports and ends with its list."""
    begun = any((folder / name).exists() for name in (_EXPORTS, JOBS))
    if not begun and folder.exists() and any(folder.iterdir()):
        raise HwsearchError(
            "this folder holds something else than a kit", where=folder, fix="Use another --out"
        )


def kit_folder(options: MeasureOptions, out: Path) -> Path:
    """Returns where the kit of a host that is reached over ssh is kept.

    Args:
        options: What to measure.
        out: Folder of tables.
    """
    name = f"{options.runtime}-{options.precision}-{_wanted(options).identity[:16]}"
    return out / ".kits" / name


def models_of(jobs: JobList) -> tuple[Model, ...]:
    """Returns the models that a kit measures, but for the references.

    Raises:
        HwsearchError: If the space is no longer known here.
    """
    names = ("batch", "evidence", "heldout", "seed")
    return table_models(
        get_space(jobs.header["space"]),
        **{name: jobs.header[name] for name in names},
        ships=jobs.ships,
        max_blocks=jobs.max_blocks,
    )


def _wanted(options: MeasureOptions) -> JobList:
    """What the kit is to be, but for the files."""
    from hwsearch.export.precision import converter_versions

    space, most = options.ready_space(), max_blocks(60 * options.budget_minutes, options.pace)
    evidence, heldout = (0, 0) if options.whole else _networks(options)
    wanted = {name: getattr(options, name) for name in LIKENESS if name != "pace_hz"}
    source, source_sha256 = options.started_from(space.name, {**wanted, "pace_hz": options.pace})
    packages = ("hwsearch", "onnx", "torch")
    return JobList(
        header={
            "protocol": PROTOCOL,
            "space": space.name,
            "runtime": options.runtime,
            "precision": options.precision,
            "batch": options.batch,
            "pace_hz": options.pace,
            "device": options.device,
            "seed": options.seed,
            "evidence": evidence,
            "heldout": heldout,
            "source": source,
            "source_sha256": source_sha256,
            "versions": {
                **{package: version(package) for package in packages},
                **converter_versions(options.runtime, options.precision),
            },
        },
        threads=options.threads,
        budget_seconds=60 * options.budget_minutes,
        ships=tuple(sorted(set(options.ships))),
        max_blocks=0 if source else 1 if options.whole else len(block_models(space, most)),
        files={},
        references=("", ""),
        jobs={},
        max_celsius=options.max_temperature,
    )


def _networks(options: MeasureOptions) -> tuple[int, int]:
    """How many networks to learn from and to judge by; nobody can ask the device what it allows."""
    usual = TRANSFER[0] if options.source else EVIDENCE
    evidence = usual if options.evidence is None else options.evidence
    heldout = options.heldout
    return evidence, evidence // EVIDENCE_A_HELDOUT if heldout is None else heldout


def _finished(wanted: JobList, folder: Path) -> JobList | None:
    """Returns the job list of the kit in a folder, or None if there is none or it is damaged.

    Raises:
        HwsearchError: If it is another kit.
    """
    if not (folder / JOBS).exists():
        return None
    found = JobList.read(folder / JOBS)
    header = {name: found.header.get(name) for name in wanted.header}
    same = replace(wanted, files=found.files, references=found.references, jobs=found.jobs)
    ours = {name: getattr(wanted, name) for name in ("threads", "budget_seconds", "max_celsius")}
    was = replace(found, header=header, **ours)
    if fields := differing_fields(asdict(was), asdict(same)):
        raise HwsearchError(
            f"another kit is here ({'; '.join(fields)})", where=folder, fix="Use another --out"
        )
    if found.damaged(folder):
        return None
    return replace(found, **ours)


def _exported(wanted: JobList, folder: Path) -> JobList:
    """Exports all models into the folder, each content once, and names them in the list."""
    shape = (wanted.header[name] for name in ("runtime", "precision", "batch"))
    workshop = Workshop(folder / _EXPORTS, *shape)
    references, models = reference_models(), models_of(wanted)
    files: dict[str, str] = {}
    names: dict[str, str] = {}
    with track("export models", len(models) + 2) as advance:
        for model in (*references, *models):
            path = workshop.export(model)
            digest = sha256_of(path)
            names[model.job] = name = f"{digest[:16]}{path.suffix}"
            if name not in files:
                files[name] = digest
                write_atomic(folder / MODELS / name, path.read_bytes())
            advance(note=model.kind)
    small, large = (names.pop(model.job) for model in references)
    return replace(
        wanted,
        header={**wanted.header, "references": [files[small], files[large]]},
        files=dict(sorted(files.items())),
        references=(small, large),
        jobs=names,
    )
