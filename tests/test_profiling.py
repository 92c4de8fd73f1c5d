"""Profiling for real, in small: a table from a fresh process that may be killed at any time."""

import shutil
import signal
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from catalogues import write_failing
from full_disk import files_limited_to
from moments import wait_for

from hwsearch.errors import HwsearchError
from hwsearch.heads import is_extra
from hwsearch.journal import Busy, Journal, read_journal
from hwsearch.kit import child
from hwsearch.kit.child import measure_in_child
from hwsearch.kit.order import KIND, Order, failures
from hwsearch.latency.table import Table
from hwsearch.measurement import Job, Settings
from hwsearch.profiling.options import ProfileOptions
from hwsearch.profiling.profile import profile
from hwsearch.profiling.remeasure import remeasure
from hwsearch.profiling.split import FEWEST_EVIDENCE, Ends, decided, networks_within
from hwsearch.spaces import get_space

SPACE = get_space("bottleneck-32")
SHIPS = ("classifier:10", "camera:48")


def options(out: Path, seconds: float = 3.0) -> ProfileOptions:
    return ProfileOptions(
        space=SPACE.name,
        runtime="onnxruntime",
        device="bench",
        threads=1,
        budget_minutes=seconds / 60,
        evidence=3,
        heldout=1,
        ships=SHIPS,
        out=out,
    )


@pytest.fixture(scope="module")
def profiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = profile(options(tmp_path_factory.mktemp("tables")))
    header = replace(Table.read(path).header, date="2020-02-02T20:20:20+00:00")
    replace(Table.read(path), header=header).write()
    return path


def order_of(table: Path) -> Order:
    return Order.read(table.parent / ".work" / table.stem / "order.json")


def test_table_holds_what_was_asked_for(profiled: Path) -> None:
    assert profiled.name == "bottleneck-32-onnxruntime-fp32-b1-t1.jsonl"
    table = Table.read(profiled)
    assert (table.device, table.space, table.threads) == ("bench", SPACE.name, 1)
    assert len(table.networks("evidence")) == 3 and len(table.networks("heldout")) == 1
    extras = [row.key for row in table.blocks if is_extra(row.key)]
    assert len(extras) == 3 + 1 + 1  # widths of the embedding, the camera, the empty call
    assert 1 <= len(table.blocks) - len(extras) <= 10
    by_key = {row.key: row.latency_ms for row in table.rows}
    assert by_key[str(SPACE.minimum)] < by_key[str(SPACE.maximum)]
    assert all(row.subnet["stem"] in (8, 12, 16) for row in table.networks("evidence"))
    assert table.header.provider == "CPUExecutionProvider"
    assert table.header.references[0].nominal_ms < table.header.references[1].nominal_ms


def test_finished_run_measures_nothing(profiled: Path, capsys, monkeypatch) -> None:
    before = profiled.read_bytes()
    monkeypatch.setattr("hwsearch.profiling.profile._measure", lambda *_: pytest.fail("again"))
    assert profile(options(profiled.parent.parent)) == profiled
    assert profiled.read_bytes() == before
    assert "already measured" in capsys.readouterr().out


def test_a_smaller_budget_drops_no_row(profiled: Path, capsys) -> None:
    before = profiled.read_bytes()
    assert profile(options(profiled.parent.parent, seconds=0.7)) == profiled
    assert profiled.read_bytes() == before
    assert "already measured" in capsys.readouterr().out


def test_what_ships_is_kept_when_it_is_not_asked_for_again(profiled: Path) -> None:
    before = profiled.read_bytes()
    profile(replace(options(profiled.parent.parent), ships=()))
    assert profiled.read_bytes() == before


def test_what_ships_is_not_forgotten_when_the_budget_is_spent(
    profiled: Path, tmp_path: Path
) -> None:
    shutil.copytree(profiled.parents[1], tmp_path, dirs_exist_ok=True)
    later = replace(options(tmp_path), ships=(*SHIPS, "segmentation:3"))
    with Journal.open(later.plan().journal, KIND, order_of(profiled).header) as journal:
        journal.append({"ended": "budget", "budget_seconds": 3, "seconds": 3, "provider": ""})
    with pytest.raises(HwsearchError, match=r"of what ships .*--budget-minutes 0\.\d\."):
        profile(later)


