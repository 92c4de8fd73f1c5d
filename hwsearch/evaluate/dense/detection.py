"""Detection: boxes as points with a size (CenterNet, arXiv 1904.07850), no anchors.

Shapes: B images of a batch, N all images, C classes, K = C + 4 outputs, G side of the head's map.
"""

import hashlib
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from hwsearch.distance.images import TargetImages
from hwsearch.evaluate.dense.coco import Boxes, BoxImages
from hwsearch.evaluate.dense.precision import BoxVerdict, Found, match

MOST = 100
"""Most boxes told an image, as COCO counts them."""

LEAST_SCORE = 0.01
"""Boxes below this are not told; they change no figure that matters, and would fill the disk."""

RARE = -2.19
"""What class outputs start with: one place in ten, as in the paper."""

SIZE_WEIGHT = 0.1 * 32
"""Weight of the loss of sizes, which are shares of the image here and not places of a map."""

FALL = 0.7
"""IoU that a box keeps which is displaced by three deviations of the hill around its middle."""


@dataclass(frozen=True, eq=False)
class Detection:
    """Focal loss of class maps, and the sizes and offsets at the middles of boxes.

    Attributes:
        images: Images with boxes.
    """

    images: BoxImages
    _hills: dict[tuple[int, int], np.ndarray] = field(default_factory=dict, repr=False)

    @property
    def target(self) -> TargetImages:
        """The images."""
        return self.images.target

    @property
    def fingerprint(self) -> str:
        """Names the images, their order and their boxes."""
        digest = hashlib.sha256(self.target.fingerprint.encode())
        for boxes in self.images.boxes:
            for part in (boxes.corners, boxes.classes, boxes.crowd):
                digest.update(np.ascontiguousarray(part).tobytes() + b"|")
        return digest.hexdigest()

    @property
    def bias(self) -> Tensor:
        """Starts from no boxes, of a tenth of the image."""
        classes = torch.full((len(self.images.classes),), RARE)
        return torch.cat([classes, torch.tensor([0.1, 0.1, 0.5, 0.5])])

    def loss(self, told_BKGG: Tensor, places: Tensor) -> Tensor:
        """Returns the focal loss plus the errors of sizes and offsets, a box."""
        classes, side = len(self.images.classes), told_BKGG.shape[-1]
        boxes = [self.images.boxes[place] for place in places.tolist()]
        hills = np.stack([self._hills_of(place, side) for place in places.tolist()])
        rows = [_middles(one, side, image) for image, one in enumerate(boxes)]
        at, wanted = (np.concatenate(parts) for parts in zip(*rows, strict=True))
        device, count = told_BKGG.device, max(1, len(at))
        focal = _focal(told_BKGG[:, :classes], torch.from_numpy(hills).to(device))
        image, y, x = torch.from_numpy(at).to(device).unbind(1)
        sizes = told_BKGG[image, classes:, y, x]
        error = (sizes - torch.from_numpy(wanted).to(device)).abs().sum(0)
        return (focal + SIZE_WEIGHT * error[:2].sum() + error[2:].sum()) / count

    def _hills_of(self, place: int, side: int) -> np.ndarray:
        """Returns the hills of one image, computed once for each size of map."""
        key = (place, side)
        if key not in self._hills:
            self._hills[key] = _hills(self.images.boxes[place], len(self.images.classes), side)
        return self._hills[key]

    def verdict(self, told_NKGG: np.ndarray) -> BoxVerdict:
        """Tells boxes and matches them with those that are there."""
        found = [self.found(torch.from_numpy(told_KGG)) for told_KGG in told_NKGG]
        return match(self.images.boxes, found, len(self.images.classes))

    def found(self, told_KGG: Tensor) -> Found:
        """Returns the boxes at the peaks of the class maps of one image, the best first."""
        classes, side = len(self.images.classes), told_KGG.shape[-1]
        heat_CGG = told_KGG[:classes].sigmoid()
        peaks_CGG = F.max_pool2d(heat_CGG[None], 3, stride=1, padding=1)[0] == heat_CGG
        scores, rows = (heat_CGG * peaks_CGG).flatten().sort(descending=True, stable=True)
        kept = scores[:MOST] >= LEAST_SCORE
        scores, rows = scores[:MOST][kept], rows[:MOST][kept]
        places = rows % side**2
        width, height, right, down = told_KGG[classes:].flatten(1)[:, places].clamp(0, 1)
        x, y = (places % side + right) / side, (places // side + down) / side
        corners = [x - width / 2, y - height / 2, x + width / 2, y + height / 2]
        labels = rows // side**2
        return Found(torch.stack(corners, 1).numpy(), labels.numpy(), scores.numpy())


def _focal(logits_BCGG: Tensor, hills_BCGG: Tensor) -> Tensor:
    """Focal loss (arXiv 1708.02002) that forgives places near a middle, summed."""
    likely, unlikely = F.logsigmoid(logits_BCGG), F.logsigmoid(-logits_BCGG)
    middle = hills_BCGG == 1
    there = unlikely.exp().square() * likely * middle
    nowhere = likely.exp().square() * unlikely * (1 - hills_BCGG) ** 4 * ~middle
    return -(there + nowhere).sum()


def _middles(boxes: Boxes, side: int, image: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns image, row and column of the middles, int64[n, 3], and width, height and offset."""
    corners = boxes.corners[~boxes.crowd]
    middle = (corners[:, :2] + corners[:, 2:]) / 2 * side
    cell = np.minimum(middle.astype(np.int64), side - 1)
    at = np.column_stack([np.full(len(cell), image), cell[:, 1], cell[:, 0]])
    wanted = np.concatenate([corners[:, 2:] - corners[:, :2], middle - cell], axis=1)
    return at, wanted.astype(np.float32)


def _hills(boxes: Boxes, classes: int, side: int) -> np.ndarray:
    """Returns maps that are 1 at middles and fall off as displaced boxes do, float32[C, G, G]."""
    hills = np.zeros((classes, side, side), dtype=np.float32)
    at, wanted = _middles(boxes, side, 0)
    labels, grid = boxes.classes[~boxes.crowd], np.arange(side)
    for (_, row, column), (width, height, *_), label in zip(at, wanted, labels, strict=True):
        # Displaced by d along one axis, a box of size s keeps an IoU of (s - d) / (s + d).
        reach = (1 - FALL) / (1 + FALL) * side
        deviations = np.maximum(np.array([height, width]) * reach / 3, 0.3)
        rise, run = (grid - row) / deviations[0], (grid - column) / deviations[1]
        hill = np.exp(-(rise[:, None] ** 2 + run[None] ** 2) / 2)
        hills[label] = np.maximum(hills[label], hill)
        hills[label, row, column] = 1
    return hills
