"""How strongly training images are augmented; needs no torch."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from hwsearch.errors import HwsearchError

_FLAGS = {"crop_scale": "--crop-min to --crop-max", "grey_share": "--grey", "blur_share": "--blur"}


@dataclass(frozen=True)
class AugmentOptions:
    """How much two views of one image may differ."""

    crop_scale: tuple[float, float] = (0.2, 1.0)
    """Smallest and largest share of the image's area in a crop; above 1 its edge is repeated."""
    crop_shift: float = 0.0
    """How far a crop may reach over the image's edge, as a share of half its side."""
    crop_follow: bool = False
    """Place crops around what differs from the ground; for small objects on a plain ground."""
    crop_ratio: tuple[float, float] = (3 / 4, 4 / 3)
    """Smallest and largest width of a crop over its height."""
    jitter: tuple[float, float, float, float] = (0.4, 0.4, 0.4, 0.1)
    """Largest change of brightness, contrast, saturation (relative) and hue (turns)."""
    jitter_share: float = 0.8
    """Share of views whose colours are jittered."""
    grey_share: float = 0.2
    """Share of views without colour."""
    blur_share: float = 0.5
    """Share of views that are blurred."""
    blur_sigma: tuple[float, float] = (0.1, 2.0)
    """Smallest and largest blur, in pixels of a view 224 pixels wide."""
    flip_share: float = 0.5
    """Share of views mirrored left to right; 0 where left and right matter, as for digits."""

    def __post_init__(self) -> None:
        for name in ("jitter_share", "grey_share", "blur_share", "flip_share"):
            share = getattr(self, name)
            if not 0 <= share <= 1:
                raise HwsearchError(f"{_flag(name)} {share} is not a share", fix="Use 0 to 1")
        for name in ("crop_scale", "crop_ratio", "blur_sigma"):
            low, high = getattr(self, name)
            if not 0 < low <= high:
                raise HwsearchError(
                    f"{_flag(name)} {low} {high} is not a range", fix="Use 0 < low <= high"
                )
        if self.crop_shift < 0:
            raise HwsearchError(f"--crop-shift {self.crop_shift} is negative", fix="Use 0 or more")
        if min(self.jitter) < 0 or max(self.jitter[:3]) > 1 or self.jitter[3] > 0.5:
            raise HwsearchError(
                f"--jitter {self.jitter} is out of range",
                fix="Use 0 to 1 for brightness, contrast and saturation, 0 to 0.5 for hue",
            )

    @classmethod
    def of_flags(cls, told: Mapping[str, Any]) -> "AugmentOptions":
        """Returns what the flags of `hwsearch train` say; the defaults if they say nothing.

        Raises:
            HwsearchError: If a strength is out of range.
        """
        if "crop_min" not in told:
            return cls()
        jitter = told["jitter"]
        return cls(
            crop_scale=(told["crop_min"], told["crop_max"]),
            crop_shift=told["crop_shift"],
            crop_follow=told["crop_follow"],
            flip_share=0.5 if told["flip"] else 0.0,
            jitter=(jitter, jitter, jitter, told["jitter_hue"]),
            grey_share=told["grey"],
            blur_share=told["blur"],
        )

    def weak(self) -> "AugmentOptions":
        """Returns the same crops and flips with colours and sharpness left alone."""
        return replace(self, jitter=(0.0, 0.0, 0.0, 0.0), grey_share=0.0, blur_share=0.0)


def _flag(field: str) -> str:
    return _FLAGS.get(field, field)
