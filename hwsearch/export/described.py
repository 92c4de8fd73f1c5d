"""From what a folder says about a network, and its weights, to the network; nothing is believed."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor

from hwsearch.errors import HwsearchError
from hwsearch.nn.backbone import Backbone, Colour
from hwsearch.spaces import get_space
from hwsearch.subnet import Subnet, Value

MOST_PIXELS = 4096
"""Largest side of an image that a folder is believed."""

MOST_LETTERS = 1000
"""Longest name of a space that a folder is believed."""

_AGAIN = "Get the folder from its source again"


@dataclass(frozen=True)
class Description:
    """What a folder says about its network.

    Attributes:
        space: Name of its family.
        subnet: Value of each dimension.
        gives_maps: Whether it gives its feature maps instead of its embedding.
        side: Height and width of its image in pixels.
        mean: Subtracted from pixels that were scaled to 0 to 1.
        std: Divides the result.
        path: The file that says so.
    """

    space: str
    subnet: Mapping[str, Value]
    gives_maps: bool
    side: int
    mean: Colour
    std: Colour
    path: Path

    def build(self, weights: bytes, weights_path: Path) -> Backbone:
        """Builds the network, in evaluation mode and with all its parameters trainable.

        Args:
            weights: Content of a safetensors file.
            weights_path: Where it came from, for messages.

        Raises:
            HwsearchError: If there is no such network, or the weights are of another.
        """
        with torch.device("meta"):  # so that a false description costs no memory
            net = self._untrained()
        state = _read(weights, weights_path)
        _check_fit(state, net.state_dict(), weights_path)
        net.load_state_dict(state, assign=True)
        return net.eval()

    def _untrained(self) -> Backbone:
        space = self.space
        # Not catalogues, which are files, nor precisions, which are not the network's.
        if ":" in space or "~" in space or len(space) > MOST_LETTERS:
            raise self._refusal(f"no family is called {space[:80]!r}")
        if self.side > MOST_PIXELS:
            raise self._refusal(f"an image of {self.side} pixels is too large to be believed")
        family = get_space(space)
        if {*self.subnet} != {dim.name for dim in family.dims}:
            names = ", ".join(dim.name for dim in family.dims)
            raise self._refusal(f"the subnet does not name the dimensions of {space}: {names}")
        subnet: Subnet = family.subnet(**self.subnet)
        blocks = family.lower(subnet)
        if blocks[0].in_side != self.side:
            raise self._refusal(f"an image of {self.side} pixels for one of {blocks[0].in_side}")
        if self.gives_maps and not any(block.tap for block in blocks):
            raise self._refusal(f"networks of {space} show no feature maps")
        return Backbone(subnet, blocks, gives_maps=self.gives_maps, mean=self.mean, std=self.std)

    def _refusal(self, what: str) -> HwsearchError:
        return HwsearchError(what, where=self.path, fix=_AGAIN)


def _read(weights: bytes, path: Path) -> dict[str, Tensor]:
    try:
        return load(weights)
    except (SafetensorError, ValueError, KeyError) as cause:
        raise HwsearchError(
            f"these weights are truncated or damaged: {cause}", where=path, fix=_AGAIN
        ) from cause


def _check_fit(given: Mapping[str, Tensor], needed: Mapping[str, Tensor], path: Path) -> None:
    for name in (*needed, *given):
        found, wanted = (_described(state.get(name)) for state in (given, needed))
        if found != wanted:
            raise HwsearchError(
                f"these weights are of another network: {name!r} is {found} and should be {wanted}",
                where=path,
                fix=_AGAIN,
            )


def _described(tensor: Tensor | None) -> str:
    if tensor is None:
        return "missing"
    return f"{str(tensor.dtype).removeprefix('torch.')}{list(tensor.shape)}"
