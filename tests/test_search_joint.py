"""Runtime and precision as choices of a search."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from searches import SPACE, made, options, write_table

from hwsearch.cli import main
from hwsearch.distance import SupernetStudents
from hwsearch.errors import HwsearchError
from hwsearch.latency.table import Table
from hwsearch.report.run import ReportOptions, report
from hwsearch.search.evaluations import Evaluations
from hwsearch.search.fleet import pick_network
from hwsearch.search.front import read_front, read_points
from hwsearch.search.inputs import open_search
from hwsearch.search.networks import open_networks
from hwsearch.search.options import SearchOptions
from hwsearch.search.pareto import pareto_front
from hwsearch.search.run import search
from hwsearch.spaces import get_space
from hwsearch.spaces.precisions import network_of, precision_of

__all__ = ["made"]

INT8, FP32 = "bottleneck-32-onnxruntime-int8-b1-t2", "bottleneck-32-onnxruntime-fp32-b1-t2"
OPENVINO = "bottleneck-32-openvino-fp32-b1-t2"
SPACES = get_space("bottleneck-32~int8+fp32")


@pytest.fixture(scope="module")
def tables(made: Path) -> Path:
    write_table(made / "tables", "onnxruntime", precision="int8", slower=0.6)
    write_table(made / "tables", "openvino", device="board", slower=0.5)
    return made


def asked(made: Path, out: Path, **changes: object) -> SearchOptions:
    return options(made, out, **{"tables": (f"made-up/{FP32}", f"made-up/{INT8}")} | changes)


@pytest.fixture(scope="module")
def joint(tables: Path) -> Path:
    four = (f"made-up/{FP32}", f"made-up/{INT8}", f"made-up/{OPENVINO}", f"board/{OPENVINO}")
    return search(asked(tables, tables / "joint", tables=four, joint=True, evaluations=24))


def test_a_network_is_a_candidate_in_each_precision() -> None:
    assert SPACES.size == 2 * SPACE.size
    candidate = SPACES.subnet(depth1=1, precision="int8")
    assert network_of(SPACES, candidate) == SPACE.subnet(depth1=1)
    assert precision_of(SPACES, candidate) == "int8"
    assert precision_of(SPACES, SPACES.maximum) == "fp32"
    assert SPACES.lower(candidate) == SPACE.lower(SPACE.subnet(depth1=1))
    assert SPACES.key(candidate) == str(SPACE.subnet(depth1=1))
    assert get_space("bottleneck-32~fp32").dims == SPACE.dims
    with pytest.raises(HwsearchError, match="int4"):
        get_space("bottleneck-32~int4")


def test_distances_are_of_the_precision(joint: Path) -> None:
    inputs = open_search(joint)
    plain = SupernetStudents(inputs.students.run, inputs.students.images)
    for values in ({}, {"depth1": 1, "stem": 8}):
        features = plain.embeddings(SPACE.subnet(**values))
        same, lower = (
            inputs.students.embeddings(SPACES.subnet(**values, precision=precision))
            for precision in ("fp32", "int8")
        )
        np.testing.assert_array_equal(same, features)
        off = np.linalg.norm(lower - features) / np.linalg.norm(features)
        assert 1e-3 < off < 0.2
    judge = inputs.distance()
    assert judge(SPACES.maximum) == 0.0
    assert judge(SPACES.subnet(precision="int8")) > 0.0


def test_every_table_has_a_front_of_its_precision(tables: Path, tmp_path: Path) -> None:
    points = read_front(search(asked(tables, tmp_path)))
    found = {point.table.split("-")[-3]: set() for point in points}
    for point in points:
        found[point.table.split("-")[-3]].add(point.subnet["precision"])
    assert found == {"fp32": {"fp32"}, "int8": {"int8"}}
    assert report(ReportOptions(directory=tmp_path))


def test_the_joint_front_is_that_of_all_tables(joint: Path) -> None:
    evaluations, points = Evaluations.read(joint), read_points(joint / "joint.csv")
    for device in ("made-up", "board"):
        front = [point for point in points if point.table.startswith(f"{device}/")]
        every = [
            np.column_stack([evaluations.latencies(target.table), evaluations.distance])[
                evaluations.runs_on(target)
            ]
            for target in evaluations.targets
            if target.device == device
        ]
        every = np.concatenate(every)
        every = every[pareto_front(every)]
        seen = [(point.latency_ms, point.distance) for point in front]
        np.testing.assert_allclose(seen, every[np.argsort(every[:, 0])])
        assert [point.index for point in front] == list(range(len(front)))
        assert sum(point.knee for point in front) == 1
    assert {point.subnet["precision"] for point in points} == {"int8", "fp32"}


def test_the_joint_front_is_drawn(joint: Path) -> None:
    names = {file.name for file in report(ReportOptions(directory=joint))}
    assert {"made-up--joint.png", "board--joint.svg"} < names


def test_a_device_is_picked_from_its_joint_front(joint: Path) -> None:
    front = [p for p in read_points(joint / "joint.csv") if p.table.startswith("made-up/")]
    assert pick_network(joint, "made-up", "knee") == next(p for p in front if p.knee)
    assert pick_network(joint, "made-up", "index=0") == front[0]
    with pytest.raises(HwsearchError, match="several tables"):
        pick_network(joint, "", "knee")


def test_a_killed_joint_search_goes_on(joint: Path, tables: Path, tmp_path: Path) -> None:
    given = open_search(joint).options
    for count in (9, 24):
        search(SearchOptions(**vars(given) | {"out": tmp_path, "evaluations": count}))
    for name in ("evaluations.jsonl", "joint.csv"):
        assert (tmp_path / name).read_bytes() == (joint / name).read_bytes()


@pytest.mark.parametrize(("isa", "steps"), [("avx2", 64), ("avx2 avx_vnni", 127)])
def test_weights_are_rounded_as_the_processor_needs(
    tables: Path, tmp_path: Path, isa: str, steps: int
) -> None:
    table = Table.read(tables / f"tables/made-up/{INT8}.jsonl")
    header = replace(table.header, fingerprint={"architecture": "x86_64", "isa": isa})
    path = tmp_path / table.path.name
    replace(table, path=path, header=header).write()
    found = open_networks(asked(tables, tmp_path / "s", tables=(f"made-up/{FP32}", str(path))))
    net = found.students.student(SPACES.subnet(precision="int8"))
    weight = next(m.weight for m in net.modules() if isinstance(m, torch.nn.Conv2d)).detach()
    scaled = weight * steps / weight.abs().amax((1, 2, 3), keepdim=True)
    torch.testing.assert_close(scaled, scaled.round(), atol=1e-3, rtol=0)


def test_a_search_in_fp32_is_a_warm_start(tables: Path, tmp_path: Path) -> None:
    plain = search(asked(tables, tmp_path / "plain", tables=(f"made-up/{FP32}",)))
    warm = search(asked(tables, tmp_path / "warm", warm=(plain,), evaluations=2))
    before, after = Evaluations.read(plain), Evaluations.read(warm)
    known = after.codes[: len(before.codes)]
    kept = {str(before.space.decode(code)) for code in before.codes}
    assert {str(network_of(SPACES, SPACES.decode(code))) for code in known} == kept
    assert len(after.codes) == len(before.codes) + 2


def test_unlike_calls_are_no_joint_front(tables: Path, tmp_path: Path) -> None:
    other = write_table(tables / "tables", "onnxruntime", seed=3, batch=8)
    words = ["search", "--joint", "--checkpoint", f"{tables}/run", "--images", "sklearn:digits"]
    words += ["--tables", str(other), f"made-up/{INT8}", "--tables-dir", f"{tables}/tables"]
    assert main([*words, "--out", str(tmp_path / "search")]) == 2
