"""Does killed work resume exactly: train, profile, search and deploy, killed -9 at random moments.

    python tests/benchmarks/kills.py --kills 10

does each job once undisturbed and once killed again and again, compares the two, and adds a row a
job to results/kills.jsonl. Half of the kills hit the command alone, half its children too. Of those
that hit train, every other one waits until a checkpoint is being written. A search is also done
while half as many kills hit the processes that score for it. A deploy begins anew: no folder that
it leaves may be loaded unless it is whole, and the last run must succeed over what others left.
"""

import argparse
import contextlib
import json
import os
import random
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kills_commands import SPACE, hwsearch, undisturbed, wait
from kills_deploy import kill_deploy
from rows import add_row, open_results

from hwsearch.data.canvas import write_canvases
from hwsearch.journal import read_journal
from hwsearch.kit.order import KIND
from hwsearch.train.pace import FIGURES

FIRST_SECONDS, LAST_SECONDS = 3.0, 12.0
"""A kill falls between these after a start; importing alone takes about three seconds."""


@dataclass(frozen=True)
class Killed:
    """A command that was killed and started again until it finished.

    Attributes:
        kills: Times it was killed.
        seen: What its journal held at each kill, in bytes.
        in_writes: Kills that left a file half written.
    """

    kills: int
    seen: tuple[bytes, ...]
    in_writes: int


def killed(
    words: Callable[[], Sequence[str]],
    log: Path,
    kills: int,
    seed: int,
    *,
    in_writes: bool = False,
    last_seconds: float = LAST_SECONDS,
) -> Killed:
    """Kills a command at random moments until it was killed often enough, then lets it finish.

    Args:
        words: The command to start; it may differ once there is something to resume.
        log: File that must only grow.
        kills: Times to kill it; fewer if it finishes before.
        seed: Of the moments.
        in_writes: Let every other kill wait for a file to be half written beside the log.
        last_seconds: Longest time from a start to a kill.
    """
    rng, seen, torn = random.Random(seed), [], 0
    while len(seen) < kills:
        process, old = hwsearch(words()), _half_written(log.parent)
        wait(process, rng.uniform(FIRST_SECONDS, last_seconds))
        if in_writes and len(seen) % 4 < 2:
            _wait_for_a_write(process, log.parent, old)
        if process.poll() is not None:
            assert process.returncode == 0, words()
            return Killed(len(seen), tuple(seen), torn)
        whole_group = len(seen) % 2 == 1
        (os.killpg if whole_group else os.kill)(process.pid, signal.SIGKILL)
        process.wait()
        torn += bool(_half_written(log.parent) - old)
        seen.append(log.read_bytes() if log.exists() else b"")
    undisturbed(words())
    return Killed(len(seen), tuple(seen), torn)


def _half_written(folder: Path) -> set[Path]:
    return set(folder.glob(".*.part"))


def _wait_for_a_write(process: subprocess.Popen[bytes], folder: Path, old: set[Path]) -> None:
    """Returns when a new file is half written, or the command has ended."""
    while process.poll() is None and not _half_written(folder) - old:
        time.sleep(0.0002)


def kill_train(folder: Path, kills: int, seed: int) -> dict[str, Any]:
    """Compares final checkpoints byte by byte, and the steps in the metrics.

    The run that is killed decodes in a worker, the other one holds its images in memory.
    """
    images = write_canvases(folder / "images").pretrain
    recipe = (
        f"train --data {images} --space {SPACE} --epochs {max(2, kills // 5)} --batch 16 "
        "--amp fp32 --threads 1 --no-flip --projection-hidden 64 --checkpoint-steps 3 --log-steps 1"
    ).split()
    calm, rough = folder / "calm", folder / "rough"
    undisturbed([*recipe, "--out", str(calm)])

    def words() -> list[str]:
        more = ["--cache-mb", "0", "--workers", "1", *(["--resume"] if rough.exists() else [])]
        return [*recipe, "--out", str(rough), *more]

    run = killed(words, rough / "metrics.jsonl", kills, seed, in_writes=True)
    return {
        "kills": run.kills,
        "kills_in_writes": run.in_writes,
        "checkpoint_equal": _same(calm, rough, "checkpoint.safetensors"),
        "metrics_equal": _losses(calm) == _losses(rough),
        "steps": len(_losses(rough)),
    }


def _losses(run: Path) -> list[tuple[float, ...]]:
    lines = (run / "metrics.jsonl").read_text().splitlines()
    return [tuple(v for k, v in json.loads(line).items() if k not in FIGURES) for line in lines]


def _same(calm: Path, rough: Path, name: str) -> bool:
    return (calm / name).read_bytes() == (rough / name).read_bytes()


