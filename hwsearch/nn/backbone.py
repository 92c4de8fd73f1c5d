"""A network as users of PyTorch take it: its embedding, its maps, and what it wants of images."""

from typing import Any

from torch import Tensor, nn

from hwsearch.block import Block
from hwsearch.errors import HwsearchError
from hwsearch.kinds import cost_of, layers_of
from hwsearch.layers import MaxPool
from hwsearch.nn.features import Features, run_blocks
from hwsearch.nn.static import StaticNet
from hwsearch.subnet import Subnet

Colour = tuple[float, float, float]
"""A number for red, green and blue."""


class Backbone(nn.Module):
    """A network of a family, for transfer to other tasks.

    A call gives what an engine of it gives: the embedding [B, E], or, for a dense task, a list of
    the feature maps, fine to coarse. The tensors of its state have the names that they have in an
    engine's `weights.safetensors`.

    Args:
        subnet: Which network it is.
        blocks: Result of `Space.lower`; weights are freshly initialised.
        gives_maps: Whether a call gives the maps; what follows the last of them is then left out.
        mean: Subtracted from pixels that were scaled to 0 to 1.
        std: Divides the result.

    Attributes:
        num_features: Channels of the embedding, or of the last map where a call gives maps.
        feature_info: Of each map, in order: its channels (num_chs), the pixels of the image per
            place of the map (reduction), and the name of the module that it comes from, as timm
            has them.
        default_cfg: The image that it was chosen for, in the words of timm.
    """

    def __init__(
        self,
        subnet: Subnet,
        blocks: tuple[Block, ...],
        *,
        gives_maps: bool,
        mean: Colour,
        std: Colour,
    ) -> None:
        super().__init__()
        ends = [at for at, block in enumerate(blocks) if block.tap is not None]
        self._end = ends[-1] + 1 if ends else 0
        self.lowered = blocks[: self._end] if gives_maps else blocks
        self.subnet, self.gives_maps = subnet, gives_maps
        self.blocks = StaticNet(self.lowered).blocks
        self.num_features = cost_of(self.lowered[-1]).out_shape[0]
        self.feature_info = _feature_info(self.lowered)
        self._side = blocks[0].in_side
        # Tokens are laid out for one side; convolutions take any.
        self._one_side = any(layer.takes == "tokens" for b in blocks for layer in layers_of(b))
        self.default_cfg: dict[str, Any] = {
            "input_size": (3, self._side, self._side),
            "fixed_input_size": self._one_side,
            "interpolation": "bilinear",
            "crop_pct": 1.0,
            "mean": mean,
            "std": std,
            "num_classes": 0,
        }

    @property
    def pretrained_cfg(self) -> dict[str, Any]:
        """What `timm.data.resolve_model_data_config` reads."""
        return self.default_cfg

    def forward(self, images_BCHW: Tensor) -> Tensor | list[Tensor]:
        """Computes the embedding, [B, E], or the maps where an engine gives those.

        Args:
            images_BCHW: Normalised images. Convolutional networks take other sides than their own.

        Raises:
            HwsearchError: If a transformer is given images of another side.
        """
        if self.gives_maps:
            return self.forward_features(images_BCHW)
        return self._run(self.lowered, images_BCHW).embedding

    def forward_features(self, images_BCHW: Tensor) -> list[Tensor]:
        """Computes the feature maps alone, each [B, C, H, W], fine to coarse.

        Raises:
            HwsearchError: If a transformer is given images of another side.
        """
        return list(self._run(self.lowered[: self._end], images_BCHW).levels)

    def _run(self, blocks: tuple[Block, ...], images_BCHW: Tensor) -> Features:
        height, width = images_BCHW.shape[-2:]
        if self._one_side and not height == width == self._side:
            raise HwsearchError(
                f"images of {width}×{height} pixels for a transformer of {self._side}",
                fix=f"Scale them to {self._side}×{self._side}",
            )
        return run_blocks(
            blocks, images_BCHW, lambda place, _, *inputs: self.blocks[place](*inputs)
        )


def _feature_info(blocks: tuple[Block, ...]) -> list[dict[str, Any]]:
    """Describes the maps as timm does."""
    reduction, found = 1, []
    for position, block in enumerate(blocks):
        pools = sum(isinstance(layer, MaxPool) for layer in layers_of(block))
        reduction *= block.stride * 2**pools
        if block.tap is not None:
            channels, module = cost_of(block).out_shape[0], f"blocks.{position}"
            found.append({"num_chs": channels, "reduction": reduction, "module": module})
    return found
