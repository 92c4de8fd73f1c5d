"""What a study says before it starts: its plan, the time and the disk that it takes."""

from collections import Counter
from collections.abc import Sequence

from hwsearch.progress import say
from hwsearch.study.estimate import Estimate
from hwsearch.study.plan import Plan
from hwsearch.study.work import Unit


def tell_plan(
    plan: Plan, trainings: Sequence[Unit], probes: Sequence[Unit], estimate: Estimate
) -> None:
    """Prints what is planned, what is left of it, and what that takes."""
    families = Counter(network.family for network in plan.networks)
    named = ", ".join(f"{count} of {family}" for family, count in families.items())
    seeds, options = plan.options.seeds, plan.options
    say(f"{len(plan.networks)} networks ({named}), seeds {' '.join(map(str, seeds))}")
    say(
        f"trained by {options.method}: {plan.steps} steps of {options.batch} images of "
        f"{options.data}, on {options.device} in {options.amp}"
    )
    say(f"tasks: {', '.join(task.name for task in plan.tasks)}")
    runs = len(plan.networks) * len(seeds)
    say(
        f"left: {len(trainings)} of {runs} trainings and {len(probes)} of "
        f"{runs * len(plan.tasks)} probes"
    )
    if trainings or probes:
        _tell_cost(estimate)


def _tell_cost(estimate: Estimate) -> None:
    hours = estimate.core_hours
    if hours is not None and estimate.training_seconds is not None:
        share = estimate.training_seconds / 3600
        where = "divided by the cluster's CPUs"
        if estimate.processes is not None:
            together = _duration(3600 * hours / estimate.processes)
            where = f"about {together} in {estimate.processes} processes"
        say(f"time: {hours:.2g} core-hours, {share:.2g} of them for training; {where}")
    say(
        f"disk: {estimate.disk_mb:.3g} MB, and {estimate.peak_disk_mb:.3g} MB more while trainings "
        f"run; {estimate.free_mb / 1000:.3g} GB are free"
    )


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
