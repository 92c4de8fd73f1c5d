"""What whole networks take as they ship: many at once, with head and preprocessing."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from math import prod

import numpy as np

from hwsearch.block import Block
from hwsearch.heads import Camera, Extra, Head
from hwsearch.kinds import block_peaks, cost_of
from hwsearch.space import Part, Space, Values

_NOTHING = Part("nothing", (), lambda values: ())


@dataclass(frozen=True)
class Shipped:
    """The networks of a space with what ships around them.

    Attributes:
        space: The networks.
        extras: At most one head and one camera.
    """

    space: Space
    extras: tuple[Extra, ...] = ()

    def added(self, count: Callable[[Block], float]) -> Callable[[np.ndarray], np.ndarray]:
        """Sums something over the blocks that are added to networks.

        Args:
            count: Of one block, such as its milliseconds.

        Returns:
            From codes int[N, D] to float[N].
        """
        parts = (*self._before, *self._after) or (_NOTHING,)
        return replace(self.space, parts=parts).total(lambda blocks: float(sum(map(count, blocks))))

    @cached_property
    def whole(self) -> Space:
        """The networks as they ship, for counting: dense heads do not say which block feeds them.

        Its `peak_elements` knows of no feature level that waits for a head; see below.
        """
        last = self.space.parts[-1]
        if self._dense:
            last = replace(last, lower=lambda values: self.space.parts[-1].lower(values)[:-1])
        body = (*self.space.parts[:-1], last)
        return replace(self.space, parts=(*self._before, *body, *self._after))

    @cached_property
    def peak_elements(self) -> Callable[[np.ndarray], np.ndarray]:
        """Most elements of feature maps alive at once, for one image, int[N] from codes int[N, D].

        Feature levels wait from where they end until their head has run.
        """
        levels = {level for head in self._dense for level in self._levels(head)}
        gathered = self.whole.tabulate(lambda blocks: _holding(blocks, levels), _in_a_row)
        return lambda codes: gathered(codes)[:, :2].max(axis=1)

    @property
    def _dense(self) -> tuple[Head, ...]:
        heads = (extra for extra in self.extras if isinstance(extra, Head))
        return tuple(head for head in heads if head.task != "classifier")

    @cached_property
    def _before(self) -> tuple[Part, ...]:
        first = self.space.parts[0]
        cameras = [extra for extra in self.extras if isinstance(extra, Camera)]
        return tuple(
            Part(
                "camera",
                first.dims,
                lambda values, at=camera: (at.block_before(_first(first, values)),),
            )
            for camera in cameras
        )

    @cached_property
    def _after(self) -> tuple[Part, ...]:
        heads = [extra for extra in self.extras if isinstance(extra, Head)]
        return tuple(self._on(part, head) for head in heads for part in self._feeding(head))

    def _feeding(self, head: Head) -> list[Part]:
        """Returns the parts that end in what a head reads, in order."""
        levels = self._levels(head)
        return [
            part
            for part in self.space.parts
            if _read(next(self.space.combinations(part)), head, levels)
        ]

    def _levels(self, head: Head) -> list[int]:
        return head.levels(self.space.lower(self.space.maximum))

    def _on(self, part: Part, head: Head) -> Part:
        """Builds the part of a head that is on top of another part."""
        first, levels = self.space.parts[0], self._levels(head)
        sides = {block.in_side for block, *_ in self.space.combinations(first)}
        dims = part.dims if len(sides) == 1 else tuple(dict.fromkeys((*part.dims, *first.dims)))

        def lower(values: Values) -> tuple[Block, ...]:
            side = sides.copy().pop() if len(sides) == 1 else _first(first, values).in_side
            found = _read(part.lower(values), head, levels)
            return tuple(head.block_on(block, side) for block in found)

        return Part(f"head-{part.name}", dims, lower)


def _first(part: Part, values: Values) -> Block:
    return part.lower(values)[0]


def _read(blocks: tuple[Block, ...], head: Head, levels: list[int]) -> list[Block]:
    """Returns those of a part's blocks that a head reads."""
    if head.task == "classifier":
        return [replace(block, output="") for block in blocks if block.output]
    return [block for block in blocks if block.tap in levels]


def _holding(blocks: tuple[Block, ...], levels: set[int]) -> np.ndarray:
    """What a run of blocks holds in memory, int[4].

    They are: the peak of its first block, which may have read the level before; the peak of all
    others; by how much more is waiting afterwards; and how much of that the next block reads.
    """
    if not blocks:
        return np.zeros(4, dtype=int)
    if blocks[0].kind in ("detection-level", "segmentation"):
        level = prod(blocks[0].in_shape)
        return np.array([0, cost_of(blocks[0]).peak_elements - level, -level, 0])
    peaks = block_peaks(blocks)
    kept = [prod(cost_of(block).out_shape) for block in blocks if block.tap in levels]
    last = kept[-1] if blocks[-1].tap in levels else 0
    return np.array([peaks[0], max(peaks[1:], default=0), sum(kept), last])


def _in_a_row(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Joins runs of blocks, int[N, 4] each; peaks meet what waits from before."""
    waiting, read = before[:, 2], before[:, 3]
    first, rest = after[:, 0] + waiting - read, after[:, 1] + waiting
    peak = np.maximum(before[:, :2].max(axis=1), np.maximum(first, rest))
    return np.column_stack([peak, np.zeros_like(peak), waiting + after[:, 2], after[:, 3]])
