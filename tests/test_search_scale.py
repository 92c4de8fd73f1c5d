"""Subnets scored in several processes and on a Ray cluster, some of which are killed."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import scored
import torch
from searches import made, options

from hwsearch.device import free_memory
from hwsearch.errors import HwsearchError
from hwsearch.progress import console
from hwsearch.search import scoring
from hwsearch.search.inputs import open_inputs
from hwsearch.search.pool import Pool
from hwsearch.search.run import search
from hwsearch.search.scoring import OpenDistance, WhenItPays, suitable_processes

__all__ = ["made"]


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The journal of a search in one process."""
    path = tmp_path_factory.mktemp("calm") / "evaluations.jsonl"
    scored.search(path, "here")
    return path.read_bytes()


def start(path: Path, how: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, scored.__file__, str(path), how])


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


def until(true: Callable[[], object], child: subprocess.Popen[bytes]) -> None:
    while not true():
        assert child.poll() is None
        time.sleep(0.002)


def children(process: int) -> set[int]:
    """Process ids of a process's children that score."""
    found = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    return {int(pid) for pid in found if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()}


def alive(process: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{process}/stat").read_text().rpartition(")")[2]
    except OSError:
        return False


def test_the_journal_is_the_same_for_any_number_of_processes(made, tmp_path):
    for processes in (1, 2):
        search(options(made, tmp_path / str(processes), processes=processes, evaluations=12))
    for name in ("evaluations.jsonl", "front.csv"):
        assert (tmp_path / "1" / name).read_bytes() == (tmp_path / "2" / name).read_bytes()
    assert not list(tmp_path.glob("*/*ahead*"))


@pytest.mark.skipif(sys.platform != "linux", reason="finds processes in /proc")
def test_killed_drivers_and_workers_lose_and_repeat_nothing(calm, tmp_path):
    path, rng, kills = tmp_path / "evaluations.jsonl", random.Random(0), 0
    log = path.with_suffix(".log")
    for turn in range(4):
        child, rows = start(path, "pool"), len(lines(path))
        until(lambda: len(lines(path)) > rows + rng.randrange(2, 6), child)  # noqa: B023
        workers = children(child.pid)
        for pid in [workers.pop()] if turn % 2 else [child.pid]:
            os.kill(pid, signal.SIGKILL)
            kills += 1
        if turn % 2:
            until(lambda: len(lines(path)) > rows + 8, child)  # noqa: B023
            child.kill()
            kills += 1
        child.wait()
        deadline = time.monotonic() + 30
        while any(map(alive, workers)) and time.monotonic() < deadline:
            time.sleep(0.01)
        assert not any(map(alive, workers))
    assert start(path, "pool").wait() == 0
    assert path.read_bytes() == calm
    assert scored.NETWORKS <= len(lines(log)) <= scored.NETWORKS + 2 * kills
    assert sorted(p.name for p in tmp_path.iterdir()) == ["evaluations.jsonl", "evaluations.log"]


@pytest.mark.skipif(sys.platform != "linux", reason="finds processes in /proc")
def test_sigterm_ends_the_processes_too(made, tmp_path):
    given = options(made, tmp_path)
    words = ["--checkpoint", given.checkpoint, "--images", given.images, "--max-images", "8"]
    words += ["--teacher", "max"]
    words += ["--tables-dir", given.tables_dir, "--tables", *given.tables, "--out", tmp_path]
    command = [sys.executable, "-m", "hwsearch", "search", *words, "--processes", "2"]
    child = subprocess.Popen([*map(str, command)], stderr=subprocess.PIPE, text=True)
    until(lambda: len(lines(tmp_path / "evaluations.jsonl")) > 2, child)
    workers = children(child.pid)
    child.terminate()
    said = child.communicate()[1]
    assert (child.returncode, said) == (143, "hwsearch: stopped; the same command goes on\n")
    assert len(workers) == 2
    assert not any(map(alive, workers))


