"""Networks of the ResNet families in timm's and torchvision's own ResNet, and when they are not."""

from importlib import import_module
from typing import Any

import pytest
import torch
from backbones import backbone_of, images_for
from lightly_oracle import define_torchvision_operators
from torch import nn

import hwsearch
from hwsearch.errors import HwsearchError
from hwsearch.export.timm_package import import_timm


def resnet_of(library: str) -> Any:
    """Returns the module of a library that holds its ResNet."""
    if library == "timm":
        import_timm()
    else:
        define_torchvision_operators()
    return import_module(f"{library}.models.resnet")


RESNETS = {
    "timm": [
        ("basic-224@64", "width2=72,width3=40,width4=96,depth1=1,depth2=3,depth3=2,depth4=2"),
        ("bottleneck-224@64", "width1=48,width2=64,width3=20,width4=96,depth1=1,depth3=6"),
    ],
    "torchvision": [
        ("basic-224@64", "depth1=1,depth2=3,depth3=2,depth4=2"),
        ("bottleneck-224@64", "width1=64,width2=128,width3=256,width4=512,depth1=2,depth3=6"),
    ],
}


@pytest.mark.parametrize(
    ("library", "space", "network"), [(name, *net) for name in RESNETS for net in RESNETS[name]]
)
@pytest.mark.parametrize("gives_maps", [False, True])
@torch.no_grad()
def test_resnets_load_into_the_libraries_own(library, space, network, gives_maps):
    net, theirs = backbone_of(space, network, gives_maps=gives_maps), resnet_of(library)
    call = hwsearch.resnet_arguments(net, library)
    if library == "timm":
        other = theirs.ResNet(
            getattr(theirs, call.block), call.layers, channels=call.channels, num_classes=0
        )
    else:
        other = theirs.ResNet(getattr(theirs, call.block), list(call.layers))
        other.fc = nn.Identity()
    other.load_state_dict(hwsearch.as_resnet_state_dict(net, library), strict=True)
    other.eval()
    images = images_for(net)
    maps, x = [], other.maxpool(torch.relu(other.bn1(other.conv1(images))))
    for stage in (other.layer1, other.layer2, other.layer3, other.layer4):
        maps.append(x := stage(x))
    expected = maps if gives_maps else [other(images)]
    given = net(images)
    for found, wanted in zip(given if gives_maps else [given], expected, strict=True):
        assert wanted.std() > 0.01
        assert (found - wanted).abs().max() <= 1e-5 * wanted.abs().max()


@pytest.mark.parametrize(("space", "network"), RESNETS["timm"])
@torch.no_grad()
def test_timm_loads_a_folder_by_itself(space, network, tmp_path):
    net = backbone_of(space, network)
    out = hwsearch.export_hugging_face(net, tmp_path / "out", library="timm")
    timm, images = import_timm(), images_for(net)
    whole = timm.create_model(f"local-dir:{out}", pretrained=True).eval()
    maps = timm.create_model(f"local-dir:{out}", pretrained=True, features_only=True).eval()
    torch.testing.assert_close(whole(images), net(images), rtol=1e-5, atol=1e-5)
    for found, wanted in zip(maps(images)[1:], net.forward_features(images), strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-5)
    data = timm.data.resolve_model_data_config(whole)
    assert (data["input_size"], data["mean"]) == ([3, 64, 64], [0.5, 0.5, 0.5])
    assert whole.num_features == net.num_features
    with pytest.raises(HwsearchError, match=r"not of hwsearch.*timm\.create_model"):
        hwsearch.load_backbone(out)


@pytest.mark.parametrize(
    ("library", "space", "network", "message"),
    [
        ("timm", "bottleneck-32", "max", r"stem is stem\(in=3,out=16,k=3,s=1\)"),
        ("timm", "bottleneck-224", "stem=48", "stem is .*out=48.* would be .*out=64"),
        ("timm", "basic-224", "width1=48", "stem is .*out=48.*basic-224 with width1=64"),
        ("timm", "bottleneck-224", "width1=16", "stage1.0 is bottleneck-projected.* bottleneck"),
        ("torchvision", "bottleneck-224", "max", "stage1.0 is .*inner=80.* would be .*inner=64"),
        ("torchvision", "basic-224", "width4=384", "stage4.0 is .*out=384.* would be .*out=512"),
        ("timm", "inverted-32", "min", "inverted-32 is no ResNet of four stages"),
        ("torchvision", "vit-32", "min", "vit-32 is no ResNet of four stages"),
        ("keras", "basic-224", "max", "unknown library 'keras'"),
    ],
)
def test_networks_that_a_library_does_not_have_are_refused(library: Any, space, network, message):
    with torch.device("meta"):
        net = backbone_of(space, network)
    for ask in (hwsearch.resnet_arguments, hwsearch.as_resnet_state_dict):
        with pytest.raises(HwsearchError, match=message):
            ask(net, library)
