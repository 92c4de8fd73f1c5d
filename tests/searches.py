"""What a search needs, small: a checkpoint, tables of an invented device, and options."""

from pathlib import Path

import numpy as np
import pytest
from synthetic_device import SyntheticDevice

from hwsearch.checkpoint import Checkpoint, Header, build_method
from hwsearch.latency.rows import Reference, Row, TableHeader
from hwsearch.latency.table import Table
from hwsearch.search.options import SearchOptions
from hwsearch.selfsup.settings import MethodSettings
from hwsearch.space import Space
from hwsearch.spaces import get_space

SPACE = get_space("bottleneck-32")
RUNTIMES = ("onnxruntime", "openvino")
BUDGET = 16


def write_table(
    folder: Path,
    runtime: str,
    device: str = "made-up",
    seed: int = 0,
    *,
    precision: str = "fp32",
    slower: float = 1.0,
    batch: int = 1,
    threads: int = 2,
    space: Space = SPACE,
    ships: tuple[str, ...] = (),
) -> Path:
    """Writes a table whose networks cost what their MACs and their depth cost together."""
    rng = np.random.default_rng(seed)
    rows = []
    for subnet in [space.minimum, space.maximum, *(space.sample(rng) for _ in range(28))]:
        code = space.encode(subnet)
        per_block = 0.02 if runtime == "onnxruntime" else 0.05
        ms = slower * (space.macs(code[None])[0] / 2e7 + per_block * len(space.lower(subnet)))
        values = subnet.as_dict()
        rows.append(
            Row(
                kind="network",
                key=str(subnet),
                latency_ms=float(ms),
                stderr_rel=0.005,
                passes=5,
                p10_ms=float(ms),
                p50_ms=float(ms),
                p90_ms=float(ms),
                p99_ms=float(ms),
                pass_ratios=(1.0,),
                engine_sha256="",
                subnet=values,
                split="evidence",
            )
        )
    rows += SyntheticDevice(space).extra_rows(ships)
    header = TableHeader(
        space=space.name,
        runtime=runtime,
        precision=precision,
        batch=batch,
        threads=threads,
        device=device,
        fingerprint={},
        versions={},
        provider="CPU",
        references=(Reference("small", "", 0.2), Reference("large", "", 2.0)),
        exponents=(0.5, 0.5),
        seed=seed,
        date="2026-01-01",
        visits=0,
        build_seconds=0.0,
        measure_seconds=0.0,
        ended="settled",
    )
    path = folder / device / f"{header.name}.jsonl"
    Table(path, header, tuple(rows)).write()
    return path


def write_checkpoint(run: Path, seed: int = 0, *, space: Space = SPACE) -> Path:
    settings = MethodSettings(projection_hidden=32, queue=8)
    method = build_method(space, "moco-v2", settings, seed=seed)
    header = Header(space.name, "moco-v2", settings, {}, step=0, steps=0, progress={})
    run.mkdir()
    Checkpoint(header, method.state_dict(), {}).save(run)
    return run


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("search")
    write_checkpoint(folder / "run")
    for runtime in RUNTIMES:
        write_table(folder / "tables", runtime)
    return folder


def options(made: Path, out: Path, **changes: object) -> SearchOptions:
    given = {
        "checkpoint": made / "run",
        "tables": tuple(f"{SPACE.name}-{runtime}-fp32-b1-t2" for runtime in RUNTIMES),
        "tables_dir": made / "tables",
        "images": "sklearn:digits",
        "teacher": "max",
        "max_images": 8,
        "evaluations": BUDGET,
        "batch": 4,
        "stop_gain": 0.0,
        "processes": 1,
        "out": out,
    }
    return SearchOptions(**given | changes)
