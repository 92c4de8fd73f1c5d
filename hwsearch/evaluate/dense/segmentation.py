"""Segmentation: the class of each pixel, judged by the mean intersection over union.

Shapes: B images of a batch, N all images, C classes, G side of the head's map, S of the labels.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from hwsearch.distance.images import TargetImages
from hwsearch.evaluate.dense.masks import IGNORED, MaskImages
from hwsearch.evaluate.verdict import Verdict, from_text, to_text

_CHUNK = 32


@dataclass(frozen=True, eq=False)
class MaskVerdict(Verdict):
    """How well a network tells the classes of pixels.

    Attributes:
        both_NC: Pixels of a class that were told to be, int32[N, C].
        either_NC: Pixels that are of a class, or were told to be, int32[N, C].
    """

    both_NC: np.ndarray
    either_NC: np.ndarray
    kind = "masks"
    measures = ("miou",)

    def __len__(self) -> int:
        """Returns how many images were judged."""
        return len(self.both_NC)

    def scores(self, measure: str, weights_RN: np.ndarray) -> np.ndarray:
        """Returns the mean over classes of intersection over union of all pixels, float[R]."""
        assert measure in self.measures
        both_RC, either_RC = (
            weights_RN.astype(np.float64) @ counts for counts in (self.both_NC, self.either_NC)
        )
        share_RC = np.where(either_RC > 0, both_RC / np.maximum(either_RC, 1), np.nan)
        return np.nanmean(share_RC, axis=1)

    def packed(self) -> dict[str, Any]:
        """Returns it as JSON."""
        both, either = (to_text(x.astype("<i4")) for x in (self.both_NC, self.either_NC))
        return {"images": len(self), "both": both, "either": either}

    @classmethod
    def unpacked(cls, told: Mapping[str, Any]) -> "MaskVerdict":
        """Returns what was packed."""
        both, either = (
            from_text(told[name], np.dtype("<i4")).reshape(told["images"], -1)
            for name in ("both", "either")
        )
        return cls(both, either)


@dataclass(frozen=True, eq=False)
class Segmentation:
    """Cross-entropy of pixels at the labels' size; see `DenseTask`.

    Attributes:
        images: Images with the class of each pixel.
    """

    images: MaskImages

    @property
    def target(self) -> TargetImages:
        """The images."""
        return self.images.target

    @property
    def fingerprint(self) -> str:
        """Names the images, their order and their labels."""
        told = hashlib.sha256(self.images.masks.tobytes()).hexdigest()
        return hashlib.sha256(f"{self.target.fingerprint}|{told}".encode()).hexdigest()

    @property
    def bias(self) -> Tensor:
        """Starts from equal classes."""
        return torch.zeros(len(self.images.classes))

    @cached_property
    def _masks(self) -> Tensor:
        return torch.from_numpy(self.images.masks)

    def loss(self, told_BKGG: Tensor, places: Tensor) -> Tensor:
        """Returns the cross-entropy of all pixels with a class."""
        masks_BSS = self._masks[places].long().to(told_BKGG.device)
        logits_BKSS = _enlarged(told_BKGG, masks_BSS.shape[-1])
        known = (masks_BSS != IGNORED).sum().clamp(min=1)
        total = F.cross_entropy(logits_BKSS, masks_BSS, ignore_index=IGNORED, reduction="sum")
        return total / known

    def verdict(self, told_NKGG: np.ndarray) -> MaskVerdict:
        """Counts pixels of each class, image by image."""
        masks_NSS, classes = self.images.masks, len(self.images.classes)
        both = np.zeros((len(masks_NSS), classes), dtype=np.int32)
        either = np.zeros_like(both)
        for start in range(0, len(masks_NSS), _CHUNK):
            logits = torch.from_numpy(told_NKGG[start : start + _CHUNK])
            found = _enlarged(logits, masks_NSS.shape[-1]).argmax(1).numpy()
            for place, told_SS in enumerate(found, start):
                counted = masks_NSS[place] != IGNORED
                truth, told = masks_NSS[place][counted], told_SS[counted]
                both[place] = np.bincount(truth[truth == told], minlength=classes)
                either[place] = np.bincount(truth, minlength=classes) - both[place]
                either[place] += np.bincount(told, minlength=classes)
        return MaskVerdict(both, either)


def _enlarged(maps_BKGG: Tensor, side: int) -> Tensor:
    return F.interpolate(maps_BKGG, (side, side), mode="bilinear", align_corners=False)
