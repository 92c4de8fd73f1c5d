"""What a manifest says of an engine, part by part: how it is called, and what was found."""

from typing import Annotated

import msgspec
import numpy as np

from hwsearch.data.prepare import normalise_array
from hwsearch.kit.parity import OutputError

HEAD_OUTPUTS = ("scores", "boxes")
"""Names of what heads give; the other outputs are the network's features."""

Count = Annotated[int, msgspec.Meta(ge=1, le=1 << 16)]
"""A manifest from elsewhere may say anything: what cannot be is refused when it is read."""

Side = Annotated[int, msgspec.Meta(ge=1, le=1 << 13)]
Above0 = Annotated[float, msgspec.Meta(gt=0)]
Sizes = Annotated[tuple[Annotated[int, msgspec.Meta(ge=1)], ...], msgspec.Meta(min_length=1)]


class Input(msgspec.Struct, frozen=True):
    """How an image becomes the engine's input.

    Attributes:
        name: Name of the input.
        side: Height and width in pixels, after resizing the shorter side and centre cropping.
        mean: Subtracted from values scaled to 0–1, for red, green and blue.
        std: Divides the result, likewise.
        batch: Images a call.
        any_batch: Whether it takes any number of images a call; `batch` was measured.
        raw: Whether it takes the cut and scaled image as it is, uint8[batch, side, side, 3], and
            normalises it itself, instead of float32[batch, 3, side, side].
    """

    name: str
    side: Side
    mean: tuple[float, float, float]
    std: tuple[Above0, Above0, Above0]
    batch: Count
    any_batch: bool = False
    raw: bool = False


def input_of(takes: Input, images: np.ndarray) -> np.ndarray:
    """Returns cut and scaled images, uint8[N, S, S, 3], as an engine takes them."""
    return images if takes.raw else normalise_array(images, takes.mean, takes.std)


class Output(msgspec.Struct, frozen=True):
    """One output of the engine, float32[batch, *shape].

    Attributes:
        name: "embedding", "scores" of classes, or "stage1" and so on for feature maps, fine to
            coarse; "scores" and "boxes" as `Dense` says; of a ready model as its file has it.
        shape: For one image: channels, and height and width if it is a map.
    """

    name: str
    shape: Sizes


class Latency(msgspec.Struct, frozen=True):
    """Milliseconds a call of the engine, and what its product adds to them.

    Attributes:
        predicted_ms: What was expected.
        low_ms: Lower end of its 90 % interval.
        high_ms: Upper end.
        measured_ms: Of this engine.
        measured_stderr_rel: Relative standard error of that between passes.
        flags: Marks of the measurement: "noisy", "throttled" or "budget" (its time ended before
            it had settled).
        limit_ms: The budget that it was picked for, or None.
        around_ms: What ships around the engine and is no part of it, as predicted: it counts for
            the budget.
    """

    predicted_ms: float
    low_ms: float
    high_ms: float
    measured_ms: float
    measured_stderr_rel: float
    flags: tuple[str, ...]
    limit_ms: float | None
    around_ms: float = 0.0

    @property
    def taken(self) -> str:
        """What it took as measured, and what ships around it."""
        around = f" and {self.around_ms:.3f} ms around it" if self.around_ms else ""
        return f"{self.measured_ms:.3f} ms{around}"


class Parity(msgspec.Struct, frozen=True):
    """Engine against the float network on real images.

    Attributes:
        images: How many.
        reference: What computed the float network, such as "torch".
        tolerance: Largest relative error that was accepted.
        outputs: By name of the output.
    """

    images: int
    reference: str
    tolerance: float
    outputs: Annotated[dict[str, OutputError], msgspec.Meta(min_length=1)]

    @property
    def relative_error(self) -> float:
        """Of the output that is furthest off."""
        return max(error.relative for error in self.outputs.values())


class Classifier(msgspec.Struct, frozen=True):
    """What the engine's output "scores" tells.

    Attributes:
        classes: Names, in the order of the scores.
        accuracy: Share of the labelled images whose class a linear classifier on the engine's
            embedding tells that has learned from the others (5 folds).
        low: Lower end of its 95 % interval over images.
        high: Upper end.
        images: How many; all of them taught the delivered classifier.
        images_fingerprint: Names them and their labels.
    """

    classes: tuple[str, ...]
    accuracy: float
    low: float
    high: float
    images: int
    images_fingerprint: str


class Dense(msgspec.Struct, frozen=True):
    """What the engine's further outputs tell, by a head that has learned from labelled images.

    For detection "scores" [C, G, G] is how likely a box of a class has its middle at a place of a
    grid, and "boxes" [4, G, G] are the left, top, right and bottom of the box there, as shares of
    the input's side: boxes are where a score is the largest of the 3 x 3 places around. For
    segmentation "scores" [C, side, side] are logits: a pixel's class is that of the largest.

    Attributes:
        task: "detection" or "segmentation".
        classes: Names, in the order of the scores.
        measure: "ap", COCO's average precision over overlaps of .5 to .95, or "miou", the mean
            over classes of intersection over union.
        quality: That of heads on the engine's own feature maps, each image by a head that has
            learned from the others (5 folds).
        low: Lower end of its 95 % interval over images.
        high: Upper end.
        images: How many; all of them taught the delivered head.
        images_fingerprint: Names them and their labels.
    """

    task: str
    classes: tuple[str, ...]
    measure: str
    quality: float
    low: float
    high: float
    images: int
    images_fingerprint: str


class Distance(msgspec.Struct, frozen=True):
    """Teacher distance of the network and of the engine itself, on the same images.

    `searched` is what the search found: of the network as it would compute in the engine's
    precision; `float_net` is that of the float network. `weights` tells which these are: "online"
    or "ema" of a checkpoint; of a ready model "random", or what else its catalogue says of them,
    or "file". `stand_in` tells what computed `engine`, and what the classifier was judged by, where
    the engine was built on a device without the images: a runtime, from the same file. It is empty
    if the engine itself did.
    """

    searched: float
    float_net: float
    engine: float
    images: int
    images_fingerprint: str
    weights: str
    stand_in: str = ""


class InPrecision(msgspec.Struct, frozen=True):
    """The network as an engine in one precision, one of those that were compared.

    All of them were measured in one process, on the scale of the first one's table. One that cannot
    be delivered says why, and has no figures.

    Attributes:
        precision: Numbers it computes in.
        latency_ms: Milliseconds a call.
        low_ms: Lower end of the 90 % interval of what another process would measure.
        high_ms: Upper end.
        ratio: Its latency over the first one's.
        distance: The engine's own teacher distance.
        refused: Why it cannot be delivered, or empty.
    """

    precision: str
    latency_ms: float | None
    low_ms: float | None
    high_ms: float | None
    ratio: float | None
    distance: float | None
    refused: str = ""
