"""Backbones: the network of an engine's folder in PyTorch, to be used and trained further."""

import json
import shutil
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import torch
from backbones import backbone_of, edit, images_for, side_of
from engines import assemble_engine
from searches import made
from torch import Tensor, nn

import hwsearch
from hwsearch.checkpoint import Checkpoint
from hwsearch.data.prepare import normalise_array, prepare
from hwsearch.deploy.classifier import ClassifierHead
from hwsearch.errors import HwsearchError
from hwsearch.evaluate.labelled import load_labelled
from hwsearch.export.timm_package import import_timm
from hwsearch.kit.outcome import manifest_text

__all__ = ["made"]

PHOTOS = np.random.default_rng(0).integers(0, 256, (3, 40, 40, 3), np.uint8)


@pytest.fixture(scope="module", params=["classification", "segmentation"])
def engine(request, made, tmp_path_factory) -> Path:
    with_residuals(made / "run")
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp(request.param)
        return assemble_engine(made, folder, patch, "onnxruntime", task=request.param)[0]


def with_residuals(run: Path) -> None:
    """Lets residual branches count, which start at zero."""
    checkpoint = Checkpoint.load(run)
    method = {
        name: torch.full_like(value, 0.5) if name.endswith("scale") else value
        for name, value in checkpoint.method.items()
    }
    replace(checkpoint, method=method).save(run)


@pytest.fixture
def own(engine, tmp_path) -> Path:
    """A copy of an engine's folder, to be spoilt."""
    return shutil.copytree(engine, tmp_path / "engine")


@torch.no_grad()
def test_it_gives_what_its_engine_gives(engine):
    net = hwsearch.load_backbone(engine)
    about = net.default_cfg
    prepared = np.stack([prepare(photo, side_of(net)) for photo in PHOTOS])
    images = torch.from_numpy(normalise_array(prepared, about["mean"], about["std"]))
    given, maps = net(images), net.forward_features(images)
    with hwsearch.load(engine) as loaded:
        expected = list(loaded.outputs(PHOTOS).values())
    for found, wanted in zip(
        [given] if isinstance(given, Tensor) else given, expected, strict=True
    ):
        np.testing.assert_allclose(found.numpy(), wanted, rtol=1e-4, atol=1e-5)
    assert not net.training
    assert net.num_features == expected[-1].shape[1]
    for info, x_BCHW in zip(net.feature_info, maps, strict=True):
        assert x_BCHW.shape[1:] == (info["num_chs"], *(side_of(net) // info["reduction"],) * 2)
        assert isinstance(net.get_submodule(info["module"]), nn.Module)


def test_timm_understands_how_it_describes_itself():
    timm, net = import_timm(), backbone_of("inverted-32")
    features = import_module("timm.models").FeatureInfo(net.feature_info, (0, 1, 2))
    assert (features.channels(), features.reduction()) == ([16, 48, 96], [2, 4, 8])
    data = timm.data.resolve_model_data_config(net)
    assert (data["input_size"], data["mean"], data["std"]) == ((3, 32, 32), (0.5,) * 3, (0.25,) * 3)


def test_it_can_be_trained_further_and_saved_again(engine, tmp_path):
    net = hwsearch.load_backbone(engine).train()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    head = nn.Linear(net.num_features, 2)
    optimiser = torch.optim.SGD([*net.parameters(), *head.parameters()], lr=0.1)
    images, labels = images_for(net, 8), torch.arange(8) % 2
    for _ in range(2):
        optimiser.zero_grad()
        given = net(images)
        pooled = given if isinstance(given, Tensor) else given[-1].mean((2, 3))
        loss = nn.functional.cross_entropy(head(pooled), labels)
        loss.backward()
        optimiser.step()
    assert torch.isfinite(loss)
    after = net.state_dict()
    assert all(not torch.equal(after[name], before[name]) for name in before)
    hwsearch.export_hugging_face(net, tmp_path / "tuned")
    again = hwsearch.load_backbone(tmp_path / "tuned").state_dict()
    assert all(torch.equal(again[name], after[name]) for name in after)


def test_a_transformer_refuses_other_sides_and_a_resnet_takes_them():
    images = torch.randn(1, 3, 64, 64)
    assert backbone_of("basic-32")(images).shape == (1, 128)
    with pytest.raises(HwsearchError, match=r"64×64 pixels for a transformer of 32.*32×32"):
        backbone_of("vit-32")(images)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"space": "catalogue:../models"}, "it was a ready model"),
        ({"space": "bottleneck-33"}, "unknown space"),
        ({"space": "bottleneck-64"}, "image of 32 pixels for one of 64"),
        ({"space": "bottleneck-32@60000"}, "image of 32 pixels for one of 60000"),
        ({"subnet": {"self": 1}}, "does not name the dimensions"),
    ],
)
def test_a_false_manifest_is_refused(own, changes, message):
    path = own / "manifest.json"
    edit(path, **changes)
    path.write_text(manifest_text(json.loads(path.read_text())))  # not damage, but a lie
    with pytest.raises(HwsearchError, match=message):
        hwsearch.load_backbone(own)


def test_damaged_or_missing_weights_of_an_engine_are_refused(own):
    path = own / "weights.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(HwsearchError, match="does not match its hash"):
        hwsearch.load_backbone(own)
    path.unlink()
    with pytest.raises(HwsearchError, match="missing"):
        hwsearch.load_backbone(own)
    with pytest.raises(HwsearchError, match="no readable manifest"):
        hwsearch.load_backbone(own / "nowhere")
    for data in (b"[" * 100_000, b'{"schema": 5, "space": "\xff"}'):
        (own / "manifest.json").write_bytes(data)
        with pytest.raises(HwsearchError, match="malformed manifest"):
            hwsearch.load_backbone(own)


@torch.no_grad()
def test_a_classifier_stays_with_its_engine(made, tmp_path, monkeypatch):
    head = ClassifierHead(load_labelled("sklearn:digits", 32, limit=200))
    engine = assemble_engine(made, tmp_path, monkeypatch, "onnxruntime", head=head)[0]
    net = hwsearch.load_backbone(engine)
    about, prepared = net.default_cfg, prepare(PHOTOS[0], side_of(net))
    given = net(torch.from_numpy(normalise_array(prepared[None], about["mean"], about["std"])))
    with hwsearch.load(engine) as loaded:
        assert given.numpy() == pytest.approx(loaded(PHOTOS[0]), rel=1e-3, abs=1e-4)
