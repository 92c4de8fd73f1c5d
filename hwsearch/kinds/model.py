"""Ready networks, each in one file: one block whose cost was read from the file."""

from dataclasses import dataclass
from typing import ClassVar

from hwsearch.block import Block, Shape
from hwsearch.kinds.registry import register_kind
from hwsearch.layers import INPUT, Layer, Layout, Stage, Weights


@dataclass(frozen=True)
class Whole(Layer):
    """A ready network in a file of its own, which alone knows what is inside."""

    takes: ClassVar[Layout | None] = "map"

    def out_shape(self, block: Block, source: Shape) -> Shape:  # noqa: D102
        return (block.size("out"), 1, 1)

    def weights(self, block: Block, source: Shape) -> Weights:  # noqa: D102
        return {"weight": (block.setting("params"),)}

    def stages(self, block: Block, source: Shape) -> tuple[Stage, ...]:
        """Tells the most that the file's graph holds at once."""
        return (Stage((), block.setting("peak")),)

    def macs(self, block: Block, source: Shape) -> int:  # noqa: D102
        return block.setting("macs")


@register_kind("model")
def _model(block: Block) -> tuple[Layer, ...]:
    return (Whole("whole", INPUT),)
