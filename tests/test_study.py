"""hwsearch study: killed, extended, failing, refused; the same journal in the end."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import studies
from studies import NETWORKS, here, rows, words, write_images

from hwsearch.checkpoint import load_run
from hwsearch.cli import main
from hwsearch.errors import HwsearchError
from hwsearch.journal import Journal, read_journal, write_atomic
from hwsearch.spaces import get_space
from hwsearch.spaces.genotype import CellFamily, random_genotype
from hwsearch.study import gather as gathering
from hwsearch.study import work
from hwsearch.study.networks import Network, read_networks, spread
from hwsearch.study.plan import FILE, KIND
from hwsearch.study.work import run_folder

RUNS = len(NETWORKS) * 2
NAMED = 2 + len(NETWORKS)
ROWS = NAMED + RUNS + 2 * RUNS
"""Two tasks, the networks, and a training and two probes for each network and seed."""


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("images")
    for seed, name in enumerate(("images", "one", "two", "three")):
        write_images(folder / name, 24 + 2 * (name == "three"), seed=seed)
    return folder


@pytest.fixture(scope="module")
def done(images: Path) -> Path:
    """The folder of a study that nothing has disturbed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gathering, "_workers", here)
        assert main(["study", *words(images)]) == 0
    return images / "out"


@pytest.fixture
def copied(done: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same to be changed; units are done in this process."""
    import shutil

    monkeypatch.setattr(gathering, "_workers", here)
    return Path(shutil.copytree(done, tmp_path / "out"))


def test_every_run_is_journaled_and_its_weights_can_be_used(done: Path) -> None:
    found = rows(done)
    assert len(found) == ROWS
    assert not any("failed" in row for row in found)
    (folder, *others) = sorted((done / "runs").iterdir())
    assert len(others) == RUNS - 1
    run = load_run(folder)
    assert run.header.step == run.header.steps == 6
    assert run.space.size == 1
    table = (done / "accuracy.csv").read_text().splitlines()
    assert len(table) == 1 + len(NETWORKS)
    assert "one,two,one log_loss,two log_loss" in table[0]


def until(true: Callable[[], object], child: subprocess.Popen[bytes]) -> None:
    while not true():
        assert child.poll() is None
        time.sleep(0.005)


def workers(process: int) -> list[int]:
    found = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    return [int(pid) for pid in found if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()]


def lines(path: Path) -> int:
    return len(path.read_text().splitlines()) if path.exists() else 0


@pytest.mark.skipif(sys.platform != "linux", reason="finds processes in /proc")
def test_a_killed_worker_and_a_killed_driver_lose_and_repeat_nothing(
    images: Path, done: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    command = [sys.executable, "-m", "hwsearch", "study", *words(images, out=out)]
    journal, child = out / FILE, subprocess.Popen(command, stdout=subprocess.DEVNULL)
    until(lambda: lines(journal) > 1 + NAMED, child)  # a header, and the first training
    os.kill(workers(child.pid)[0], signal.SIGKILL)
    until(lambda: lines(journal) > 1 + NAMED + RUNS, child)  # the first probe
    child.kill()
    child.wait()
    before = journal.read_bytes()
    assert subprocess.run(command, stdout=subprocess.DEVNULL, check=False).returncode == 0
    assert journal.read_bytes().startswith(before)
    assert rows(out) == rows(done)


def refuse(*args: object) -> None:
    raise AssertionError("something was trained again")


def test_a_task_that_is_added_later_trains_nothing_again(
    images: Path, done: Path, copied: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(work, "train", refuse)
    tasks = tuple(f"{name}={images / name}" for name in ("one", "two", "three"))
    assert main(["study", *words(images, out=copied, tasks=tasks)]) == 0
    new = [row for row in rows(copied) if row not in rows(done)]
    assert len(new) == 1 + RUNS
    assert {row["task"] for row in new} == {"three"}


def test_a_network_and_a_seed_can_be_added(images: Path, done: Path, copied: Path) -> None:
    networks = ("basic-32[min]", *NETWORKS)  # alone it would be trained in bf16 where that is fast
    more = {"networks": networks, "seeds": (0, 1, 2), "amp": "auto"}
    assert main(["study", *words(images, out=copied, **more)]) == 0
    found = [row for row in rows(copied) if "verdict" in row]
    assert len(found) == 3 * 3 * 2
    assert all(row in rows(copied) for row in rows(done))


def test_discarded_weights_are_trained_again_only_for_a_task_that_needs_them(
    images: Path, copied: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = words(images, out=copied)
    assert main(["study", *given, "--discard-weights"]) == 0
    assert not list((copied / "runs").iterdir())
    before = (copied / FILE).read_bytes()
    assert main(["study", *given]) == 0
    assert (copied / FILE).read_bytes() == before
    capsys.readouterr()
    assert main(["study", *given, "--tasks", f"three={images / 'three'}", "--dry-run"]) == 0
    assert f"left: {RUNS} of {RUNS} trainings and {RUNS} of {3 * RUNS} probes" in (
        capsys.readouterr().out
    )


def test_a_network_that_diverges_is_recorded_and_the_study_goes_on(
    images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    train, lr = work.train, {"now": 1e30}

    def hot(options: Any) -> Path:
        return train(replace(options, lr=lr["now"]) if "vit" in options.space else options)

    monkeypatch.setattr(gathering, "_workers", here)
    monkeypatch.setattr(work, "train", hot)
    given = words(images, out=tmp_path / "out", seeds=(0,))
    assert main(["study", *given]) == 2
    assert "1 networks failed and are left out" in capsys.readouterr().err
    failed = [row for row in rows(tmp_path / "out") if "failed" in row]
    assert len(failed) == 1
    assert "not finite" in failed[0]["failed"] and "vit-32" in failed[0]["network"]
    assert len((tmp_path / "out" / "accuracy.csv").read_text().splitlines()) == 2
    monkeypatch.setattr(work, "train", refuse)
    assert main(["study", *given]) == 2  # it is not tried again by itself
    monkeypatch.setattr(work, "train", train)
    assert main(["study", *given, "--retry-failed"]) == 0


def test_where_everything_fails_the_study_ends(
    images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    def broken(options: Any) -> Path:
        raise HwsearchError("the disk is gone")

    monkeypatch.setattr(gathering, "_workers", here)
    monkeypatch.setattr(work, "train", broken)
    assert main(["study", *words(images, out=tmp_path / "out")]) == 2
    assert "the first 3 units failed, the last: the disk is gone" in capsys.readouterr().err


def test_two_drivers_and_other_options_are_refused(
    images: Path, copied: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setattr("hwsearch.journal.LOCK_SECONDS", 0.0)
    header, _ = read_journal(copied / FILE, KIND)
    with Journal.open(copied / FILE, KIND, header):
        assert main(["study", *words(images, out=copied)]) == 2
    assert "another hwsearch writes it now" in capsys.readouterr().err
    for changes, told in (
        ({"method": "byol"}, "recipe.method: simclr, now byol"),
        ({"steps": 9}, "recipe.epochs: 2, now 3"),
        ({"data": images / "three"}, "images: "),
        ({"tasks": (f"one={images / 'three'}",)}, "the images of task 'one' are others"),
        ({"tasks": tuple(f"{n}={images / 'one'}" for n in "ab")}, "'a' and 'b' are of the same"),
    ):
        assert main(["study", *words(images, out=copied, **changes)]) == 2
        assert told in capsys.readouterr().err
    monkeypatch.setattr(Network, "digest", "other")
    assert main(["study", *words(images, out=copied)]) == 2
    assert "is another network than before" in capsys.readouterr().err


def test_a_journal_without_digests_goes_on(
    images: Path, done: Path, copied: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    header, found = read_journal(copied / FILE, KIND)
    (copied / FILE).unlink()
    with Journal.open(copied / FILE, KIND, header) as journal:
        for row in (row for row in found if "digest" not in row):
            journal.append(row)
    monkeypatch.setattr(work, "train", refuse)
    assert main(["study", *words(images, out=copied)]) == 0
    assert rows(copied) == rows(done)


def test_a_task_that_cannot_judge_is_refused_before_the_folder_is_taken(
    images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["study", *words(images, out=tmp_path / "out", folds=13)]) == 2
    assert "fewer than 13 folds" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_dry_run_tells_what_it_takes_and_does_nothing(
    images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = words(images, out=tmp_path / "out", networks=NETWORKS[:1], seeds=(0, 1, 2), amp="auto")
    assert main(["study", *given, "--dry-run"]) == 0
    said = capsys.readouterr().out
    assert "left: 3 of 3 trainings and 6 of 6 probes" in said
    assert "core-hours" in said and "GB are free" in said
    assert not (tmp_path / "out").exists()
    write_atomic(tmp_path / "out" / FILE, "")  # stopped before its first line
    assert main(["study", *given, "--dry-run"]) == 0


def test_networks_are_spread_evenly_over_the_logarithm_of_their_size() -> None:
    space = get_space("bottleneck-32")
    chosen = spread(space, 12, seed=0)
    assert len(set(chosen)) == 12
    assert space.minimum in chosen and space.maximum in chosen
    log_macs = np.log(space.macs(np.stack([*map(space.encode, chosen)])))
    steps = np.diff(log_macs)
    assert steps.min() > 0.4 * steps.mean() and steps.max() < 1.6 * steps.mean()
    assert spread(space, 12, seed=0) == chosen != spread(space, 12, seed=1)
    with pytest.raises(HwsearchError, match="Use 2 to"):
        spread(space, 1, seed=0)


def test_networks_are_named_alone_by_grids_and_once() -> None:
    grid = "basic-32[depth1=1+2,depth2=1+2+3,width1=16]"
    found = read_networks((grid, "basic-32[max]", "basic-32[width1=32]"), seed=0)
    assert len(found) == 2 * 3 + 1  # the last two are the same
    assert len({one.label for one in found}) == len(found)
    assert all(get_space(one.name).size == 1 for one in found)
    assert found[0].depths[:2] == (1, 1)
    for text, told in (
        ("basic-32", "Write 'basic-32:12' for 12 of them"),
        ("basic-32~int8[max]", "without precisions"),
        ("basik-32:3", "unknown space 'basik-32'"),
        ("basic-32[depth1=1+2", r"Write 'basic-32\[depth1=1\+2\]'"),
    ):
        with pytest.raises(HwsearchError, match=told):
            read_networks((text,), seed=0)


def test_networks_of_cells_are_named_by_their_file_and_told_from_others_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    digests = set[str]()
    for seed in (0, 1):
        genotype = random_genotype(2, np.random.default_rng(seed))
        CellFamily(genotype, 8, (4, 6), ((2,), (2,), (1,))).write(Path("g.json"))
        get_space.cache_clear()
        read_networks.cache_clear()
        (one,) = read_networks(("cells:g.json[min]", "cells:./g.json[min]"), seed=0)
        assert one.family == get_space("cells:g.json").name
        assert one.label.startswith("cells:g.json ")
        assert run_folder(tmp_path, one, 0).parent == tmp_path / "runs"
        digests.add(one.digest)
    assert len(digests) == 2


def test_mistakes_are_told(tmp_path: Path) -> None:
    for changes, told in (
        ({"method": "distil"}, "unknown method 'distil'"),
        ({"method": "simsiam", "temperature": 0.1}, "--temperature means nothing to method"),
        ({"tasks": ("a=x", "a=y")}, "two tasks are named 'a'"),
        ({"source_task": "c"}, "unknown --source-task 'c'"),
        ({"seeds": (1, 1)}, "different whole numbers"),
        ({"seed": -1}, "--seed -1 is too small"),
    ):
        with pytest.raises(HwsearchError, match=told):
            studies.options_of(tmp_path, **changes)