def kill_profile(folder: Path, kills: int, seed: int) -> dict[str, Any]:
    """Counts visits that were lost or repeated."""
    recipe = f"profile --space {SPACE} --runtime onnxruntime --threads 1 --budget-minutes 2"
    words = [*recipe.split(), "--evidence", "80", "--heldout", "20", "--device", "here"]
    words += ["--out", str(folder / "tables")]
    log = folder / "tables/here/.journal" / f"{SPACE}-onnxruntime-fp32-b1-t1.jsonl"
    run = killed(lambda: words, log, kills, seed)
    rows = [row for row in read_journal(log, KIND)[1] if "visit" in row]
    visits = [(row["visit"], row["number"]) for row in rows]
    final = log.read_bytes()
    return {
        "kills": run.kills,
        "visits": len(visits),
        "repeated": len(visits) - len(set(visits)),
        "lost": sum(not final.startswith(seen[: seen.rfind(b"\n") + 1]) for seen in run.seen),
    }


def kill_search(folder: Path, kills: int, seed: int) -> dict[str, Any]:
    """Compares evaluations and fronts byte by byte with those of a search in one process."""
    images = write_canvases(folder / "images")
    training = f"train --data {images.pretrain} --space {SPACE} --epochs 1 --batch 64 --no-flip"
    undisturbed([*training.split(), "--projection-hidden", "64", "--out", str(folder / "run")])
    profiling = f"profile --space {SPACE} --runtime onnxruntime --threads 1 --budget-minutes 0.5"
    undisturbed([*profiling.split(), "--device", "here", "--out", str(folder / "tables")])
    (table,) = (folder / "tables/here").glob("*.jsonl")
    recipe = f"search --checkpoint {folder / 'run'} --tables {table} --images {images.target}"
    recipe += f" --max-images 48 --stop-gain 0 --evaluations {15 * kills}"
    calm, rough, orphaned = folder / "calm", folder / "rough", folder / "orphaned"
    undisturbed([*recipe.split(), "--processes", "1", "--out", str(calm)])
    words = [*recipe.split(), "--processes", "2", "--out"]
    log = rough / "evaluations.jsonl"
    run = killed(lambda: [*words, str(rough)], log, kills, seed, last_seconds=2 * LAST_SECONDS)
    return {
        "kills": run.kills,
        "worker_kills": without_workers([*words, str(orphaned)], orphaned, kills // 2, seed),
        "evaluations": len(read_journal(calm / "evaluations.jsonl", "search")[1]),
        "evaluations_equal": _same(calm, rough, "evaluations.jsonl"),
        "front_equal": _same(calm, rough, "front.csv"),
        "evaluations_equal_without_workers": _same(calm, orphaned, "evaluations.jsonl"),
        "front_equal_without_workers": _same(calm, orphaned, "front.csv"),
    }


def without_workers(words: Sequence[str], out: Path, kills: int, seed: int) -> int:
    """Runs a search to its end and kills a process that scores every few evaluations.

    Returns:
        How many were killed.
    """
    rng, log, done = random.Random(seed), out / "evaluations.jsonl", 0
    process, at = hwsearch(words), 0
    while process.poll() is None and done < kills:
        workers, lines = _scoring(process.pid), _lines(log)
        if lines > at and workers:
            time.sleep(rng.uniform(0, 1))
            with contextlib.suppress(ProcessLookupError):
                os.kill(rng.choice(workers), signal.SIGKILL)
                done, at = done + 1, lines + rng.randrange(4, 12)
        time.sleep(0.01)
    assert process.wait() == 0, words
    return done


def _scoring(process: int) -> list[int]:
    """Process ids of the children of a search that score for it."""
    try:
        pids = Path(f"/proc/{process}/task/{process}/children").read_text().split()
        lines = {int(pid): Path(f"/proc/{pid}/cmdline").read_bytes() for pid in pids}
    except OSError:  # one has just ended
        return []
    return [pid for pid, line in lines.items() if b"spawn_main" in line]


def _lines(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.exists() else 0


JOBS = {"train": kill_train, "profile": kill_profile, "search": kill_search, "deploy": kill_deploy}


def main() -> None:
    """Kills each job asked for; one row each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jobs", nargs="+", choices=JOBS, default=list(JOBS))
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    with open_results("kills") as journal:
        for job in arguments.jobs:
            with tempfile.TemporaryDirectory() as folder:
                figures = JOBS[job](Path(folder), arguments.kills, arguments.seed)
            add_row(journal, {"job": job, "seed": arguments.seed, **figures})
            print(job, figures)


if __name__ == "__main__":
    main()
