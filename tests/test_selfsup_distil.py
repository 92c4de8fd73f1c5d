"""External teachers: fed as they were trained, never touched, known by their weights."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from selfsup_steps import BATCH, TAUGHT, make_method, make_teacher, make_views, train_step
from tiny_space import NAME, TINY
from torch import nn

from hwsearch.checkpoint import load_run
from hwsearch.data.prepare import MEAN, STD
from hwsearch.errors import HwsearchError
from hwsearch.export.timm_package import import_timm
from hwsearch.nn.supernet import resized
from hwsearch.selfsup.distil import Distilled
from hwsearch.selfsup.external import ExternalTeacher
from hwsearch.train import TrainOptions, train
from hwsearch.train.teacher import open_teacher

every_taught = pytest.mark.parametrize("name", ["distil", *TAUGHT])
needs_timm = pytest.mark.skipif(
    importlib.util.find_spec("timm") is None, reason="timm is not installed"
)


def test_a_teacher_sees_images_of_its_own_side_and_normalisation():
    mean, std = (0.1, 0.2, 0.3), (0.5, 0.6, 0.7)
    teacher = ExternalTeacher(nn.Flatten(), side=4, mean=mean, std=std, origin="")
    pixels = torch.rand(2, 3, 8, 8)
    wide = [torch.tensor(value)[:, None, None] for value in (mean, std)]
    expected = (resized(pixels, 4) - wide[0]) / wide[1]
    torch.testing.assert_close(teacher((pixels - MEAN) / STD), expected.flatten(1))
    assert teacher.width == 48
    assert not teacher.train().training


@every_taught
def test_a_teacher_runs_once_a_step_and_stays_as_it_was(name):
    method, teacher, seen = make_method(name), make_teacher(), []
    method.follow(teacher)
    method.train()
    before = teacher.fingerprint()
    teacher.net.register_forward_hook(lambda *_: seen.append(teacher.net.training))
    for step in range(2):
        train_step(method, make_views(step), [TINY.maximum, TINY.minimum, TINY.minimum])
    assert seen == [False, False]
    assert teacher.fingerprint() == before
    held = {id(part) for part in method.modules()}
    assert id(teacher) not in held


@every_taught
def test_every_subnet_comes_closer_to_the_teacher(name):
    method, views, sizes = make_method(name), make_views(), [TINY.maximum, TINY.minimum]
    before = [distance(method, views, subnet) for subnet in sizes]
    for _ in range(10):
        train_step(method, views, sizes)
    after = [distance(method, views, subnet) for subnet in sizes]
    assert all(now < then for now, then in zip(after, before, strict=True))


@torch.no_grad()
def distance(method, views, subnet):
    """Returns what the teacher adds to the loss."""
    targets = method.targets(views)
    whole = method(views, targets, subnet)["loss"]
    if isinstance(method, Distilled):
        whole -= method.method(views, targets.method, subnet)["loss"]
    return float(whole)


def test_the_distance_is_weighted_and_added():
    losses = []
    for weight in (0.0, 1.0, 3.0):
        method, views = make_method("moco-v2+features", distil_weight=weight), make_views()
        losses.append(method(views, method.targets(views), TINY.minimum)["loss"])
    torch.testing.assert_close(losses[2] - losses[0], 3 * (losses[1] - losses[0]))
    assert losses[1] > losses[0]


FILE = """
import torch
SIDE = 6
def teacher():
    torch.manual_seed({seed})
    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(108, 5))
"""
RETURNS = """
import torch
class teacher(torch.nn.Module):
    def forward(self, x): return {}
