"""Kits: measured where there is only NumPy and a runtime, through power cuts, and imported."""

import ast
import hashlib
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from bare import make_bare
from kits import SMALL, Measured, imported, rows_of, start

from hwsearch.errors import HwsearchError
from hwsearch.journal import Journal
from hwsearch.kit import builder
from hwsearch.kit.cooling import PATIENCE_SECONDS, Cooling
from hwsearch.kit.cores import cores_to_measure
from hwsearch.kit.jobs import JOBS, MODELS, PROGRAM, RESULTS, JobList
from hwsearch.kit.order import KIND, BuildOrder
from hwsearch.kit.program import BUSY, run_program
from hwsearch.kit.site import Site
from hwsearch.kit.talk import MISTAKE, fresh_note, note_beside
from hwsearch.latency.table import Table
from hwsearch.measurement.settings import Clock
from hwsearch.profiling.options import ProfileOptions
from hwsearch.profiling.pack import KitOptions, kit
from hwsearch.profiling.profile import profile
from hwsearch.profiling.zipapp import travelling_files
from hwsearch.runtime import form_of, get_runtime, runtime_names


def test_power_cuts_lose_and_repeat_nothing(measured: Measured) -> None:
    rows = rows_of(measured.results)
    for kept in measured.kept:
        assert rows[: len(kept)] == kept
    visits = Counter((row["visit"], row["number"]) for row in rows if "visit" in row)
    assert set(visits.values()) == {1}
    assert len(measured.kept[-1]) > 30 and "ended" in rows[-1]
    assert "left" in measured.said and str(measured.results) in measured.said


def test_the_kit_loads_numpy_and_the_runtime_only(measured: Measured) -> None:
    processes = (measured.results.parent / "loaded").read_text().splitlines()
    assert len(processes) >= 3  # itself, what builds and what measures, when they could end
    found = {name for line in processes for name in line.split()}
    assert found == {"__main__", "hwsearch", "numpy", "onnxruntime", "sitecustomize"}


def test_the_kit_runs_where_there_is_only_numpy_and_openvino(tmp_path: Path) -> None:
    pytest.importorskip("openvino", reason="openvino is not installed")
    few = {"evidence": 1, "heldout": 0, "budget_minutes": 0.02, "ships": ()}
    kit(KitOptions(**SMALL | few | {"runtime": "openvino"}, out=tmp_path / "kit"))
    python = make_bare(tmp_path / "bare", ("numpy", "openvino"))
    with start(python, tmp_path / "kit") as child:
        said, wrong = child.communicate(timeout=60)
    assert child.returncode == 0, wrong
    assert "measured" in said
    found = set((tmp_path / "kit" / "loaded").read_text().split())
    assert found == {"__main__", "hwsearch", "numpy", "openvino", "sitecustomize"}
    assert imported(tmp_path / "kit" / RESULTS, tmp_path / "tables") == 0


def test_a_finished_kit_says_so_at_once(bare: Path, measured: Measured) -> None:
    before = measured.results.read_bytes()
    with start(bare, measured.results.parent) as child:
        said, _ = child.communicate(timeout=60)
    assert measured.results.read_bytes() == before and "measured" in said


def test_a_second_run_in_the_same_folder_says_that_it_is_one(
    bare: Path, measured: Measured
) -> None:
    before = measured.results.read_bytes()
    site = Site(measured.results, measured.results.parent / "work", {})
    with site.alone(), start(bare, measured.results.parent, "--fresh") as child:
        _, wrong = child.communicate(timeout=60)
    assert child.returncode == BUSY and "another hwsearch writes it now" in wrong
    assert measured.results.read_bytes() == before


def test_what_cannot_measure_forgets_nothing(tmp_path: Path, measured: Measured) -> None:
    before = measured.results.read_bytes()
    python = make_bare(tmp_path / "bare", ("numpy",))
    with start(python, measured.results.parent, "--fresh") as child:
        _, wrong = child.communicate(timeout=60)
    assert child.returncode == 2 and "onnxruntime" in wrong
    assert measured.results.read_bytes() == before


def test_a_run_that_still_builds_keeps_others_from_the_results(tmp_path: Path, capsys) -> None:
    journal, held = tmp_path / RESULTS, []
    order = BuildOrder(journal, {}, tmp_path, "onnxruntime", "fp32", {})
    order.write(tmp_path / "order.json")
    with Journal.open(journal, KIND, {}):
        held.append(builder.main(tmp_path / "order.json"))
    held.append(builder.main(tmp_path / "order.json"))
    assert held == [MISTAKE, 0] and "another hwsearch writes it now" in capsys.readouterr().out


def test_a_new_note_leaves_one_that_is_mapped(tmp_path: Path) -> None:
    with note_beside(tmp_path / "order.json") as note:
        fresh = fresh_note(tmp_path / "order.json")
        note("a job")
        assert fresh.read_text() == ""


