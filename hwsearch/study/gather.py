"""The work of a study: trainings and probes, spread over processes, all journaled."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import product

from hwsearch.config import check_config, write_config
from hwsearch.errors import HwsearchError
from hwsearch.journal import Journal, Json
from hwsearch.progress import say, track
from hwsearch.search.pool import Pool
from hwsearch.search.stop import ending_on_sigterm
from hwsearch.study.estimate import estimate, processes_of
from hwsearch.study.options import StudyOptions
from hwsearch.study.plan import (
    KIND,
    Known,
    Plan,
    check_networks,
    check_tasks,
    make_plan,
    units_left,
)
from hwsearch.study.scores import Results
from hwsearch.study.told import tell_plan
from hwsearch.study.work import OpenWork, Unit, discard, lost, run_folder

CONFIG = "config.toml"
_PACKAGES = ("torch", "numpy", "scipy", "scikit-learn")

HOPELESS = 3
"""Units that may fail before the first one succeeds: then it is not the networks' fault."""

GRACE_SECONDS = 20.0
"""How long trainings may take to save a checkpoint when the study is stopped."""

Do = Callable[[Sequence[Unit]], Iterator[tuple[int, Json]]]


@ending_on_sigterm()
def gather(options: StudyOptions) -> Results | None:
    """Trains and probes what is left of a study; with `dry_run` tells what that is.

    Returns:
        All results of the networks, seeds and tasks that the options name, or None in a dry run.

    Raises:
        HwsearchError: If something is missing or does not fit, the folder holds another study or
            the config file of another command, or units fail before any succeeds.
    """
    check_config(options.out / CONFIG, options)
    plan = make_plan(options)
    known = Known.of(plan.rows())
    # Before the folder is taken by options that cannot work.
    new_tasks, new_networks = check_tasks(plan, known), check_networks(plan, known)
    if options.dry_run:
        left = units_left(plan, known)
        tell_plan(plan, *left, estimate(plan, *left))
        return None
    with Journal.open(plan.journal, KIND, plan.header) as journal:
        if journal.repaired:
            say(journal.repaired)
        write_config(plan.options.out / CONFIG, plan.options, _PACKAGES)
        known = Known.of(journal.rows)
        for task in new_tasks:
            if task.name not in known.task_images:
                journal.append({"task": task.name, "images": plan.task_images[task.name]})
        for network in new_networks:
            if network.name not in known.digests:
                journal.append({"network": network.name, "digest": network.digest})
        left = units_left(plan, Known.of(journal.rows))
        if any(left):
            tell_plan(plan, *left, estimate(plan, *left))
            _work(plan, journal)
        known = Known.of(journal.rows)
        if options.discard_weights and not any(units_left(plan, known)):
            for network, seed in product(plan.networks, options.seeds):
                discard(run_folder(plan.options.out, network, seed))
    return Results.of(plan, known)


def _work(plan: Plan, journal: Journal) -> None:
    """Does what is left, trainings first."""
    with _workers(plan) as do:
        trainings, _ = units_left(plan, Known.of(journal.rows))
        again = {unit.key for unit in trainings}
        _phase("train", do, trainings, journal)
        known = Known.of(journal.rows)
        _, probes = units_left(plan, known)
        # What has failed a moment ago is not tried again even if it was asked for.
        lost_runs = {key[:2] for key in again if "failed" in known.rows[key]}
        _phase("probe", do, [one for one in probes if one.key[:2] not in lost_runs], journal)


def _phase(name: str, do: Do, units: Sequence[Unit], journal: Journal) -> None:
    """Does units of one kind and journals what they give, as it comes."""
    if not units:
        return
    failed = succeeded = 0
    with track(name, len(units)) as advance:
        for place, row in do(units):
            journal.append(row)
            cause = row.get("failed")
            failed, succeeded = failed + (cause is not None), succeeded + (cause is None)
            if cause is not None:
                say(f"{units[place]} failed: {cause}")
            if failed >= HOPELESS and not succeeded:
                raise HwsearchError(
                    f"the first {failed} units failed, the last: {cause}",
                    fix="Mend the cause and give the same command with --retry-failed",
                )
            advance(note=units[place].network.label)


@contextmanager
def _workers(plan: Plan) -> Iterator[Do]:
    """Opens the processes, here or on a cluster, that do units; they end with the context."""
    opened, smaller = OpenWork(plan.options), "use fewer --processes or a smaller --batch"
    if plan.options.ray:
        from hwsearch.search.ray_tasks import RayTasks

        with RayTasks(
            opened,
            plan.options.ray,
            plan.options.processes,
            doing="do",
            smaller=smaller,
            lost=lost,
        ) as tasks:
            yield tasks
        return
    with Pool(
        opened,
        processes_of(plan),
        doing="at",
        smaller=smaller,
        lost=lost,
        grace_seconds=GRACE_SECONDS,
    ) as pool:
        yield pool