def test_damaged_table_is_written_anew_from_the_journal(profiled: Path) -> None:
    before = Table.read(profiled)
    profiled.write_bytes(profiled.read_bytes()[:-50])
    profile(options(profiled.parent.parent))
    assert Table.read(profiled).rows == before.rows


def test_other_options_are_refused_with_their_names(profiled: Path) -> None:
    other = replace(options(profiled.parent.parent), seed=3, heldout=2)
    with pytest.raises(HwsearchError, match=r"heldout: 1, now 2; seed: 0, now 3.*--fresh"):
        profile(other)


def test_a_table_is_not_replaced_by_another_measurement(profiled: Path, tmp_path: Path) -> None:
    table = tmp_path / "bench" / profiled.name
    table.parent.mkdir()
    table.write_bytes(profiled.read_bytes())
    plan = options(tmp_path).plan()
    with pytest.raises(HwsearchError, match=r"are not here, and would.*--fresh"):
        profile(options(tmp_path))
    plan.journal.write_bytes(options(profiled.parents[1]).plan().journal.read_bytes()[:-4000])
    with pytest.raises(HwsearchError, match=r"are not here, and would.*--fresh"):
        profile(options(tmp_path))
    assert table.read_bytes() == profiled.read_bytes()


def test_a_budget_without_a_visit_is_told(tmp_path: Path) -> None:
    plan = options(tmp_path).plan()
    with Journal.open(plan.journal, KIND, plan.header) as journal:
        journal.append({"ended": "budget", "budget_seconds": 1, "seconds": 1, "provider": ""})
    with pytest.raises(HwsearchError, match=r"nothing was measured.*--budget-minutes"):
        plan.write_table()


def test_measured_again_on_the_tables_scale(profiled: Path) -> None:
    table, order = Table.read(profiled), order_of(profiled)
    known = {row.key: row.latency_ms for row in table.rows}
    engines = {job.key.removeprefix("network "): job.engine for job in order.jobs if job.essential}
    again = remeasure(engines, table, budget_seconds=2)
    assert set(again) == set(engines)
    for name, measured in again.items():
        assert measured.latency_ms == pytest.approx(known[name], rel=0.5)
        assert measured.passes >= 2


def test_measured_again_only_on_the_same_device(profiled: Path) -> None:
    table = Table.read(profiled)
    other = replace(table, header=replace(table.header, fingerprint={"cpu": "Abacus"}))
    with pytest.raises(HwsearchError, match="another device"):
        remeasure({}, other, budget_seconds=1)


def test_killed_and_resumed_no_visit_is_lost_or_repeated(profiled: Path, tmp_path: Path) -> None:
    order = replace(
        order_of(profiled),
        journal=tmp_path / "visits.jsonl",
        settings=Settings(6.0, min_passes=4, target_stderr=1.0),
    )
    order.write(tmp_path / "order.json")
    command = [sys.executable, "-m", "hwsearch.kit.worker", str(tmp_path / "order.json")]
    kept: list[dict] = []
    for visits in (3, 20):
        with subprocess.Popen(command, stdout=subprocess.PIPE) as worker:
            wait_for(lambda visits=visits: len(visits_of(order)) > visits)
            worker.kill()
        now = visits_of(order)
        assert now[: len(kept)] == kept
        kept = now
    measure_in_child(order, tmp_path, lambda visits: None, print)
    numbers = Counter((row["visit"], row["number"]) for row in visits_of(order))
    assert visits_of(order)[: len(kept)] == kept
    assert set(numbers.values()) == {1}
    assert {number for _, number in numbers} == set(range(4))


def visits_of(order: Order) -> list[dict]:
    if not order.journal.exists() or order.journal.stat().st_size == 0:
        return []
    try:
        rows = read_journal(order.journal, KIND)[1]
    except HwsearchError:  # its header is being written
        return []
    return [row for row in rows if "visit" in row]


def test_process_ends_with_its_parent(profiled: Path, tmp_path: Path) -> None:
    order = replace(order_of(profiled), journal=tmp_path / "visits.jsonl", settings=Settings(60.0))
    order.write(tmp_path / "order.json")
    command = [sys.executable, "-m", "hwsearch.kit.worker", str(tmp_path / "order.json")]
    with (
        (tmp_path / "log").open("w") as log,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log) as worker,
    ):
        wait_for(lambda: len(visits_of(order)) > 2)
        assert worker.stdout is not None
        worker.stdout.close()  # as if the parent had been killed
        assert worker.wait(timeout=60) != 0


