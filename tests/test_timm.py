"""timm's networks as a catalogue: exported once, from local weights or none, never downloaded."""

import importlib.util
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from safetensors.torch import save_file
from torch.utils.flop_counter import FlopCounterMode

from hwsearch.errors import HwsearchError
from hwsearch.export.timm import export_timm
from hwsearch.export.timm_package import import_timm
from hwsearch.latency.table import Table
from hwsearch.profiling.options import ProfileOptions
from hwsearch.profiling.profile import profile
from hwsearch.spaces import get_space
from hwsearch.spaces.catalogue import Catalogue

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("timm") is None, reason="timm is not installed"
)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    get_space.cache_clear()
    return tmp_path / "cache"


def network(name: str) -> torch.nn.Module:
    return import_timm().create_model(name, num_classes=0).eval()


def catalogue_of(name: str) -> Catalogue:
    export_timm(name)
    space = get_space(name)
    assert isinstance(space, Catalogue)
    return space


def test_costs_are_those_that_torch_counts(capsys: pytest.CaptureFixture[str]) -> None:
    space = catalogue_of("timm:resnet18,mobilenetv3_small_100")
    assert space.dims[0].choices == ("mobilenetv3_small_100", "resnet18")
    assert "Random weights, for latency only: mobile" in capsys.readouterr().out
    for name, model in space.models.items():
        net = network(name)
        with FlopCounterMode(display=False) as counter:
            net(torch.zeros(1, 3, 224, 224))
        macs, params = counter.get_total_flops() // 2, sum(p.numel() for p in net.parameters())
        norms = (m.num_features for m in net.modules() if isinstance(m, torch.nn.BatchNorm2d))
        assert (model.macs, model.side, model.batch) == (macs, 224, 1)
        assert model.params == pytest.approx(params - sum(norms), rel=2e-3)
        assert (model.mean[0], model.std[0], model.weights) == (0.485, 0.229, "random")


def test_local_weights_of_either_format_give_what_timm_computes(tmp_path: Path, capsys) -> None:
    net = network("test_resnet")
    whole = net.state_dict() | {"fc.weight": torch.zeros(9, 9), "fc.bias": torch.zeros(9)}
    torch.save({"state_dict": whole}, tmp_path / "w.pt")
    save_file(net.state_dict(), tmp_path / "w.safetensors")
    spaces = [
        catalogue_of(f"timm:test_resnet@64={tmp_path / f}") for f in ("w.pt", "w.safetensors")
    ]
    models = [space.models["test_resnet-64"] for space in spaces]
    assert models[0].sha256 == models[1].sha256
    assert models[0].weights.startswith("sha256:")
    assert "Random weights" not in capsys.readouterr().out
    image = np.random.default_rng(0).normal(size=(1, 3, 64, 64)).astype(np.float32)
    session = onnxruntime.InferenceSession(models[0].path, providers=["CPUExecutionProvider"])
    (found,) = session.run(["embedding"], {"image": image})
    with torch.no_grad():
        wanted = net(torch.from_numpy(image)).numpy()
    assert np.allclose(found, wanted, rtol=1e-4, atol=1e-5)


def test_an_export_is_kept_and_its_order_does_not_matter(cache: Path) -> None:
    name = "timm:test_vit@96,test_resnet@64"
    with pytest.raises(HwsearchError, match=r"not been exported here.*hwsearch profile --space"):
        get_space(name)
    folder = export_timm(name)
    before = (folder / "test_resnet-64.onnx").stat().st_mtime_ns
    assert export_timm("timm:test_resnet@64,test_vit@96") == folder
    assert (folder / "test_resnet-64.onnx").stat().st_mtime_ns == before
    assert list((cache / "hwsearch" / "timm").iterdir()) == [folder]
    space = get_space(name)
    assert space.name == "timm:test_resnet@64,test_vit@96"
    assert space.input_side(space.subnet(model="test_vit-96")) == 96


def test_profile_exports_and_measures(tmp_path: Path) -> None:
    options = ProfileOptions(
        space="timm:test_resnet@64,test_vit@96",
        runtime="onnxruntime",
        threads=1,
        budget_minutes=0.05,
        out=tmp_path,
    )
    table = Table.read(profile(options))
    assert {row.subnet["model"] for row in table.rows} == {"test_resnet-64", "test_vit-96"}


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("resnt18", r"has no network 'resnt18'\. Did you mean resnet18"),
        ("resnet18.nonsense", "cannot build 'resnet18.nonsense': Invalid pretrained tag"),
        ("hf-hub:someone/net", "cannot read 'hf-hub:someone/net'"),
        ("resnet18,resnet18", "'resnet18' is twice"),
        ("resnet18=nowhere.pt", "no such file of weights"),
        ("test_vit=other.pt", "of another network than 'test_vit=.*Missing key"),
        ("test_resnet=pickle.pt", "it holds more than tensors"),
        ("test_resnet=torn.safetensors", "cannot read these weights"),
        ("", "cannot read ''"),
    ],
)
def test_mistakes_are_told(name: str, message: str, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    net = network("test_resnet")
    torch.save(net.state_dict(), "other.pt")
    torch.save(net, "pickle.pt")
    Path("torn.safetensors").write_bytes(b"torn")
    with pytest.raises(HwsearchError, match=message):
        export_timm(f"timm:{name}")
    assert not list(tmp_path.rglob("*.onnx"))
