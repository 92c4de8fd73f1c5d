"""Answers: every selector on every task under every limit, and its mean over tasks.

Shapes: C networks.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from hwsearch.choice.gather import Told
from hwsearch.choice.options import FrozenJudge
from hwsearch.choice.regret import MEASURES, Chosen, choose_all, over_tasks
from hwsearch.choice.selectors import LABELLED, Networks, selectors_of
from hwsearch.choice.targets import Condition
from hwsearch.correlation.analysis import Interval
from hwsearch.progress import track
from hwsearch.search.front import write_rows

CSV = "choices.csv"
MEAN = "mean of tasks"


@dataclass(frozen=True)
class Answer:
    """What one selector does on one task within one limit, or on average over tasks.

    Attributes:
        condition: Device, runtime and precision.
        budget_ms: The limit.
        task: Name of the task, or "mean of tasks".
        selector: Name of the selector.
        labels: Whether it sees labels of the task.
        network: What it chooses; none on average.
        within: How many networks are within the limit.
        log_loss: Regret in nats.
        accuracy: Regret as a share of images, 0 to 1.
        rho: Spearman's correlation of its preference with the result.
    """

    condition: str
    budget_ms: float
    task: str
    selector: str
    labels: bool
    network: str
    within: int
    log_loss: Interval
    accuracy: Interval
    rho: Interval


def answers(
    told: Sequence[Told],
    conditions: Sequence[Condition],
    networks: Networks,
    judge: FrozenJudge,
    *,
    draws: int,
    seed: int,
) -> tuple[Answer, ...]:
    """Asks every selector for every task, conditions and limit."""
    places = [(one, budget) for one in conditions for budget in one.budgets_ms]
    with track("compare", len(places) * len(told)) as advance:
        found: list[Answer] = []
        for condition, budget_ms in places:
            within_C = condition.latency_C <= budget_ms
            every: list[tuple[Chosen, ...]] = []
            for at, task in enumerate(told):
                selectors = selectors_of(told, at, networks, condition.latency_C, judge)
                every.append(
                    choose_all(task.verdicts[judge], selectors, within_C, draws=draws, seed=seed)
                )
                advance()
            blank = Answer(
                condition.name, budget_ms, MEAN, "", False, "", int(within_C.sum()), *[_NONE] * 3
            )
            for task, chosen in zip(told, every, strict=True):
                place = replace(blank, task=task.task)
                found += [_answer(place, one, networks) for one in chosen]
            found += _means(blank, every, seed)
    return tuple(found)


_NONE = Interval(*[float("nan")] * 4)


def _answer(place: Answer, chosen: Chosen, networks: Networks) -> Answer:
    return replace(
        place,
        selector=chosen.selector,
        labels=chosen.selector in LABELLED,
        network=f"{networks.pools[chosen.network]} {networks.names[chosen.network]}",
        rho=Interval.of(chosen.rho, -1, 1),
        **{name: Interval.of(chosen.regret[name]) for name in MEASURES},
    )


def _means(blank: Answer, every: Sequence[Sequence[Chosen]], seed: int) -> Iterator[Answer]:
    """Yields the means of selectors that chose on every task."""
    names = dict.fromkeys(one.selector for chosen in every for one in chosen)
    for name in names:
        same = [one for chosen in every for one in chosen if one.selector == name]
        if len(same) == len(every):
            yield replace(
                blank,
                selector=name,
                labels=name in LABELLED,
                rho=over_tasks([one.rho for one in same], seed, -1, 1),
                **{m: over_tasks([one.regret[m] for one in same], seed) for m in MEASURES},
            )


def write_answers(found: Sequence[Answer], folder: Path) -> Path:
    """Writes all answers as CSV; what is no number is empty."""
    return write_rows([_row(one) for one in found], folder / CSV)


def _row(answer: Answer) -> dict[str, object]:
    row: dict[str, object] = {
        name: getattr(answer, name)
        for name in ("condition", "budget_ms", "task", "selector", "labels", "network", "within")
    }
    for name in (*MEASURES, "rho"):
        interval: Interval = getattr(answer, name)
        for end in ("value", "low", "high"):
            key = name if end == "value" else f"{name}_{end}"
            number = getattr(interval, end)
            row[key] = "" if number != number else f"{number:.6g}"  # noqa: PLR0124
    return row
