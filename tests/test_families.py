"""Families: networks that others know are among them, to the parameter and to the number."""

import importlib.util
import os
import subprocess
import sys

import pytest
import readme
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from hwsearch.errors import HwsearchError
from hwsearch.export.timm_package import import_timm
from hwsearch.kinds import cost_of, total_macs, total_params
from hwsearch.nn import StaticNet
from hwsearch.space import Subnet
from hwsearch.spaces import get_space


def named(space: str, **runs: tuple[int, ...]) -> Subnet:
    """Names a subnet; width=(16, 24) stands for width1=16, width2=24."""
    known = {dim.name for dim in get_space(space).dims}
    values = {
        name if name in known else f"{name}{at}": value
        for name, run in runs.items()
        for at, value in enumerate(run, start=1 if f"{name}1" in known else 2)
    }
    return get_space(space).subnet(**values)


BOTTLENECKS = {"stem": (64,), "width": (64, 128, 256, 512)}
GAP = {"class_token": False, "global_pool": "avg", "fc_norm": False}
KNOWN = {
    "resnet18": (named("basic-224", width=(64, 128, 256, 512), depth=(2, 2, 2, 2)), {}),
    "resnet34": (named("basic-224", width=(64, 128, 256, 512), depth=(3, 4, 6, 3)), {}),
    "resnet50": (named("bottleneck-224", **BOTTLENECKS, depth=(3, 4, 6, 3)), {}),
    "resnet101": (named("bottleneck-224", **BOTTLENECKS, depth=(3, 4, 23, 3)), {}),
    "mobilenetv2_100": (
        named(
            "inverted-224",
            stem=(32,),
            width=(16, 24, 32, 64, 96, 160, 320),
            depth=(2, 3, 4, 3, 3, 1),
            expansion=(6,) * 6,
            kernel=(3,) * 6,
            head=(1280,),
        ),
        {},
    ),
    "vit_small_patch16_224": (
        named("vit-224", width=(384,), depth=(4, 4, 4), heads=(6, 6, 6), ratio=(4, 4, 4)),
        GAP,
    ),
}
"""Networks of timm without their classifiers: ours, and what timm must be told."""

known_network = pytest.mark.parametrize("name", KNOWN)


def timm_network(name: str, options: dict[str, object]) -> nn.Module:
    """Returns a network of timm without its classifier, untrained; skips where timm is absent."""
    if not importlib.util.find_spec("timm"):
        pytest.skip("timm is not installed")
    return import_timm().create_model(name, num_classes=0, **options).eval()


@known_network
def test_known_networks_have_their_macs_and_parameters(name: str):
    subnet, options = KNOWN[name]
    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        theirs = timm_network(name, options)
        theirs(torch.empty(1, 3, 224, 224))
    blocks = get_space(subnet.space).lower(subnet)
    assert 2 * total_macs(blocks) == counter.get_total_flops()
    assert total_params(blocks) == sum(value.numel() for value in theirs.parameters())


@known_network
@torch.no_grad()
def test_known_networks_compute_the_same_with_the_same_weights(name: str):
    subnet, options = KNOWN[name]
    torch.manual_seed(0)
    theirs = lively(timm_network(name, options))
    ours = StaticNet(get_space(subnet.space).lower(subnet)).eval()
    for mine, value in zip(ours.state_dict().values(), in_our_order(theirs), strict=True):
        mine.copy_(value.view_as(mine))
    images = torch.randn(1, 3, 224, 224)
    expected, embedding = theirs(images), ours(images).embedding
    assert expected.std() > 0.01
    assert (embedding - expected).abs().max() <= 1e-5 * expected.abs().max()


def lively(net: nn.Module) -> nn.Module:
    """Makes every norm and bias count: many start at one or zero."""
    for name, value in net.state_dict().items():
        if value.dim() == 1:
            nn.init.uniform_(value, *((-0.1, 0.1) if name.endswith(("bias", "mean")) else (0.5, 1)))
    return net


def in_our_order(theirs: nn.Module) -> list[Tensor]:
    """Lists a state: positions after the patches, queries, keys and values each by itself."""
    state, values = theirs.state_dict(), []
    for name, value in state.items():
        if name == "patch_embed.proj.bias":
            values += [value, state["pos_embed"]]
        elif name.endswith("qkv.weight"):
            biases = state[name.replace("weight", "bias")].chunk(3)
            values += [part for pair in zip(value.chunk(3), biases, strict=True) for part in pair]
        elif name != "pos_embed" and not name.endswith("qkv.bias"):
            values.append(value)
    return values


