"""What is told of a ranking: a table, `ranking.csv`, and the network to deploy in `pick.json`."""

import csv
import json
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from io import StringIO
from pathlib import Path
from shlex import quote

import numpy as np
from rich.table import Table

from hwsearch.journal import write_atomic
from hwsearch.progress import console, say
from hwsearch.routing.networks import WHOLE, PathRun
from hwsearch.routing.ranking import Scores, is_above_chance
from hwsearch.selfsup.base import Weights
from hwsearch.spaces.paths import path_dims

RANKING, PICK = "ranking.csv", "pick.json"
_SHOWN = 10
"""Networks in the table; the file has all."""


@dataclass(frozen=True)
class Pick:
    """The network to deploy.

    Attributes:
        network: Name of its leaf, or "whole".
        checkpoint: Run whose `--checkpoint` it is.
        subnet: Its `--subnet`.
        weights: Its `--weights`.
    """

    network: str
    checkpoint: str
    subnet: str
    weights: Weights


@dataclass(frozen=True, eq=False)
class Ranking:
    """Scores of all networks, the whole one last.

    Attributes:
        paths: The networks.
        weights: Which weights of the paths.
        shares: What share of the task's images reaches a leaf; of the whole network, what share
            reaches one by chance.
        accuracies: Of nearest neighbours, if there were labels.
        losses_C: Their log-losses, likewise.
    """

    paths: PathRun
    weights: Weights
    shares: Scores
    accuracies: Scores | None
    losses_C: np.ndarray | None

    @property
    def names(self) -> list[str]:
        """Returns the names of the networks."""
        return list(self.paths.subnets)

    @property
    def deciding(self) -> Scores:
        """Returns the scores that rank."""
        return self.shares if self.accuracies is None else self.accuracies

    @property
    def order(self) -> list[int]:
        """Returns the networks from the best on."""
        ties_C = -self.shares.means_C if self.losses_C is None else self.losses_C
        return np.lexsort((ties_C, -self.deciding.means_C)).tolist()

    @property
    def by_images(self) -> int:
        """Returns the choice without labels: the fullest leaf, if it is above chance for sure."""
        sizes_C = self.shares.counts_N
        assert sizes_C is not None
        return int(sizes_C.argmax()) if is_above_chance(sizes_C) else len(self.names) - 1

    @property
    def chosen(self) -> int:
        """Returns the network to take."""
        return self.by_images if self.accuracies is None else self.order[0]

    def pick(self) -> Pick:
        """Returns the network to take, as `hwsearch deploy` takes it."""
        name, paths = self.names[self.chosen], self.paths
        if name != WHOLE:
            return Pick(name, str(paths.run.path), str(paths.subnets[name]), self.weights)
        return Pick(name, _whole_run(paths), "max", paths.clusters.weights)


def write_ranking(ranking: Ranking, out: Path) -> Pick:
    """Writes and prints a ranking."""
    write_atomic(out / RANKING, _as_csv(ranking))
    pick = ranking.pick()
    write_atomic(out / PICK, json.dumps(asdict(pick), indent=2) + "\n")
    console.print(_table(ranking))
    if ranking.accuracies is not None:
        _say_worth(ranking, ranking.accuracies)
    why = ""
    if ranking.accuracies is None and pick.network == WHOLE:
        why = ", since no leaf gets more images than chance would give it, for sure"
    weights = "" if pick.weights == "online" else f"--weights {pick.weights} "
    say(
        f"Pick: {pick.network}{why}. Deploy it: hwsearch deploy "
        f"--checkpoint {quote(pick.checkpoint)} --subnet {pick.subnet} {weights}--images TASK "
        "--table TABLE --out ENGINE"
    )
    if pick.network != WHOLE and ranking.paths.run.header.recipe.get("shrink_paths"):
        say(
            f"Or find what fits a budget: hwsearch search --checkpoint {quote(pick.checkpoint)} "
            f"--fixed {_groups(ranking.paths, pick.network)} {weights}--images TASK "
            "--tables TABLE --out SEARCH"
        )
    say(f"All of it: {out}")
    return pick


def _groups(paths: PathRun, network: str) -> str:
    """Returns the groups that a path takes, as `hwsearch search --fixed` reads them."""
    chosen = paths.subnets[network]
    return ",".join(f"{dim.name}={chosen[dim.name]}" for dim in path_dims(paths.run.space))


def _say_worth(ranking: Ranking, accuracies: Scores) -> None:
    whole = len(ranking.names) - 1
    choice, control = accuracies.of_choice(whole)
    means_C, by_images = accuracies.means_C, ranking.by_images
    say(
        f"On images that did not choose, the choice tells {choice:.1%} of classes and the whole "
        f"network {control:.1%}. Without labels {ranking.names[by_images]} would be taken, which "
        f"loses {means_C.max() - means_C[by_images]:.1%} to the best."
    )


def _rows(ranking: Ranking) -> list[dict[str, str]]:
    scores = {"share": ranking.shares}
    if ranking.accuracies is not None:
        scores["accuracy"] = ranking.accuracies
    told = {name: (one.means_C, *one.intervals_2C) for name, one in scores.items()}
    best_C, rows = ranking.deciding.best_C, []
    for rank, at in enumerate(ranking.order, 1):
        row = {"rank": str(rank), "network": ranking.names[at]}
        for name, (means_C, low_C, high_C) in told.items():
            parts = zip(("", "_low", "_high"), (means_C, low_C, high_C), strict=True)
            row |= {f"{name}{end}": f"{values[at]:.4f}" for end, values in parts}
        row |= {"best": f"{best_C[at]:.3f}", "subnet": str(ranking.paths.subnets[row["network"]])}
        rows.append(row)
    return rows


def _as_csv(ranking: Ranking) -> str:
    rows, text = _rows(ranking), StringIO()
    writer = csv.DictWriter(text, rows[0].keys(), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _table(ranking: Ranking) -> Table:
    table = Table(
        title=f"{len(ranking.names)} networks",
        caption="images: share that reaches the leaf, for whole what chance gives a leaf; best: "
        "how often it is the best when images are drawn again; intervals of 95 %",
    )
    names = {"share": "images", "accuracy": "nearest neighbours"}
    rows = _rows(ranking)
    shown = [name for name in names if name in rows[0]]
    for heading in ("rank", "network", *(names[name] for name in shown), "best"):
        table.add_column(heading, justify="left" if heading == "network" else "right")
    for row in rows[:_SHOWN]:
        cells = [_told(row, name) for name in shown]
        table.add_row(row["rank"], row["network"], *cells, f"{float(row['best']):.0%}")
    return table


def _told(row: Mapping[str, str], name: str) -> str:
    mean, low, high = (f"{float(row[name + end]):.1%}" for end in ("", "_low", "_high"))
    return (
        f"{mean} by chance"
        if name == "share" and row["network"] == WHOLE
        else f"{mean} ({low} to {high})"
    )


def _whole_run(paths: PathRun) -> str:
    """Returns the folder of the run that all paths started from, as the tree was told of it."""
    try:
        told = tomllib.loads((paths.clusters.folder / "config.toml").read_text())
    except (OSError, tomllib.TOMLDecodeError):
        return "WARM_START"
    return str(told.get("checkpoint", "WARM_START"))
