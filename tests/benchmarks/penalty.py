"""With which ridge penalty does distance to a committee order networks as labels do?

    python tests/benchmarks/penalty.py --run RUN --table NAME --latency-ms 0.15 --data DIR

draws networks of a supernet that are equally fast, and for each set DIR/NAME (train-*.tar.gz;
labels also of test-*.tar.gz) their distance to a committee with penalties from 0.01 to 10, and with
the one that each network's cross-validation chooses, as the distance has it. One row of
results/penalty.jsonl a set and penalty: Spearman's rank correlation of the distance with the
log-loss of a linear classifier on the same frozen features, with its 95 % bootstrap interval over
networks, and with the number of features, on which a good distance does not hang. Rows of other
distances, sizes and effective rank stand beside them. Sets that have rows are not judged again.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from quantised_distance import ranked
from rows import add_row, open_results
from scipy.stats import spearmanr

from hwsearch.checkpoint import Run, load_run
from hwsearch.distance import SupernetStudents, Teacher, load_target
from hwsearch.distance import regression as distances
from hwsearch.distance.best_teacher import MEMBERS, teacher_by_rank
from hwsearch.distance.committee import Committee
from hwsearch.distance.pooled import TeacherDistance
from hwsearch.evaluate.frozen import FrozenFeatures, on_frozen
from hwsearch.evaluate.labelled import load_labelled
from hwsearch.evaluate.linear import linear_head
from hwsearch.learn.target import LatencyTarget
from hwsearch.progress import track
from hwsearch.selfsup.losses import effective_rank
from hwsearch.space import Space, Subnet

FIXED = (0.01, 0.1, 0.3, 1.0, 3.0, 10.0)
SETS = ("flowers", "gtsrb", "rsscn7", "pacs_photo", "omniglot", "pneumonia", "tiny_imagenet")
ALIKE = 0.05
"""Largest relative difference of the networks' latencies."""
SEEN, JUDGED, FOLDS = 512, 1000, 2
"""Images that the distance sees, as in a search; most that the classifier has, and their parts."""


def networks(space: Space, target: LatencyTarget, count: int) -> list[Subnet]:
    """Draws networks of about one latency, as predicted."""
    rng, found = np.random.default_rng(7), dict[Subnet, None]()
    while len(found) < count:
        subnet = space.sample(rng)
        predicted_ms = target.latency.mean_ms(space.encode(subnet)[None])[0]
        if abs(predicted_ms / target.target_ms - 1) <= ALIKE:
            found[subnet] = None
    return list(found)


def orders(
    students: SupernetStudents, subnets: list[Subnet], keep: Path
) -> Iterator[tuple[str, np.ndarray]]:
    """Yields ways to order networks, the better the lower, and what they say of each."""
    teacher = teacher_by_rank(students, keep, MEMBERS)
    assert isinstance(teacher.students, Committee)
    distance = TeacherDistance("regression", students, teacher)
    seen = [students.embeddings(one) for one in subnets]
    chosen = distances.PENALTIES
    for penalty in (None, *FIXED):
        distances.PENALTIES = chosen if penalty is None else torch.tensor([penalty]).double()
        name = "penalty chosen" if penalty is None else f"penalty {penalty:g}"
        yield name, np.array([distance.of_embeddings(one) for one in seen])
    distances.PENALTIES = chosen
    space = students.space
    for name, subnet in (("largest", space.maximum), ("highest rank", teacher.students.members[0])):
        alone = TeacherDistance("projection", students, Teacher(students, subnet))
        yield f"projections to the {name}", np.array([alone.of_embeddings(one) for one in seen])
    yield "effective rank", -np.array([float(effective_rank(torch.from_numpy(x))) for x in seen])
    yield "multiply-accumulates", -space.macs(np.stack([space.encode(one) for one in subnets]))


def judge(run: Run, subnets: list[Subnet], data: Path, keep: Path) -> Iterator[dict[str, object]]:
    """Yields a row for each order of networks, on one set."""
    side = run.space.input_shape[1]
    students = SupernetStudents(run, load_target(str(data / "train-*.tar.gz"), side, limit=SEEN))
    images = load_labelled(str(data / "t*-*.tar.gz"), side, limit=JUDGED)
    linear = on_frozen(linear_head, FrozenFeatures(students, images.target), images, FOLDS)
    losses, widths = list[float](), list[int]()
    with track(f"judge {data.name}", len(subnets)) as advance:
        for subnet in subnets:
            losses.append(linear(subnet, 0).score("log_loss"))
            widths.append(students.embeddings(subnet).shape[1])
            advance()
    for name, values_N in orders(students, subnets, keep):
        row = {"set": data.name, "images": len(images), "seen": len(students.images)}
        row |= {"networks": len(subnets), "order": name}
        row["spearman"] = ranked(values_N, np.array(losses))
        yield row | {"with_width": round(float(spearmanr(values_N, widths)[0]), 3)}


def report(rows: list[dict[str, Any]]) -> None:
    """Prints the rank correlation of each order, mean over sets, with an interval over them."""
    found = pd.DataFrame([row | {"rho": row["spearman"][0]} for row in rows])
    for (run, order), of in found.groupby(["run", "order"], sort=False):
        drawn = np.random.default_rng(0).choice(of["rho"], (2000, len(of))).mean(1)
        low, high = np.quantile(drawn, (0.025, 0.975))
        print(
            f"{run}, {order}: {of['rho'].mean():+.2f} ({low:+.2f} to {high:+.2f}) over "
            f"{len(of)} sets; with the number of features {of['with_width'].mean():+.2f}"
        )


def main() -> None:
    """Judges the sets that have no rows yet."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--run", type=Path, help="a trained supernet")
    parser.add_argument("--table", help="of its space")
    parser.add_argument("--latency-ms", type=float, help="of the networks")
    parser.add_argument("--networks", type=int, default=40)
    parser.add_argument("--data", type=Path, help="folder of sets")
    parser.add_argument("--sets", nargs="+", default=SETS)
    parser.add_argument("--keep", type=Path, default=Path("penalty"), help="folder for ranks")
    asked = parser.parse_args()
    with open_results("penalty") as journal:
        done = {(row["run"], row["set"]) for row in journal}
        for name in asked.sets if asked.run else ():
            run = load_run(asked.run)
            told = f"{run.header.method}, {run.header.steps} steps, {run.space.name}"
            if (told, name) in done:
                continue
            target = LatencyTarget.open(asked.table, run.space, asked.latency_ms, tables_dir=None)
            subnets = networks(run.space, target, asked.networks)
            for row in list(judge(run, subnets, asked.data / name, asked.keep)):
                add_row(journal, {"run": told, "latency_ms": asked.latency_ms, **row})
        report(list(journal))


if __name__ == "__main__":
    main()