def test_a_file_that_is_no_result_is_never_removed(
    bare: Path, kit_folder: Path, tmp_path: Path
) -> None:
    precious = tmp_path / "precious.txt"
    precious.write_text("one of a kind")
    with start(bare, kit_folder, "--out", str(precious), "--fresh") as child:
        _, wrong = child.communicate(timeout=60)
    assert child.returncode == 2 and "no file of results" in wrong
    assert precious.read_text() == "one of a kind"


def test_import_gives_the_table_that_local_profiling_derives(
    measured: Measured, tmp_path: Path
) -> None:
    assert imported(measured.results, tmp_path / "there") == 0
    (path,) = (tmp_path / "there").glob("*/*.jsonl")
    assert path.parent.name == "board"
    plan = ProfileOptions(**SMALL, out=tmp_path / "here").plan()
    plan.journal.parent.mkdir(parents=True)
    plan.journal.write_bytes(measured.results.read_bytes())
    here, there = profile(ProfileOptions(**SMALL, out=tmp_path / "here")), Table.read(path)
    assert Table.read(here).rows == there.rows
    assert replace(Table.read(here).header, date="") == replace(there.header, date="")
    assert len(there.networks("evidence")) == 3 and len(there.networks("heldout")) == 1


def test_import_keeps_another_measurement_unless_told(
    measured: Measured, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert imported(measured.results, tmp_path) == 0
    assert imported(measured.results, tmp_path) == 0
    shorter = tmp_path / RESULTS
    lines = measured.results.read_bytes().splitlines(keepends=True)
    shorter.write_bytes(b"".join(lines[:-3]))
    assert imported(shorter, tmp_path) == 2
    assert "Name the kit's folder with --kit" in capsys.readouterr().err
    words = ("--kit", str(measured.results.parent))
    assert imported(shorter, tmp_path, *words) == 2
    assert "--fresh" in capsys.readouterr().err
    assert imported(shorter, tmp_path, *words, "--fresh") == 0
    for journal in tmp_path.rglob(".journal/*.jsonl"):
        journal.unlink()
    assert imported(shorter, tmp_path, *words) == 2
    assert "another table is here" in capsys.readouterr().err


def test_an_engine_that_cannot_be_built_fails_alone(
    bare: Path, kit_folder: Path, tmp_path: Path
) -> None:
    folder, broken = tmp_path / "kit", b"no model"
    shutil.copytree(kit_folder, folder, ignore=shutil.ignore_patterns("work", RESULTS))
    jobs = JobList.read(folder / JOBS)
    few = {job: file for job, file in jobs.jobs.items() if job.startswith("network")}
    few["block x"] = "0123456789abcdef.onnx"
    files = jobs.files | {few["block x"]: hashlib.sha256(broken).hexdigest()}
    replace(jobs, jobs=few, files=files, ships=()).write(folder / JOBS)
    (folder / MODELS / few["block x"]).write_bytes(broken)
    with start(bare, folder, "--budget-minutes", "0.03") as child:
        said, wrong = child.communicate(timeout=60)
    assert child.returncode == 0, wrong
    assert "failed: block x: onnxruntime cannot read this ONNX file" in said
    assert "4 of 5 measured" in said


def test_a_damaged_kit_is_told(bare: Path, kit_folder: Path, tmp_path: Path) -> None:
    for path in (kit_folder / PROGRAM, kit_folder / JOBS):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    with start(bare, tmp_path) as child:
        _, wrong = child.communicate(timeout=60)
    files = len(JobList.read(kit_folder / JOBS).files)
    assert child.returncode == 2 and wrong.startswith("measure_kit: error: ")
    assert f"{files} files are missing or damaged" in wrong and wrong.count("\n") == 1


def test_what_the_system_refuses_is_told_in_one_line(capsys) -> None:
    name = "a" * 300
    assert run_program("measure_kit", lambda folder, words: Path(name).stat(), ()) == 2
    said = f"measure_kit: error: cannot go on: File name too long ({name}).\n"
    assert capsys.readouterr().err == said


def test_the_same_options_make_the_same_kit(tmp_path: Path) -> None:
    options = SMALL | {"evidence": 1, "heldout": 0, "budget_minutes": 0.02, "ships": ()}
    content = []
    for name in ("one", "two"):
        kit(KitOptions(**options, out=tmp_path / name))
        paths = (path for path in (tmp_path / name).rglob("*") if path.is_file())
        content.append({path.relative_to(tmp_path / name): path.read_bytes() for path in paths})
    assert content[0] == content[1]
    assert {PROGRAM, JOBS, "README.txt"} <= {str(path) for path in content[0]}
    assert all(path.parts[0] != ".exports" for path in content[0])
    with pytest.raises(HwsearchError, match=r"another kit is here .*seed: 0, now 1"):
        kit(KitOptions(**options | {"seed": 1}, out=tmp_path / "one"))


def test_unknown_names_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    for change, message in (
        ({"runtime": "onnxrunime"}, r"unknown runtime.*onnxruntime"),
        ({"precision": "int4"}, r"unknown precision.*fp32"),
        ({"space": "bottleneck-23"}, r"unknown space.*bottleneck-32"),
    ):
        with pytest.raises(HwsearchError, match=message):
            kit(KitOptions(**SMALL | change, out=tmp_path))
    assert not any(tmp_path.iterdir())


def test_a_kit_never_mixes_with_other_files(tmp_path: Path, monkeypatch) -> None:
    options = SMALL | {"evidence": 1, "heldout": 0, "budget_minutes": 0.005, "ships": ()}
    readme = tmp_path / "mine" / "README.txt"
    readme.parent.mkdir()
    readme.write_text("one of a kind")
    with pytest.raises(HwsearchError, match=r"something else than a kit .*another --out"):
        kit(KitOptions(**options, out=readme.parent))
    assert [path.read_text() for path in readme.parent.iterdir()] == ["one of a kind"]

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    for last in ("hwsearch.profiling.pack.write_atomic", "hwsearch.profiling.pack.write_program"):
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(last, killed)
            kit(KitOptions(**options, out=tmp_path / "kit"))
    kit(KitOptions(**options, out=tmp_path / "kit"))
    assert JobList.read(tmp_path / "kit" / JOBS).jobs


def test_a_tensorrt_kit_needs_no_tensorrt_here(tmp_path: Path) -> None:
    options = SMALL | {"evidence": 1, "heldout": 0, "budget_minutes": 0.005, "ships": ()}
    kit(KitOptions(**options | {"runtime": "tensorrt", "precision": "fp16"}, out=tmp_path))
    text = (tmp_path / "README.txt").read_text()
    lines = [line.split() for line in text.splitlines() if line.strip().startswith("trtexec")]
    files = {word.partition("=")[2] for line in lines for word in line if "--onnx=" in word}
    assert len(files) == 2 and all((tmp_path / file).is_file() for file in files)


def test_what_a_runtime_takes_is_known_without_it() -> None:
    for name in runtime_names():
        try:
            runtime = get_runtime(name)
        except HwsearchError:
            continue
        assert form_of(name) == runtime.takes


def test_what_travels_is_python_3_10() -> None:
    for path in travelling_files():
        ast.parse(path.read_text(), str(path), feature_version=(3, 10))


def test_fast_cores_are_measured_and_of_equal_ones_the_last(tmp_path: Path) -> None:
    assert cores_to_measure(2, {0, 1, 2, 3}, tmp_path) == [2, 3]
    # Two fast cores of two threads each, then two slow ones.
    for cpu, (core, khz) in enumerate([(0, 5000), (0, 5000), (1, 5000), (1, 5000), (2, 1), (3, 1)]):
        for name, value in (("topology/core_id", core), ("cpufreq/cpuinfo_max_freq", khz)):
            path = tmp_path / f"sys/devices/system/cpu/cpu{cpu}" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{value}\n")
    assert cores_to_measure(2, range(6), tmp_path) == [1, 3]
    assert cores_to_measure(3, range(6), tmp_path) == [2, 1, 3]
    assert cores_to_measure(1, {0, 4, 5}, tmp_path) == [0]


class Thermometer:
    def __init__(self, *celsius: float | None) -> None:
        self.left = list(celsius)

    def readings(self, calls: int, before: tuple[float, ...]) -> Any:
        value = self.left.pop(0) if len(self.left) > 1 else self.left[0]
        return type("Readings", (), {"celsius": value})


def test_a_hot_machine_rests_until_it_is_cool() -> None:
    now = [0.0]
    clock = Clock(lambda: now[0], sleep=lambda seconds: now.__setitem__(0, now[0] + seconds))
    looks: list[float] = []
    cooling = Cooling(80.0, Thermometer(70, 85, 81, 79), clock)  # type: ignore[arg-type]
    cooling.wait(lambda: looks.append(now[0]))
    assert looks == [0.0, 1.0] and now == [2.0] and cooling.rested == 2.0
    with pytest.raises(HwsearchError, match=r"still 90 degrees .*--max-temperature"):
        Cooling(80.0, Thermometer(90), clock).wait(lambda: None)  # type: ignore[arg-type]
    assert now[0] > PATIENCE_SECONDS
    with pytest.raises(HwsearchError, match="does not tell its temperature"):
        Cooling(80.0, Thermometer(None), clock)  # type: ignore[arg-type]
