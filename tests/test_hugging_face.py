"""Folders for the Hugging Face hub: they come back, and false or hostile ones are refused."""

from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import huggingface_hub
import pytest
import torch
from backbones import backbone_of, edit, images_for
from full_disk import files_limited_to
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

import hwsearch
from hwsearch.errors import HwsearchError


def write_half(folder: Path) -> None:
    """Leaves what a killed export of an earlier version would."""
    folder.mkdir()
    (folder / "half.safetensors").touch()


@pytest.mark.parametrize("gives_maps", [False, True])
@pytest.mark.parametrize("space", ["basic-32", "bottleneck-32@32+48", "inverted-32", "vit-32"])
@torch.no_grad()
def test_a_hugging_face_folder_comes_back(space, gives_maps, tmp_path):
    write_half(tmp_path / "out.partial")
    net = backbone_of(space, "min", gives_maps=gives_maps)
    out = hwsearch.export_hugging_face(net, tmp_path / "out")
    assert sorted(path.name for path in out.iterdir()) == ["config.json", "model.safetensors"]
    back, images = hwsearch.load_backbone(out), images_for(net)
    for found, wanted in zip(back(images), net(images), strict=True):
        assert torch.equal(found, wanted)
    assert (back.subnet, back.feature_info) == (net.subnet, net.feature_info)
    assert back.default_cfg == net.default_cfg
    with safe_open(out / "model.safetensors", "pt") as file:
        assert file.metadata() == {"format": "pt"}
    other = backbone_of(space, "min", gives_maps=gives_maps).requires_grad_(False)
    for value in other.parameters():
        value.zero_()
    huggingface_hub.load_torch_model(other, out, strict=True, safe=True)
    assert all(map(torch.equal, other.parameters(), net.parameters()))


def test_no_folder_is_written_over_or_left_half(tmp_path):
    net = backbone_of("basic-32", "min")
    with pytest.raises(HwsearchError, match="the output folder exists"):
        hwsearch.export_hugging_face(net, tmp_path)
    with pytest.raises(HwsearchError, match="differs from timm's ResNet"):
        hwsearch.export_hugging_face(net, tmp_path / "out", library="timm")
    assert not list(tmp_path.iterdir())
    (tmp_path / "file").touch()
    with pytest.raises(HwsearchError, match=r"cannot write: File exists.*file\)"):
        hwsearch.export_hugging_face(net, tmp_path / "file" / "out")
    with files_limited_to(20_000), pytest.raises(HwsearchError, match="cannot write"):
        hwsearch.export_hugging_face(net, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def rename(state: dict[str, Tensor]) -> None:
    state["blocks.0.conv.conv.bias"] = state.pop("blocks.0.conv.norm.bias")


def reshape(state: dict[str, Tensor]) -> None:
    state["blocks.0.conv.conv.weight"] = state["blocks.0.conv.conv.weight"][:, :, 1:].contiguous()


def recast(state: dict[str, Tensor]) -> None:
    state["blocks.0.conv.conv.weight"] = state["blocks.0.conv.conv.weight"].half()


def add(state: dict[str, Tensor]) -> None:
    state["os.system"] = torch.zeros(1)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (rename, "'blocks.0.conv.norm.bias' is missing and should be float32"),
        (reshape, r"float32\[16, 3, 2, 3\] and should be float32\[16, 3, 3, 3\]"),
        (recast, r"float16\[16, 3, 3, 3\] and should be float32"),
        (add, r"'os.system' is float32\[1\] and should be missing"),
    ],
)
def test_weights_of_another_network_are_refused(
    spoil: Callable[[dict[str, Tensor]], None], message, tmp_path
):
    out = hwsearch.export_hugging_face(backbone_of("basic-32", "min"), tmp_path / "out")
    state = load_file(out / "model.safetensors")
    spoil(state)
    save_file(state, out / "model.safetensors")
    with pytest.raises(HwsearchError, match=r"does not match its hash in config\.json"):
        hwsearch.load_backbone(out)
    edit(out / "config.json", weights_sha256=hash_of(out))
    with pytest.raises(HwsearchError, match=message):
        hwsearch.load_backbone(out)


def hash_of(folder: Path) -> str:
    return sha256((folder / "model.safetensors").read_bytes()).hexdigest()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"auto_map": {"AutoModel": "evil.Model"}}, "malformed.*auto_map"),
        ({"space": "catalogue:/etc"}, "no family is called 'catalogue:/etc'"),
        ({"space": "../../basic-32"}, "unknown space"),
        ({"space": "basic-32@" + "9" * 5000}, "no family is called"),
        ({"space": "vit-32@100000", "image_size": 100000}, "100000 pixels is too large"),
        ({"space": "basic-32" + "~fp32" * 1000}, "no family is called"),
        ({"subnet": {"self": 1}}, "subnet does not name the dimensions"),
        ({"subnet": "max"}, "malformed"),
        ({"image_size": -1}, "image of -1 pixels for one of 32"),
        ({"image_mean": [0.5]}, "malformed"),
        ({"num_features": 7}, "not true of its network"),
        ({"feature_info": []}, "not true of its network"),
        ({"architectures": ["Other"]}, "not true of its network"),
        ({"model_type": "resnet"}, "not of hwsearch"),
    ],
)
def test_a_false_config_is_refused(changes, message, tmp_path):
    out = hwsearch.export_hugging_face(backbone_of("basic-32", "min"), tmp_path / "out")
    edit(out / "config.json", **changes)
    with pytest.raises(HwsearchError, match=message):
        hwsearch.load_backbone(out)


@pytest.mark.parametrize("data", [b"", b"[]", b"[" * 100_000, b'{"model_type": "\xff"}', b"\0"])
def test_a_config_that_is_none_is_refused(data, tmp_path):
    (tmp_path / "config.json").write_bytes(data)
    with pytest.raises(HwsearchError, match=r"malformed config\.json"):
        hwsearch.load_backbone(tmp_path)


def test_a_false_side_costs_no_memory(tmp_path):
    out = hwsearch.export_hugging_face(backbone_of("vit-32", "max"), tmp_path / "out")
    edit(out / "config.json", space="vit-32@4096", image_size=4096)
    with pytest.raises(
        HwsearchError, match=r"float32\[64, 80\] and should be float32\[1048576, 80\]"
    ):
        hwsearch.load_backbone(out)


def test_pickles_are_never_read(tmp_path):
    out = hwsearch.export_hugging_face(backbone_of("basic-32", "min"), tmp_path / "out")
    state = load_file(out / "model.safetensors")
    (out / "model.safetensors").unlink()
    torch.save(state, out / "pytorch_model.bin")
    with pytest.raises(HwsearchError, match=r"weights cannot be read.*model\.safetensors"):
        hwsearch.load_backbone(out)
    (out / "pytorch_model.bin").rename(out / "model.safetensors")
    edit(out / "config.json", weights_sha256=hash_of(out))
    with pytest.raises(HwsearchError, match="truncated or damaged"):
        hwsearch.load_backbone(out)
