"""Quickstart: the whole story on real images, from unlabelled pictures to verified engines."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from hwsearch.data.canvas import CanvasFolders, write_canvases
from hwsearch.deploy.manifest import MANIFEST_NAME
from hwsearch.deploy.options import DeployOptions
from hwsearch.deploy.run import deploy
from hwsearch.judgement import judge_engines, show_judgement, write_judgement
from hwsearch.latency.table import Table
from hwsearch.profiling.options import ProfileOptions
from hwsearch.profiling.profile import profile
from hwsearch.progress import console
from hwsearch.report.run import ReportOptions, report
from hwsearch.search.front import read_front
from hwsearch.search.inputs import label_of
from hwsearch.search.run import SearchOptions, search
from hwsearch.train import TrainOptions, train

SPACE = "bottleneck-32"
RUNTIMES = ("onnxruntime", "openvino")
JUDGEMENT_NAME = "judgement.csv"


@dataclass(frozen=True, kw_only=True)
class QuickstartOptions:
    """What little the quickstart leaves open."""

    out: Path = Path("quickstart")
    """Folder for everything it makes; run it again to go on after an interruption."""

    seed: int = 0
    """Seed of images, training, profiling and search."""


def quickstart(options: QuickstartOptions) -> Path:
    """Trains, profiles, searches, delivers and judges; every step is a verb of its own.

    Returns:
        The folder that holds everything.
    """
    out, seed, started = options.out, options.seed, time.monotonic()
    with _step(1, "digits pasted on 32-pixel canvases, as a camera would see them"):
        images = write_canvases(out / "images", seed=seed)
    with _step(2, "hwsearch train: one supernet, without labels"):
        run = train(_training(images, out / "run", seed))
    with _step(3, "hwsearch profile: this machine, through each runtime"):
        tables = tuple(profile(_profiling(runtime, out, seed)) for runtime in RUNTIMES)
    with _step(4, "hwsearch search: close to the teacher and fast on both runtimes"):
        found = search(_searching(run, tables, images, out / "search", seed))
    with _step(5, "hwsearch deploy: verified engines"):
        engines = _deliver(found, tables, out / "engines")
    with _step(6, "hwsearch probe: the engines on held-back images, beside two controls"):
        judgement = judge_engines(engines, images.labelled_train, images.labelled_test, seed=seed)
        write_judgement(judgement, out / JUDGEMENT_NAME)
        show_judgement(judgement)
    with _step(7, "hwsearch report: the fronts as figures"):
        pictures = report(ReportOptions(directory=found, engines=engines))
    console.print(
        f"Done in {(time.monotonic() - started) / 60:.1f} minutes. Look at {pictures[-1].parent}, "
        f"{out / JUDGEMENT_NAME} and {out / 'engines'}.",
        markup=False,
    )
    return out


@contextmanager
def _step(number: int, what: str) -> Iterator[None]:
    console.rule(f"{number}  {what}", align="left")
    started = time.monotonic()
    yield
    console.print(f"[dim]{time.monotonic() - started:.0f} s[/dim]\n")


def _training(images: CanvasFolders, run: Path, seed: int) -> TrainOptions:
    """Differs from MoCo v2's recipe where a few hundred steps on small digits need it."""
    return TrainOptions(
        data=str(images.pretrain),
        space=SPACE,
        out=run,
        resume=run.exists(),
        epochs=48,
        batch=64,
        optimizer="adamw",
        lr=0.003,
        queue=0,
        temperature=0.1,
        ema=0.9,
        projection_hidden=256,
        residual_scale=1.0,
        crop_min=0.6,
        crop_max=1.6,
        crop_shift=0.3,
        crop_follow=True,
        flip=False,
        jitter=0.5,
        jitter_hue=0.0,
        grey=0.0,
        blur=0.0,
        checkpoint_minutes=0.5,
        seed=seed,
    )


def _profiling(runtime: str, out: Path, seed: int) -> ProfileOptions:
    return ProfileOptions(
        space=SPACE,
        runtime=runtime,
        threads=1,
        budget_minutes=0.5,
        evidence=30,
        heldout=5,
        seed=seed,
        out=out / "latency_tables",
    )


def _searching(
    run: Path, tables: tuple[Path, ...], images: CanvasFolders, out: Path, seed: int
) -> SearchOptions:
    return SearchOptions(
        checkpoint=run,
        tables=tuple(map(str, tables)),
        images=str(images.target),
        evaluations=128,
        seed=seed,
        out=out,
    )


def _deliver(search: Path, tables: tuple[Path, ...], out: Path) -> tuple[Path, ...]:
    """Delivers, for each table, the knee and the best network within twice the least latency."""
    engines = []
    for path in tables:
        table = Table.read(path)
        fastest_ms = min(p.latency_ms for p in read_front(search) if p.table == label_of(table))
        picks = {"knee": "knee", "budget": f"max-latency-ms={2 * fastest_ms:.3g}"}
        for name, pick in picks.items():
            engine = out / f"{table.runtime}-{name}"
            if not (engine / MANIFEST_NAME).exists():
                deploy(_delivering(search, path, pick, engine))
            engines.append(engine)
    return tuple(engines)


def _delivering(search: Path, table: Path, pick: str, out: Path) -> DeployOptions:
    return DeployOptions(search=search, table=str(table), pick=pick, out=out, budget_seconds=20.0)
