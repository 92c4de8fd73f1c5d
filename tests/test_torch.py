"""The torch runtimes from a table to a delivered engine."""

from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_space import TINY

import hwsearch
from hwsearch.checkpoint import Checkpoint, Header, build_method
from hwsearch.deploy.options import DeployOptions
from hwsearch.deploy.run import deploy
from hwsearch.device import fingerprint
from hwsearch.errors import HwsearchError
from hwsearch.export.onnx import export_network, seeded_network
from hwsearch.export.program import export_block_program
from hwsearch.latency.table import Table
from hwsearch.profiling.models import block_models
from hwsearch.profiling.options import ProfileOptions
from hwsearch.profiling.profile import profile
from hwsearch.profiling.workshop import Workshop
from hwsearch.runtime import get_runtime
from hwsearch.runtime.base import BuildOptions, LoadOptions
from hwsearch.search.options import SearchOptions
from hwsearch.search.run import search
from hwsearch.selfsup.settings import MethodSettings
from hwsearch.spaces import get_space

SPACE = get_space("bottleneck-32")


def write_checkpoint(run: Path) -> Path:
    settings = MethodSettings(projection_hidden=32, queue=8)
    method = build_method(TINY, "moco-v2", settings, seed=0)
    header = Header(TINY.name, "moco-v2", settings, {}, step=0, steps=0, progress={})
    run.mkdir()
    Checkpoint(header, method.state_dict(), {}).save(run)
    return run


@pytest.mark.slow
def test_from_profile_to_engine(tmp_path: Path) -> None:
    # The lower precision is the harder case; not every processor computes in it.
    precision = "bf16" if "bf16" in fingerprint()["isa"] else "fp32"
    options = ProfileOptions(
        space=TINY.name,
        runtime="torch",
        precision=precision,
        threads=1,
        budget_minutes=0.2,
        evidence=10,
        heldout=0,
        out=tmp_path,
    )
    path = profile(options)
    table = Table.read(path)
    assert path.name == f"tiny-8-torch-{precision}-b1-t1.jsonl"
    assert len(table.networks("evidence")) == 10 and table.blocks
    assert table.header.versions["torch"] == torch.__version__
    chosen = SearchOptions(
        checkpoint=write_checkpoint(tmp_path / "run"),
        tables=(str(path),),
        images="sklearn:digits",
        max_images=16,
        evaluations=10,
        out=tmp_path / "search",
    )
    search(chosen)
    out = deploy(DeployOptions(search=chosen.out, out=tmp_path / "engine", measure_seconds=4.0))
    assert {"engine.pt2", "model.pt2", "model.onnx"} <= {file.name for file in out.iterdir()}
    with hwsearch.load(out) as engine:
        vector = engine(np.full((40, 30, 3), 128, np.uint8))
        error = engine.manifest.parity.relative_error
        assert 1e-4 < error < 0.1 if precision == "bf16" else 0 < error < 1e-4
    assert vector.dtype == np.float32 and np.isfinite(vector).all()


def test_ready_models_are_refused(tmp_path: Path) -> None:
    net = seeded_network(SPACE.lower(SPACE.minimum))
    export_network(net, tmp_path / "models" / "a.onnx")
    options = ProfileOptions(
        space=f"catalogue:{tmp_path / 'models'}", runtime="torch", out=tmp_path / "tables"
    )
    with pytest.raises(HwsearchError, match=r"no exported program.*a.onnx.*ONNX files"):
        profile(options)


def test_missing_compiler_gets_the_command_that_installs_it(tmp_path: Path) -> None:
    model = export_block_program(SPACE.lower(SPACE.minimum)[0], tmp_path / "block.pt2")
    # Its own patch: pytest's would delete the setting afterwards.
    missing = torch._inductor.config.patch({"cpp.cxx": (None, "no-such-compiler")})
    refused = pytest.raises(HwsearchError, match=r"needs a C\+\+ compiler.*Install g\+\+.*CXX")
    with missing, refused:
        get_runtime("torch-aoti").build(model, tmp_path / "out", BuildOptions())


def test_compiled_engines_are_refused_where_there_is_a_gpu(tmp_path: Path, monkeypatch) -> None:
    """Loading them there ended the process."""
    gpu = torch.device("cuda")
    monkeypatch.setattr("hwsearch.runtime.torch_aoti.device_for", lambda precision: gpu)
    model = export_block_program(SPACE.lower(SPACE.minimum)[0], tmp_path / "block.pt2")
    with pytest.raises(HwsearchError, match=r"CPUs only.*Use --runtime torch"):
        get_runtime("torch-aoti").build(model, tmp_path / "out", BuildOptions())


@pytest.mark.slow
def test_slow_engines_are_built_at_once_and_found_again(tmp_path: Path) -> None:
    workshop, told = Workshop(tmp_path, "torch-aoti", "fp32", 1), []
    models = block_models(TINY, 2)
    built = workshop.build_all(models, lambda steps=1, note="": told.append(steps))
    assert sum(told) == len(models) == len(built)
    with get_runtime("torch-aoti").load(built[models[0].job].engine, LoadOptions()) as engine:
        (spec,) = engine.input_specs
        assert engine.window({spec.name: np.zeros(spec.shape, spec.dtype)}, 0.0) > 0
    told.clear()
    assert workshop.build_all(models, lambda steps=1, note="": told.append(steps)) == built
    assert told == [len(models)]
