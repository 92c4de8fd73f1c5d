"""Judgement: what each delivered engine promised, what it does, and what controls do."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from rich.table import Table

from hwsearch.deploy.manifest import read_manifest
from hwsearch.evaluate.engine import judge_engine
from hwsearch.evaluate.options import ProbeOptions
from hwsearch.journal import write_atomic
from hwsearch.progress import console


def judge_engines(
    engines: Sequence[Path], labelled_train: Path, labelled_test: Path, *, seed: int
) -> pd.DataFrame:
    """Judges engines by 5-nearest-neighbour accuracy beside random weights and raw pixels.

    Args:
        engines: Engine folders, named runtime-pick.
        labelled_train: Labelled images to find neighbours among.
        labelled_test: Labelled images to classify.
        seed: Chooses the weights of the random networks.

    Returns:
        One row an engine: latencies in milliseconds, errors, distances, accuracies 0 to 1.
    """
    rows = []
    for folder in engines:
        manifest = read_manifest(folder)
        options = ProbeOptions(
            engine=folder, train=str(labelled_train), test=str(labelled_test), seed=seed
        )
        engine, random_weights, raw_pixels = (one.result for one in judge_engine(options))
        low, high = engine.interval
        rows.append(
            {
                "engine": folder.name,
                "runtime": manifest.runtime,
                "pick": folder.name.removeprefix(f"{manifest.runtime}-"),
                "predicted_ms": manifest.latency.predicted_ms,
                "measured_ms": manifest.latency.measured_ms,
                "parity_error": manifest.parity.relative_error,
                "distance": manifest.distance.engine,
                "accuracy": engine.accuracy,
                "accuracy_low": low,
                "accuracy_high": high,
                "random_weights": random_weights.accuracy,
                "raw_pixels": raw_pixels.accuracy,
                "images": len(engine.correct),
            }
        )
    return pd.DataFrame(rows)


def write_judgement(judgement: pd.DataFrame, path: Path) -> None:
    """Writes the judgement as CSV, atomically."""
    write_atomic(path, judgement.to_csv(index=False, lineterminator="\n"))


def show_judgement(judgement: pd.DataFrame) -> None:
    """Prints the judgement, whichever side wins."""
    table = Table(caption="accuracy: 5 nearest neighbours on held-back images, 95 % interval")
    headings = ("predicted", "measured", "parity", "distance", "accuracy", "random weights")
    table.add_column("engine")
    for heading in (*headings, "raw pixels"):
        table.add_column(heading, justify="right")
    for row in judgement.to_dict("records"):
        table.add_row(
            row["engine"],
            f"{row['predicted_ms']:.3f} ms",
            f"{row['measured_ms']:.3f} ms",
            f"{row['parity_error']:.0e}",
            f"{row['distance']:.4f}",
            f"{row['accuracy']:.1%} ({row['accuracy_low']:.0%}–{row['accuracy_high']:.0%})",
            f"{row['random_weights']:.1%}",
            f"{row['raw_pixels']:.1%}",
        )
    console.print(table)
