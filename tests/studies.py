"""Small studies: of invented results, and of real networks trained for a few steps."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image

from hwsearch.evaluate.verdict import ClassVerdict
from hwsearch.journal import Json, read_journal
from hwsearch.study.networks import Network, read_networks
from hwsearch.study.options import StudyOptions
from hwsearch.study.plan import FILE, KIND, Plan
from hwsearch.study.scores import Results
from hwsearch.study.work import OpenWork, Unit

NETWORKS = ("inverted-32[min]", "vit-32[min]")


def write_images(folder: Path, count: int = 24, *, classes: int = 2, seed: int = 0) -> Path:
    """Writes images of noise whose class is how bright they are."""
    rng = np.random.default_rng(seed)
    for index in range(count):
        label = index % classes
        pixels = rng.integers(0, 100, (8, 8, 3)) + 120 * label // (classes - 1)
        path = folder / str(label) / f"{index:03d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels.astype(np.uint8)).save(path)
    return folder


def words(folder: Path, **changes: object) -> list[str]:
    """Returns the command line of a study of a second or two; images are in the folder."""
    options = {
        "data": folder / "images",
        "networks": NETWORKS,
        "tasks": (f"one={folder / 'one'}", f"two={folder / 'two'}"),
        "seeds": (0, 1),
        "steps": 6,
        "batch": 8,
        "projection-hidden": 16,
        "amp": "fp32",
        "device": "cpu",
        "limit": 24,
        "folds": 2,
        "draws": 100,
        "processes": 1,
        "out": folder / "out",
    } | changes
    found: list[str] = ["--no-trial"]
    for name, value in options.items():
        values = value if isinstance(value, tuple) else (value,)
        found += [f"--{name}", *map(str, values)]
    return found


@contextmanager
def here(plan: Plan) -> Iterator[object]:
    """Does the units of a study in this process."""

    def do(units: Sequence[Unit]) -> Iterator[tuple[int, Json]]:
        work = OpenWork(plan.options)
        for place, unit in enumerate(units):
            yield place, work.do(unit)

    yield do


def rows(out: Path) -> list[Json]:
    """Returns the rows of a study's journal, without times, in an order of their own."""
    found = [
        {k: v for k, v in row.items() if k != "seconds"}
        for row in read_journal(out / FILE, KIND)[1]
    ]
    return sorted(found, key=str)


def networks(count: int = 12) -> tuple[Network, ...]:
    return read_networks((f"bottleneck-32:{count}",), seed=0)


def invented(
    quality_SKT: np.ndarray, *, images: int = 200, tasks: Sequence[str] = (), seed: int = 0
) -> Results:
    """Returns results of networks that are right on each image with a known probability."""
    rng = np.random.default_rng(seed)
    S, K, T = quality_SKT.shape
    names, verdicts = tuple(tasks) or tuple(f"task {at}" for at in range(T)), {}
    every = networks(S)
    luck_TN = rng.random((T, images))  # some images are harder for all
    for (s, k, t), quality in np.ndenumerate(quality_SKT):
        correct = 0.5 * luck_TN[t] + 0.5 * rng.random(images) < quality
        log_loss = np.where(correct, 0.2, 2.0).astype(np.float32)
        verdicts[every[s].name, k, names[t]] = ClassVerdict(correct, log_loss)
    return Results(every, tuple(range(K)), names, verdicts)


def options_of(out: Path, **changes: object) -> StudyOptions:
    given = {
        "data": "photos",
        "networks": ("bottleneck-32:12",),
        "tasks": ("task 0=a", "task 1=b"),
        "out": out,
        "draws": 100,
    }
    return StudyOptions(**given | changes)  # pyright: ignore[reportArgumentType]
