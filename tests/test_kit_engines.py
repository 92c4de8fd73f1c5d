"""Engines on a device: built once, built again if damaged, and no failures if the disk is full."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from full_disk import files_limited_to

from hwsearch.errors import HwsearchError
from hwsearch.export.onnx import export_block
from hwsearch.journal import Journal, read_journal
from hwsearch.kit.child import build_in_child
from hwsearch.kit.engines import Engines
from hwsearch.kit.jobs import RESULTS
from hwsearch.kit.order import KIND, MAX_CRASHES, BuildOrder, failures, try_again
from hwsearch.runtime import get_runtime
from hwsearch.spaces import get_space


@pytest.mark.parametrize("damage", [lambda data: data[:-9], lambda data: data[:-1] + b"!"])
def test_a_damaged_engine_is_built_again(damage: Callable[[bytes], bytes], tmp_path: Path) -> None:
    space, model = get_space("basic-32"), tmp_path / "model.onnx"
    export_block(space.lower(space.minimum)[1], model)
    engines = Engines(tmp_path / "work", "onnxruntime", "fp32")
    built = engines.build_file(model)
    whole = built.engine.read_bytes()
    built.engine.write_bytes(damage(whole))
    assert engines.find_file(model) is None
    assert engines.build_file(model) == built and built.engine.read_bytes() == whole


def test_two_runs_build_an_engine_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    space, model = get_space("basic-32"), tmp_path / "model.onnx"
    export_block(space.lower(space.minimum)[1], model)
    engines, builds = Engines(tmp_path / "work", "onnxruntime", "fp32"), []
    runtime, build = get_runtime("onnxruntime"), get_runtime("onnxruntime").build

    def slow(*given: Any) -> Path:
        builds.append(given)
        time.sleep(0.2)
        return build(*given)

    monkeypatch.setattr(type(runtime), "build", staticmethod(slow))
    with ThreadPoolExecutor(4) as pool:
        built = list(pool.map(engines.build_file, [model] * 4))
    assert len(builds) == 1 and set(built) == {engines.find_file(model)}


def test_a_full_disk_ends_the_work_and_fails_no_engine(tmp_path: Path) -> None:
    space, model, journal = get_space("basic-32"), tmp_path / "model.onnx", tmp_path / RESULTS
    export_block(space.lower(space.minimum)[1], model)
    models = {"block a": model}
    order = BuildOrder(journal, {}, tmp_path / "work", "onnxruntime", "fp32", models)
    with files_limited_to(4_000), pytest.raises(HwsearchError, match=r"no room.*Free some space"):
        build_in_child(order, tmp_path, lambda done: None, print)
    build_in_child(order, tmp_path, lambda done: None, print)
    assert Engines(order.folder, "onnxruntime", "fp32").find_file(model)
    assert not read_journal(journal, KIND)[1]


def test_a_new_start_tries_again_what_failed_in_an_earlier_one(tmp_path: Path) -> None:
    with Journal.open(tmp_path / RESULTS, KIND, {}) as journal:
        for _ in range(2):
            for crash in range(MAX_CRASHES):
                assert not failures(journal.rows), crash
                journal.append({"crash": "block a", "reason": "SIGKILL"})
            assert failures(journal.rows) == {"block a": "SIGKILL"}
            try_again(journal)
        before = list(journal.rows)
        try_again(journal)
        assert journal.rows == before