@pytest.mark.parametrize(
    ("space", "strides"),
    [
        ("basic-224", [4, 8, 16, 32]),
        ("bottleneck-224", [4, 8, 16, 32]),
        ("inverted-224", [2, 4, 8, 16, 32]),
        ("vit-224", [16, 16, 16]),
    ],
)
def test_levels_end_where_the_resolution_does(space: str, strides: list[int]):
    for subnet in (get_space(space).minimum, get_space(space).maximum):
        levels = [block for block in get_space(space).lower(subnet) if block.tap]
        assert [block.tap for block in levels] == list(range(1, len(strides) + 1))
        assert [224 // cost_of(block).out_shape[1] for block in levels] == strides


@pytest.mark.parametrize(
    ("space", "text", "message"),
    [
        ("inverted-32", "kernel2=4", "unknown kernel2 '4'"),
        ("inverted-32", "expansion2=7", "Use 1 to 6"),
        ("inverted-32", "depth1=1", "no dimension depth1"),
        ("inverted-32", "depth2=0", "depth2=0 is not possible"),
        ("vit-32", "depth1=0", "depth1=0 is not possible"),
        ("vit-32", "heads3=5", "Use 1 to 4"),
    ],
)
def test_values_that_no_network_has_are_refused(space: str, text: str, message: str):
    with pytest.raises(HwsearchError, match=message):
        get_space(space).parse(text)


@pytest.mark.parametrize(
    ("space", "text"),
    [("basic-32", "width1=17"), ("inverted-32", "width2=13"), ("vit-32", "width=40")],
)
def test_values_off_the_grid_have_blocks_but_no_code(space: str, text: str):
    subnet = get_space(space).parse(text)
    assert get_space(space).lower(subnet)
    with pytest.raises(HwsearchError, match=f"{text} is off the grid"):
        get_space(space).encode(subnet)


@pytest.mark.parametrize(
    ("space", "message"),
    [
        ("inverted-224@8", "stage 4 cannot halve a 1×1 map"),
        ("vit-224@100", "patches of 16 pixels do not fill .* such as 112"),
        ("vit-32@30+32", "patches of 4 pixels do not fill"),
    ],
)
def test_sides_that_a_family_cannot_take_are_refused(space: str, message: str):
    with pytest.raises(HwsearchError, match=message):
        get_space(space)


OWN = """
import torch
from hwsearch.nn import Supernet
from hwsearch.spaces import get_space

space = get_space("plain-32@24+32")
net, images = Supernet(space, residual_scale=1.0), torch.randn(4, *space.input_shape)
for text in ("max", "min", "side=32,width1=20,depth3=1"):
    subnet = space.parse(text)
    size = (space.input_side(subnet),) * 2
    scaled = torch.nn.functional.interpolate(images, size, mode="bilinear", antialias=True)
    torch.testing.assert_close(net(images, subnet), net.extract(subnet)(scaled))
"""


def hwsearch(*words: str, files: str) -> subprocess.CompletedProcess[str]:
    """Runs Python with files of own families."""
    return subprocess.run(
        [sys.executable, "-W", "error", *words],
        cwd=readme.ROOT,
        env=os.environ | {"HWSEARCH_SPACES": files},
        capture_output=True,
        text=True,
        check=False,
    )


def test_an_own_family_has_a_supernet_that_equals_its_networks():
    done = hwsearch("-c", OWN, files=readme.OWN_FAMILY)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (readme.OWN_FAMILY, "unknown space 'plain-33'. Did you mean plain-32"),
        ("none.py", "there is no such file (none.py). Correct the variable HWSEARCH_SPACES"),
        (f"{readme.OWN_FAMILY}:{readme.OWN_FAMILY}", "there are two block kinds 'plain'"),
    ],
)
def test_mistakes_with_own_families_are_told_in_one_line(files: str, message: str):
    words = ("-m", "hwsearch", "profile", "--space", "plain-33", "--runtime", "onnxruntime")
    done = hwsearch(*words, files=files)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert message in done.stderr