def test_engine_that_cannot_run_fails_alone(profiled: Path, tmp_path: Path) -> None:
    good = order_of(profiled)
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"no engine")
    failing = write_failing(tmp_path / "failing.onnx")
    order = replace(
        good,
        journal=tmp_path / "visits.jsonl",
        jobs=(good.jobs[0], Job("broken", broken, 9), Job("failing", failing, 9)),
        settings=Settings(3.0, min_passes=2, target_stderr=1.0),
    )
    measure_in_child(order, tmp_path, lambda visits: None, print)
    rows = read_journal(order.journal, KIND)[1]
    assert "cannot read this engine" in failures(rows)["broken"]
    assert "a call failed" in failures(rows)["failing"]
    assert {row["visit"] for row in rows if "visit" in row} == {good.jobs[0].key}


def test_process_that_is_killed_is_started_again(
    profiled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[subprocess.Popen] = []

    class Noted(subprocess.Popen):
        def __init__(self, *args: object, **more: object) -> None:
            super().__init__(*args, **more)  # type: ignore[arg-type, call-overload]
            started.append(self)

    def kill_once(visits: int) -> None:
        if visits and len(started) == 1:
            started[0].send_signal(signal.SIGKILL)

    monkeypatch.setattr(child.subprocess, "Popen", Noted)
    order = replace(
        order_of(profiled),
        journal=tmp_path / "visits.jsonl",
        settings=Settings(30.0, min_passes=6, target_stderr=1.0),
    )
    measure_in_child(order, tmp_path, kill_once, print)
    rows = read_journal(order.journal, KIND)[1]
    assert len(started) == 2
    assert [row["reason"] for row in rows if "crash" in row] == ["SIGKILL"]
    assert rows[-1]["ended"] == "settled" and not failures(rows)


def test_the_measuring_process_loads_no_torch() -> None:
    check = "import hwsearch.kit.worker, sys; assert not {'torch', 'rich'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", check], check=True)


def test_the_budget_decides_how_many_networks_are_measured(
    profiled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick, slow = Ends((0.1, 1.0), 0.1), Ends((30.0, 300.0), 1.0)
    assert networks_within(600, quick) == (120, 40)
    few, fewer = networks_within(60, quick), networks_within(20, quick)
    assert FEWEST_EVIDENCE <= fewer[0] < few[0] < 120
    assert FEWEST_EVIDENCE < networks_within(600, slow)[0] < 60
    assert networks_within(600, Ends((0.1, 1.0), 15.0)) == (30, 10)
    assert networks_within(600, quick, pace_hz=1) == (FEWEST_EVIDENCE, FEWEST_EVIDENCE // 3)
    plan = replace(options(profiled.parents[1]), evidence=None, heldout=None).plan()
    assert decided(plan, None, None).evidence == 3  # as the earlier run
    assert decided(plan, 3, None).heldout == 1
    alone = decided(replace(plan, seed=1, device="new"), 12, None)
    assert (alone.evidence, alone.heldout) == (12, 4)
    monkeypatch.setattr("hwsearch.profiling.split._PROBE_SECONDS", 1e-3)  # too short for a visit
    fresh = decided(replace(plan, seed=1, device="new"), None, 0)
    assert (fresh.evidence, fresh.heldout) == (FEWEST_EVIDENCE, 0)


def test_a_second_profiler_of_the_same_table_is_refused(profiled: Path) -> None:
    fresh = replace(options(profiled.parents[1]), fresh=True)
    before = fresh.plan().journal.read_bytes()
    with fresh.plan().alone(), pytest.raises(Busy, match="another hwsearch writes"):
        profile(fresh)
    assert fresh.plan().journal.read_bytes() == before


def test_a_full_disk_stops_measuring_and_keeps_what_was_measured(
    profiled: Path, tmp_path: Path
) -> None:
    order = replace(order_of(profiled), journal=tmp_path / "visits.jsonl", settings=Settings(30.0))
    with files_limited_to(20_000), pytest.raises(HwsearchError, match="cannot write"):
        measure_in_child(order, tmp_path, lambda visits: None, print)
    kept = visits_of(order)
    assert len(kept) > 3
    short = replace(order, settings=Settings(1.0))
    measure_in_child(short, tmp_path, lambda visits: None, print)
    assert visits_of(order)[: len(kept)] == kept