def test_a_subnet_that_ends_its_processes_is_named():
    subnets = [scored.SPACE.minimum, scored.SPACE.maximum]
    with Pool(partial(scored.opened_deadly, subnets[1]), 2) as pool:
        with pytest.raises(HwsearchError, match=rf"2 processes ended.*{subnets[1]}.*SIGKILL"):
            list(pool(subnets))
        assert list(pool(subnets[:1])) == [(0, scored.share(subnets[0]))]


def test_processes_that_cannot_start_end_the_search():
    with (
        Pool(scored.opened_nowhere, 1) as pool,
        pytest.raises(HwsearchError, match=r"^nothing to open \(here\). Look there.$"),
    ):
        list(pool([scored.SPACE.minimum]))
    with (
        Pool(scored.opened_never, 1) as pool,
        pytest.raises(HwsearchError, match="2 processes ended while starting, the last by SIGKILL"),
    ):
        list(pool([scored.SPACE.minimum]))


def test_changed_inputs_are_noticed_by_a_process(made, tmp_path, monkeypatch):
    monkeypatch.setattr(torch, "set_num_threads", lambda threads: None)
    monkeypatch.setattr(console, "quiet", False)
    opened = OpenDistance.of(open_inputs(options(made, tmp_path)))
    header = json.loads(opened.origin) | {"seed": 5}
    with pytest.raises(HwsearchError, match=r"found other inputs than the search \(seed: 5, now 0"):
        replace(opened, origin=json.dumps(header))()


def test_long_searches_alone_start_processes(monkeypatch):
    started: list[int] = []

    def here(subnets):
        clock[0] += 6.0
        yield from ((place, 0.0) for place in range(len(subnets)))

    def pool():
        started.append(1)
        return here

    clock = [0.0]
    monkeypatch.setattr(scoring.time, "monotonic", lambda: clock[0])
    score = WhenItPays(here, pool)
    for _ in range(2):
        list(score([scored.SPACE.minimum]))
    assert not started
    for _ in range(2):
        assert list(score([scored.SPACE.minimum])) == [(0, 0.0)]
    assert started == [1]


def test_memory_limits_the_processes(tmp_path, monkeypatch):
    for name, text in {
        "proc/meminfo": "MemAvailable:    8000 kB\n",
        "proc/self/cgroup": "0::/job\n",
        "sys/fs/cgroup/job/memory.max": "3000000\n",
        "sys/fs/cgroup/job/memory.stat": "anon 1000000\nfile 7\n",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert free_memory(tmp_path) == 2_000_000
    assert free_memory(tmp_path / "elsewhere") is None
    monkeypatch.setattr(scoring, "usable_cores", lambda: 8)
    monkeypatch.setattr(scoring, "free_memory", lambda: 1 << 50)
    assert suitable_processes(4) == 4
    monkeypatch.setattr(scoring, "free_memory", lambda: 1)
    assert suitable_processes(4) == 1


def test_ray_gives_the_tasks_of_killed_workers_to_others(calm, tmp_path, monkeypatch):
    pytest.importorskip("ray", reason="Ray is not installed")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))  # its workers find this folder
    path, killed = tmp_path / "evaluations.jsonl", []
    log = path.with_suffix(".log")

    def kill_some(note: str) -> None:
        if len(lines(path)) in range(5, 35, 3):
            worker = int(lines(log)[-1].split()[0])
            with suppress(ProcessLookupError):  # killed before, and no other has begun a task yet
                os.kill(worker, signal.SIGKILL)
                killed.append(worker)

    scored.search(path, "ray", kill_some)
    assert len(killed) > 4
    assert path.read_bytes() == calm
    assert scored.NETWORKS <= len(lines(log)) <= scored.NETWORKS + 2 * len(killed)


def test_a_missing_ray_cluster_is_told():
    with pytest.raises(HwsearchError, match=r"--ray needs Ray|no Ray cluster at --ray 127"):
        from hwsearch.search.ray_tasks import RayTasks

        RayTasks(scored.opened_nowhere, "127.0.0.1:1")
