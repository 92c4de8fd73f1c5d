"""What ships around a network: its head and its preprocessing, as blocks like any other."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal, get_args

from hwsearch.block import Block
from hwsearch.errors import HwsearchError, unknown_name
from hwsearch.kinds import cost_of
from hwsearch.space import Space

Task = Literal["classifier", "detection", "segmentation"]

CAMERA = "camera"

WIDTH = 64
"""Channels inside the heads for detection and segmentation."""

LEVELS = 3
"""Coarsest feature levels that detection looks at."""

BOX_OUTPUTS = 5
"""Beside the classes: distances to the four sides of the box, and how central the place is."""


@dataclass(frozen=True)
class Camera:
    """A camera's square uint8 frames, scaled to the network's input side and normalised.

    Scaling is bilinear without antialiasing, as every runtime offers it.

    Attributes:
        side: Height and width of a frame in pixels.
    """

    side: int

    def block_before(self, first: Block) -> Block:
        """Returns the preprocessing for a network that starts with a block."""
        to = (("side", first.in_side),)
        sizes = (("in", 3), ("out", 3))
        return Block("preprocess", sizes, self.side, "preprocess", settings=to)

    def blocks_of(self, space: Space) -> dict[str, Block]:
        """Returns every preprocessing block of a space, by key."""
        firsts = (first for first, *_ in space.combinations(space.parts[0]))
        found = (self.block_before(first) for first in firsts)
        return {block.key: block for block in found}

    def around(self, blocks: tuple[Block, ...]) -> tuple[Block, ...]:
        """Puts preprocessing before a lowered network."""
        return (self.block_before(blocks[0]), *blocks)


@dataclass(frozen=True)
class Head:
    """A linear classifier on the embedding, or a small convolutional head on feature levels.

    Detection has an anchor-free head a level (as in arXiv 1904.01355, one convolution deep);
    segmentation scores the coarsest level and enlarges it to the size of the image.

    Attributes:
        task: What the head is for.
        classes: Number of classes.
    """

    task: Task
    classes: int

    def block_on(self, feeding: Block, image_side: int) -> Block:
        """Returns the head's block on top of one block of a network.

        Args:
            feeding: Ends a feature level, or gives the embedding.
            image_side: Side of the network's input in pixels.
        """
        channels, side, _ = cost_of(feeding).out_shape
        sizes, name = (("in", channels), ("inner", WIDTH)), f"head{feeding.tap or ''}"
        match self.task:
            case "classifier":
                sizes = (("in", channels), ("out", self.classes))
                return Block("classifier", sizes, side, name, output="scores")
            case "detection":
                sizes += (("out", self.classes + BOX_OUTPUTS),)
                output = f"boxes{feeding.tap}"
                return Block("detection-level", sizes, side, name, kernel=3, output=output)
            case "segmentation":
                sizes += (("out", self.classes),)
                to = (("side", image_side),)
                return Block(
                    "segmentation", sizes, side, name, kernel=3, settings=to, output="classes"
                )

    def blocks_of(self, space: Space) -> dict[str, Block]:
        """Returns every block that the head has on some network of a space, by key."""
        levels = self.levels(space.lower(space.maximum))
        sides = {first.in_side for first, *_ in space.combinations(space.parts[0])}
        feeding = {
            (block.tap, cost_of(block).out_shape): block
            for part in space.parts
            for blocks in space.combinations(part)
            for block in blocks
            if (block.output if self.task == "classifier" else block.tap in levels)
        }
        found = (self.block_on(block, side) for block in feeding.values() for side in sides)
        return {block.key: block for block in found}

    def around(self, blocks: tuple[Block, ...]) -> tuple[Block, ...]:
        """Replaces the embedding of a lowered network by the head.

        Raises:
            HwsearchError: If the network shows no feature levels and the head needs them.
        """
        image_side = blocks[0].in_side
        if self.task == "classifier":
            pooled = replace(blocks[-1], output="")
            return (*blocks[:-1], pooled, self.block_on(pooled, image_side))
        body, levels = blocks[:-1], self.levels(blocks)
        places = [place for place, block in enumerate(body) if block.tap in levels]
        ends = [
            replace(self.block_on(body[place], image_side), inputs=(place - len(body) - number,))
            for number, place in enumerate(places)
        ]
        return (*body, *ends)

    def levels(self, blocks: tuple[Block, ...]) -> list[int]:
        """Returns the levels that the head reads of a lowered network, fine to coarse.

        Raises:
            HwsearchError: If the network shows none and the head needs them.
        """
        levels = sorted({block.tap for block in blocks if block.tap is not None})
        if not levels and self.task != "classifier":
            raise HwsearchError(
                f"a {self.task} head needs feature levels, which these networks do not show",
                fix="Use a classifier head",
            )
        return levels[-LEVELS:] if self.task == "detection" else levels[-1:]


Extra = Head | Camera

CALL = Block("global-pool", (("in", 8), ("out", 8)), 1, "call")
"""A block of next to nothing: what every call takes, and is not to be counted twice."""


def is_extra(key: str) -> bool:
    """Returns whether a block is a head, preprocessing or the empty call they are less of."""
    kinds = ("preprocess", "classifier", "detection-level", "segmentation")
    return key == CALL.key or key.partition("(")[0] in kinds


def parse_extra(text: str) -> Extra:
    """Reads "classifier:1000", "detection:80", "segmentation:21" or "camera:480".

    Raises:
        HwsearchError: If the name is unknown, or what follows is no number above 0.
    """
    name, _, number = text.partition(":")
    known = (*get_args(Task), CAMERA)
    if name not in known:
        raise unknown_name("head or preprocessing", name, known)
    if not number.isdecimal() or not int(number):
        raise HwsearchError(
            f"cannot read '{text}'",
            fix="Write the number of classes of a head, such as classifier:1000, or the side of "
            "a camera's frame in pixels, such as camera:480",
        )
    if name == CAMERA:
        return Camera(int(number))
    return Head(next(task for task in get_args(Task) if task == name), int(number))


def parse_ships(texts: Iterable[str]) -> tuple[Extra, ...]:
    """Reads what ships around a network: at most one head and one camera.

    Raises:
        HwsearchError: If there is more, or one cannot be read.
    """
    extras = tuple(map(parse_extra, texts))
    if len({type(extra) for extra in extras}) < len(extras):
        raise HwsearchError(
            f"--ships names more than one head or camera: {' '.join(texts)}",
            fix="Name at most one head and one camera",
        )
    return extras


def added_blocks(blocks: tuple[Block, ...], extras: tuple[Extra, ...]) -> tuple[Block, ...]:
    """Returns the blocks that extras put around a lowered network.

    Raises:
        HwsearchError: If a head does not fit the network.
    """
    own = {block.key for block in blocks}
    around = (block for extra in extras for block in extra.around(blocks))
    return tuple(block for block in around if block.key not in own)
