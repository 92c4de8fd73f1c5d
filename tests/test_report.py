"""Figures of a search and what they show, with one delivered engine's manifest."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from full_disk import files_limited_to

from hwsearch.block import Block
from hwsearch.deploy.manifest import (
    SCHEMA,
    Distance,
    Input,
    Latency,
    Manifest,
    Output,
    OutputError,
    Parity,
    write_manifest,
)
from hwsearch.errors import HwsearchError
from hwsearch.journal import Journal
from hwsearch.latency.predictor import Prediction
from hwsearch.latency.ships import ShippedLatency
from hwsearch.report.panel import Series
from hwsearch.report.run import ReportOptions, report
from hwsearch.search.costs import Costs
from hwsearch.search.evaluations import FILE, KIND, Evaluations
from hwsearch.search.front import find_front, write_front
from hwsearch.search.limits import DeviceLimits
from hwsearch.shipped import Shipped
from hwsearch.spaces import get_space
from hwsearch.subnet import Subnet

SPACE = get_space("bottleneck-32")
IMAGES = "images"
NAMES = ("here/bottleneck-32-onnxruntime-fp32-b1-t2", "here/bottleneck-32-openvino-fp32-b1-t2")


def write_search(folder: Path, tables: tuple[str, ...] = NAMES, *, device: str = "here") -> Path:
    about = {"device": device, "precision": "fp32", "batch": 1, "threads": 2, "sha256": ""}
    header = {
        "space": SPACE.name,
        "images": IMAGES,
        "tables": {name: {**about, "runtime": name.split("-")[2]} for name in tables},
    }
    rng = np.random.default_rng(0)
    subnets = [SPACE.minimum, SPACE.maximum, *(SPACE.sample(rng) for _ in range(20))]
    macs = SPACE.macs(np.array([SPACE.encode(subnet) for subnet in subnets]))
    with Journal.open(folder / FILE, KIND, header) as journal:
        for subnet, count in zip(subnets, macs.tolist(), strict=True):
            distance = distance_of(subnet)
            latency_ms = dict.fromkeys(tables, count / 20000000.0)
            journal.append(
                {"subnet": subnet.as_dict(), "distance": distance, "latency_ms": latency_ms}
            )
    found = Evaluations.read(folder)
    shipped = Shipped(SPACE)
    latency = ShippedLatency(Exact(), shipped)
    devices = [DeviceLimits(Costs(t, shipped, latency, None), ()) for t in found.targets]
    write_front([point for device in devices for point in find_front(found, device)], folder)
    return folder


def distance_of(subnet: Subnet) -> float:
    macs = SPACE.macs(SPACE.encode(subnet)[None])[0]
    return 0.0 if subnet == SPACE.maximum else float(1e6 / macs + 0.02 * subnet["depth1"])


class Exact:
    """Predicts what the searches of this file have journaled."""

    def predict(self, codes: np.ndarray) -> Prediction:
        ms = SPACE.macs(codes) / 2e7
        return Prediction(ms, ms * 0.95, ms * 1.05)

    def added_ms(self, block: Block) -> float:
        return 0.0


def write_engine(folder: Path, table: str, *, further: float = 0.0, images: str = IMAGES) -> Path:
    folder.mkdir()
    searched = distance_of(SPACE.minimum) + further
    manifest = Manifest(
        schema=SCHEMA,
        space=SPACE.name,
        subnet=SPACE.minimum.as_dict(),
        table=table,
        runtime="onnxruntime",
        provider="CPUExecutionProvider",
        precision="fp32",
        threads=2,
        engine="engine.onnx",
        input=Input("image", 32, (0.5, 0.5, 0.5), (0.25, 0.25, 0.25), 1),
        outputs=(Output("embedding", (384,)),),
        latency=Latency(0.32, 0.3, 0.34, 0.33, 0.01, (), None),
        parity=Parity(4, "torch", 1e-3, {"embedding": OutputError(1e-6, 1e-7, 1e-7)}),
        distance=Distance(searched, searched, searched, 4, images, "online"),
        classifier=None,
        checkpoint="",
        device={},
        versions={},
        created="2026-01-01T00:00:00+00:00",
        files={"engine.onnx": ""},
    )
    write_manifest(folder, manifest)
    return folder


def test_report_draws_every_table_and_all_together(tmp_path: Path) -> None:
    search = write_search(tmp_path / "search")
    engine = write_engine(tmp_path / "engine", NAMES[0].split("/")[1])
    files = report(ReportOptions(directory=search, engines=(engine,)))
    stems = {file.stem for file in files}
    assert stems == {"overview", "report", *(name.replace("/", "--") for name in NAMES)}
    starts = {".png": b"\x89PNG", ".svg": b"<?xml", ".json": b"{", ".html": b"<!doctype html>"}
    for file in files:
        assert file.parent == search / "report"
        assert file.read_bytes().startswith(starts[file.suffix])


@pytest.mark.parametrize("macs", [0.0, 7.0])
def test_models_that_multiply_nothing_are_drawn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, macs: float
) -> None:
    def million_macs(series: Series) -> np.ndarray:
        return np.where(np.arange(len(series.points)) == 0, 0.0, macs)

    search = write_search(tmp_path, NAMES[:1])
    monkeypatch.setattr(Series, "million_macs", property(million_macs))
    assert report(ReportOptions(directory=search))


def test_same_search_gives_the_same_files(tmp_path: Path) -> None:
    search = write_search(tmp_path, NAMES[:1])
    first = [file.read_bytes() for file in report(ReportOptions(directory=search))]
    assert [file.read_bytes() for file in report(ReportOptions(directory=search))] == first
    assert len(first) >= 3


def test_delivered_engine_is_drawn_on_the_front_of_its_table(tmp_path: Path) -> None:
    search = write_search(tmp_path / "search", NAMES[:1])
    engine = write_engine(tmp_path / "engine", NAMES[0])
    plain = [file.read_bytes() for file in report(ReportOptions(directory=search))]
    marked = report(ReportOptions(directory=search, engines=(engine,)))
    assert all(file.read_bytes() != before for file, before in zip(marked, plain, strict=True))


@pytest.mark.parametrize(
    ("engine", "message"),
    [
        ({"table": "bottleneck-32-tensorrt-fp32-b1-t2"}, "unknown table of this search"),
        ({"table": NAMES[0], "images": "others"}, "another teacher or other images"),
        ({"table": NAMES[0], "further": 0.01}, "another teacher or other images"),
    ],
)
def test_engine_of_another_search_is_refused(
    tmp_path: Path, engine: dict[str, Any], message: str
) -> None:
    search = write_search(tmp_path / "search")
    folder = write_engine(tmp_path / "engine", **engine)
    with pytest.raises(HwsearchError, match=message):
        report(ReportOptions(directory=search, engines=(folder,)))


def test_a_full_disk_leaves_the_figures_that_are_there(tmp_path: Path) -> None:
    search = write_search(tmp_path, NAMES[:1])
    before = {file: file.read_bytes() for file in report(ReportOptions(directory=search))}
    with files_limited_to(1000), pytest.raises(HwsearchError, match="cannot write: File too large"):
        report(ReportOptions(directory=search))
    assert {file: file.read_bytes() for file in (search / "report").iterdir()} == before


def test_folders_without_a_search_are_refused(tmp_path: Path) -> None:
    with pytest.raises(HwsearchError, match=r"no such folder.*nowhere"):
        ReportOptions(directory=tmp_path / "nowhere")
    with pytest.raises(HwsearchError, match=r"no search found.*hwsearch search --out"):
        report(ReportOptions(directory=tmp_path))