"""


@pytest.fixture
def options(tmp_path: Path) -> TrainOptions:
    for number in range(24):
        pixels = np.random.default_rng(number).integers(0, 256, (8, 8, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
    (tmp_path / "own.py").write_text(FILE.format(seed=0))
    return TrainOptions(
        data=str(tmp_path),
        space=NAME,
        out=tmp_path / "run",
        method="distil",
        teacher=str(tmp_path / "own.py"),
        projection_hidden=16,
        epochs=1,
        batch=BATCH,
        amp="fp32",
        threads=1,
    )


def test_a_run_names_its_teacher_and_is_used_without_it(options, tmp_path):
    run = train(options)
    teacher = open_teacher(options.teacher, 8)
    (tmp_path / "own.py").unlink()
    found = load_run(run)
    assert found.header.recipe["teacher"] == teacher.fingerprint()
    assert found.embedder(TINY.minimum)(torch.randn(4, 3, 8, 8)).shape == (4, 5)


def test_a_run_does_not_go_on_with_another_teacher(options, tmp_path):
    train(options)
    (tmp_path / "own.py").write_text(FILE.format(seed=1))
    resumed = TrainOptions(**{**vars(options), "resume": True})
    with pytest.raises(HwsearchError, match=r"other options \(teacher: \w+, now \w+\)"):
        train(resumed)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("def teach(): pass", "the file makes no teacher"),
        ("def teacher(): return 3", "teacher() returns int, not a torch.nn.Module"),
        ("import nowhere", "file fails: ModuleNotFoundError: No module named 'nowhere'"),
        ("import torch\nteacher = torch.nn.Identity", "gives [2, 3, 8, 8] for 2 images"),
        ("import torch\nteacher = lambda: torch.nn.Linear(5, 5)", "takes no images of 8 pixels"),
        (RETURNS.format("{'last_hidden_state': x}"), "gives dict for 2 images"),
        (RETURNS.format("None"), "gives NoneType for 2 images"),
        (RETURNS.format("(x, None)"), "gives tuple for 2 images"),
        ("import torch\nMEAN = (0, 1)\nteacher = torch.nn.Flatten", "have 3 channels, not 2"),
    ],
)
def test_a_file_that_makes_no_teacher_is_refused(tmp_path, text, message):
    path = tmp_path / "own.py"
    path.write_text(text)
    with pytest.raises(HwsearchError) as caught:
        open_teacher(str(path), 8)
    assert message in str(caught.value)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"teacher": None}, "--method distil learns from a teacher. Give --teacher."),
        ({"method": "byol", "teacher": None, "distil": "features"}, "need a teacher"),
        ({"distil_weight": 2.0}, "--distil-weight means nothing to method 'distil'"),
        ({"method": "moco-v2", "distil_weight": -1.0}, "--distil-weight -1.0 is out of range"),
    ],
)
def test_options_without_a_meaning_are_refused(options, changes, message):
    with pytest.raises(HwsearchError) as caught:
        TrainOptions(**{**vars(options), **changes})
    assert message in str(caught.value)


def test_a_teacher_that_is_nowhere_is_refused():
    with pytest.raises(HwsearchError, match=r"names no Python file \(nowhere.onnx\)"):
        open_teacher("nowhere.onnx", 8)


@needs_timm
def test_networks_of_timm_come_with_local_weights(tmp_path, monkeypatch):
    net = import_timm().create_model("test_resnet", num_classes=0).eval()
    for value in net.parameters():
        nn.init.normal_(value, std=0.1)
    save_file(net.state_dict(), tmp_path / "model.safetensors")
    images = torch.randn(2, 3, 8, 8)
    teacher = open_teacher(f"timm:test_resnet@32={tmp_path}/model.safetensors", 8)
    mean, std = (torch.tensor(net.pretrained_cfg[key])[:, None, None] for key in ("mean", "std"))
    with torch.no_grad():
        expected = net((resized(images * STD + MEAN, 32) - mean) / std)
    torch.testing.assert_close(teacher(images), expected)
    assert teacher.width == net.num_features
    with pytest.raises(HwsearchError, match=r"no weights of 'test_resnet' .*timm:test_resnet=FILE"):
        open_teacher("timm:test_resnet", 8)
    snapshot = keep_in_cache(tmp_path / "model.safetensors", net.pretrained_cfg["hf_hub_id"])
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(snapshot))
    assert open_teacher("timm:test_resnet@32", 8).fingerprint() == teacher.fingerprint()


def keep_in_cache(weights: Path, repository: str) -> Path:
    """Lays weights down as huggingface_hub does, and returns its cache."""
    cache = weights.parent / "hub"
    folder = cache / f"models--{repository.replace('/', '--')}"
    (folder / "snapshots" / "abc").mkdir(parents=True)
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text("abc")
    (folder / "snapshots" / "abc" / "model.safetensors").write_bytes(weights.read_bytes())
    return cache
