"""A catalogue from profile to engine: measured, predicted and delivered."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from catalogues import catalogue_of, outputs, write_folder
from studies import write_images

import hwsearch
from hwsearch.data.prepare import normalise_array
from hwsearch.deploy.options import DeployOptions
from hwsearch.deploy.run import deploy
from hwsearch.errors import HwsearchError
from hwsearch.evaluate.probe import ProbeOptions, probe
from hwsearch.latency.fit import fit_latency
from hwsearch.latency.predict import PredictOptions, predict
from hwsearch.latency.show import TableOptions, show_table
from hwsearch.latency.table import Table
from hwsearch.profiling.options import ProfileOptions
from hwsearch.profiling.profile import profile
from hwsearch.search.options import SearchOptions
from hwsearch.search.run import search
from hwsearch.spaces import get_space


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folder(tmp_path_factory.mktemp("models"))


def options(folder: Path, out: Path, runtime: str = "onnxruntime") -> ProfileOptions:
    space = f"catalogue:{folder}"
    return ProfileOptions(space=space, runtime=runtime, threads=1, budget_minutes=0.05, out=out)


@pytest.fixture(scope="module")
def profiled(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return profile(options(folder, tmp_path_factory.mktemp("tables")))


def test_every_model_has_a_row_that_predicts_it(profiled: Path, folder: Path, capsys) -> None:
    table, space = Table.read(profiled), catalogue_of(folder)
    rows = {row.subnet["model"]: row for row in table.networks("evidence")}
    assert len(table.rows) == len(rows) == 3
    assert all(rows[name].key == space.models[name].block().key for name in rows)
    assert rows["small"].latency_ms < rows["large"].latency_ms
    show_table(TableOptions("show", str(profiled)))
    show_table(TableOptions("check", str(profiled)))
    said = capsys.readouterr().out
    assert "3 networks as evidence" in said
    assert "No held-out networks" in said
    assert "The table is sound." in said
    found = predict(PredictOptions(table=str(profiled), subnet="model=middle"))
    assert found.mean_ms[0] == rows["middle"].latency_ms
    with pytest.raises(HwsearchError, match=r"unknown model 'midle'\. Did you mean middle"):
        predict(PredictOptions(table=str(profiled), subnet="model=midle"))


def test_a_csv_of_models_is_predicted(profiled: Path, tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text("model,note\nlarge,a\nsmall,b\n")
    found = predict(PredictOptions(table=str(profiled), csv=tmp_path / "in.csv"))
    assert found.mean_ms[0] > found.mean_ms[1]
    (tmp_path / "in.csv").write_text("model\nlarger\n")
    with pytest.raises(HwsearchError, match="unknown model 'larger'"):
        predict(PredictOptions(table=str(profiled), csv=tmp_path / "in.csv"))


def test_a_new_model_is_measured_beside_the_old(tmp_path: Path, folder: Path, capsys) -> None:
    models, out = tmp_path / "models", tmp_path / "out"
    models.mkdir()
    (models / "a.onnx").write_bytes((folder / "small.onnx").read_bytes())
    path = profile(options(models, out))
    (first,) = Table.read(path).rows
    journal = path.parent / ".journal" / path.name
    before = journal.read_bytes()
    assert profile(options(models, out)) == path
    assert "already measured" in capsys.readouterr().out
    (models / "b.onnx").write_bytes((folder / "middle.onnx").read_bytes())
    get_space.cache_clear()
    profile(replace(options(models, out), budget_minutes=0.1))
    table = Table.read(path)
    rows = {row.subnet["model"]: row for row in table.rows}
    assert set(rows) == {"a", "b"}
    assert journal.read_bytes().startswith(before)
    assert rows["a"].passes >= first.passes
    with pytest.raises(HwsearchError, match=r"takes 1 images a call, not 2.*--batch 1"):
        profile(replace(options(models, out), batch=2))


def test_a_model_is_delivered_with_its_own_normalisation(profiled, folder, tmp_path, capsys):
    search(
        SearchOptions(
            tables=(str(profiled),),
            images="sklearn:digits",
            max_images=16,
            teacher="large",
            out=tmp_path / "search",
        )
    )
    predict = fit_latency(Table.read(profiled), catalogue_of(folder)).mean_ms
    pick = f"max-latency-ms={np.sqrt(predict(np.array([[1], [2]])).prod())}"
    given = DeployOptions(
        search=tmp_path / "search", out=tmp_path / "engine", pick=pick, measure_seconds=1
    )
    out = deploy(given)
    assert (out / "model.onnx").read_bytes() == (folder / "middle.onnx").read_bytes()
    assert not (out / "weights.safetensors").exists()
    photo = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
    with hwsearch.load(out) as engine:
        manifest, embedding = engine.manifest, engine(photo)
    assert manifest.subnet == {"model": "middle"}
    assert manifest.latency.measured_ms < manifest.latency.limit_ms
    assert manifest.parity.reference == "unoptimised ONNX Runtime"
    assert manifest.parity.relative_error < 1e-5
    assert manifest.distance.engine == pytest.approx(manifest.distance.float_net, rel=1e-4)
    model = catalogue_of(folder).models["middle"]
    image = normalise_array(photo[None], model.mean, model.std)
    assert np.allclose(embedding, outputs(model.path, image)[0], atol=1e-4)
    assert not np.allclose(embedding, outputs(model.path, normalise_array(photo[None]))[0], 0.01)
    train, test = (str(write_images(tmp_path / f"{seed}", seed=seed)) for seed in (0, 1))
    judged = probe(ProbeOptions(engine=out, train=train, test=test))
    assert [entry.name for entry in judged] == ["engine", "raw pixels"]
    assert "No control with random weights" in capsys.readouterr().out
    with pytest.raises(HwsearchError, match="--train and --test are the same images"):
        probe(ProbeOptions(engine=out, train=train, test=train, limit=20))


def test_openvino_measures_a_catalogue(folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("openvino")
    assert len(Table.read(profile(options(folder, tmp_path, "openvino"))).rows) == 3
