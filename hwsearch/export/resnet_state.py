"""Networks of the ResNet families as the ResNets of timm and torchvision: state and call."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest
from typing import Literal, get_args

from torch import Tensor

from hwsearch.block import Block
from hwsearch.errors import HwsearchError, unknown_name
from hwsearch.nn.backbone import Backbone
from hwsearch.spaces.basic import BASIC
from hwsearch.spaces.bottleneck import BOTTLENECK

Library = Literal["timm", "torchvision"]

STEM_CHANNELS = 64
"""Of both libraries; no argument changes them."""

TORCHVISION_CHANNELS = (64, 128, 256, 512)
"""No argument changes them either; timm takes others."""

_CLASSES = {BASIC.kind: ("BasicBlock", BASIC), BOTTLENECK.kind: ("Bottleneck", BOTTLENECK)}
_FITTING = {
    "timm": "basic-224 with width1=64 and bottleneck-224 with stem=64",
    "torchvision": "basic-224 and bottleneck-224 with a stem of 64 channels and widths 64, 128, "
    "256 and 512",
}


@dataclass(frozen=True)
class ResNetArguments:
    """How a library builds a network.

    Attributes:
        library: "timm" or "torchvision".
        block: Class of its blocks, "BasicBlock" or "Bottleneck" of `timm.models.resnet` or
            `torchvision.models.resnet`.
        layers: Blocks a stage.
        channels: Width of each stage: an argument of timm's, fixed in torchvision's.
    """

    library: Library
    block: str
    layers: tuple[int, ...]
    channels: tuple[int, ...]

    def __str__(self) -> str:
        call = f"{self.library}.models.resnet.ResNet({self.block}, {list(self.layers)}"
        if self.library == "timm":
            call += f", channels={self.channels}, num_classes=0"
        return call + ")"


def resnet_arguments(backbone: Backbone, library: Library) -> ResNetArguments:
    """Returns what a library's `ResNet` must be called with to be this network.

    Both have a 7×7 stem of 64 channels and stride 2, a max-pooling, and four stages with strides
    1, 2, 2 and 2, where the 3×3 convolution strides and a 1×1 convolution projects the shortcut:
    as `basic-224` and `bottleneck-224` have them, at any input side.

    Raises:
        HwsearchError: If it is no ResNet, or the library's differs whatever it is called with.
    """
    if library not in get_args(Library):
        raise unknown_name("library", library, get_args(Library))
    ours = tuple(block for block in backbone.lowered if block.kind != "global-pool")
    stages = _stages(ours)
    kind = stages[0][0].kind.removesuffix("-projected") if stages else ""
    if kind not in _CLASSES or len(stages) != len(TORCHVISION_CHANNELS):
        raise _refusal(library, f"a network of {backbone.subnet.space} is no ResNet of four stages")
    name, residual = _CLASSES[kind]
    channels = tuple(stage[0].size("out") // residual.expansion for stage in stages)
    if library == "torchvision":
        channels = TORCHVISION_CHANNELS
    call = ResNetArguments(library, name, tuple(map(len, stages)), channels)
    for own, other in zip_longest(ours, _blocks(call)):
        if _words(own) != _words(other):
            what = f"this network differs from {library}'s ResNet: {own.slot if own else 'its end'}"
            raise _refusal(library, f"{what} is {_words(own)} and would be {_words(other)}")
    return call


def _stages(blocks: tuple[Block, ...]) -> list[list[Block]]:
    stages: list[list[Block]] = [[]]
    for block in blocks[1:]:
        stages[-1].append(block)
        if block.tap is not None:
            stages.append([])
    return [stage for stage in stages if stage]


def _blocks(call: ResNetArguments) -> Iterator[Block]:
    """Yields the blocks that a library builds, in our words; sides are left out."""
    (residual,) = (residual for name, residual in _CLASSES.values() if name == call.block)
    before = STEM_CHANNELS
    yield Block("stem-pool", (("in", 3), ("out", before)), 0, "stem", 7, 2)
    for stage, (depth, width) in enumerate(zip(call.layers, call.channels, strict=True), start=1):
        for index in range(depth):
            stride = 1 if stage == 1 or index else 2
            out = residual.expansion * width
            projected = stride != 1 or before != out
            kind = f"{residual.kind}-projected" if projected else residual.kind
            sizes = residual.sizes(before, width)
            yield Block(kind, sizes, 0, f"layer{stage}.{index}", kernel=3, stride=stride)
            before = out


def _words(block: Block | None) -> str:
    return block.key.rpartition("@")[0] if block else "nothing"


def _refusal(library: Library, what: str) -> HwsearchError:
    return HwsearchError(what, fix=f"These networks fit {library}: {_FITTING[library]}")


def as_resnet_state_dict(backbone: Backbone, library: Library = "timm") -> dict[str, Tensor]:
    """Returns a network's state by the names of timm's and torchvision's `ResNet`.

    It loads with `strict=True` where the library's network has no classifier: `num_classes=0` in
    timm, `net.fc = torch.nn.Identity()` in torchvision.

    Args:
        backbone: A network that `resnet_arguments` has a call for.
        library: Which `ResNet` it is for.

    Returns:
        The backbone's own tensors, such as "layer1.0.downsample.1.running_mean".

    Raises:
        HwsearchError: If the library cannot build such a network.
    """
    call, state, named = resnet_arguments(backbone, library), backbone.state_dict(), {}
    prefixes = ["", *(b.slot + "." for b in _blocks(call) if b.slot != "stem")]
    for position, prefix in enumerate(prefixes):
        own = f"blocks.{position}."
        for name in [name for name in state if name.startswith(own)]:
            layer, part, tensor = name.removeprefix(own).split(".")
            named[f"{prefix}{_module(layer, part)}.{tensor}"] = state[name]
    return named


def _module(layer: str, part: str) -> str:
    """Returns the libraries' name of one of our modules, such as "bn2" for the norm of "conv2"."""
    if layer == "shortcut":
        return f"downsample.{0 if part == 'conv' else 1}"
    number = layer.removeprefix("conv") or "1"  # our stem's only convolution has no number
    return f"conv{number}" if part == "conv" else f"bn{number}"
