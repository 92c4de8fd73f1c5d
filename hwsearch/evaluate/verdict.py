"""Verdicts: what a judge says of one network, image by image, so that images can be drawn again.

Shapes: N images, R sets of weights, S networks.
"""

import base64
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from hwsearch.errors import HwsearchError

LOWER_IS_BETTER = frozenset({"log_loss"})
"""Measures of which a smaller value is better."""


class Verdict(ABC):
    """What one network makes of N images.

    Attributes:
        kind: Names the class in a journal.
        measures: Names of the figures that can be told, the most telling one first.
    """

    kind: ClassVar[str]
    measures: ClassVar[tuple[str, ...]]

    @abstractmethod
    def __len__(self) -> int:
        """Returns how many images were judged."""

    @abstractmethod
    def scores(self, measure: str, weights_RN: np.ndarray) -> np.ndarray:
        """Returns a figure of the images, for each set of weights that they are given, float[R].

        Args:
            measure: One of `measures`.
            weights_RN: How often each image is counted, each row with a sum above 0.
        """

    @abstractmethod
    def packed(self) -> dict[str, Any]:
        """Returns it as JSON that `unpacked` takes."""

    @classmethod
    @abstractmethod
    def unpacked(cls, told: Mapping[str, Any]) -> "Verdict":
        """Returns what was packed."""

    def score(self, measure: str) -> float:
        """Returns a figure of all images."""
        return float(self.scores(measure, np.ones((1, len(self))))[0])


@dataclass(frozen=True, eq=False)
class ClassVerdict(Verdict):
    """How well a network tells the classes of images.

    Attributes:
        correct_N: Whether the class of an image was told, bool[N].
        log_loss_N: Minus the logarithm of the probability that its class was given, float32[N].
    """

    correct_N: np.ndarray
    log_loss_N: np.ndarray
    kind = "classes"
    measures = ("log_loss", "accuracy")

    @classmethod
    def of(cls, log_probabilities_NC: np.ndarray, labels: np.ndarray) -> "ClassVerdict":
        """Judges the logarithms of class probabilities.

        Raises:
            HwsearchError: If one is no number.
        """
        log_loss_N = -log_probabilities_NC[np.arange(len(labels)), labels]
        if not np.isfinite(log_loss_N).all():
            raise HwsearchError(
                "a judge gave a probability that is no number",
                fix="Check the checkpoint, or use a smaller --lr",
            )
        return cls(log_probabilities_NC.argmax(1) == labels, log_loss_N.astype(np.float32))

    def __len__(self) -> int:
        """Returns how many images were judged."""
        return len(self.correct_N)

    def scores(self, measure: str, weights_RN: np.ndarray) -> np.ndarray:
        """Returns the accuracy, 0 to 1, or the mean log-loss in nats, float[R]."""
        kind = np.result_type(weights_RN, np.float32)
        return weights_RN @ self.each(measure).astype(kind) / weights_RN.sum(1)

    def each(self, measure: str) -> np.ndarray:
        """Returns what a measure is the mean of: whether each was told, or its log-loss, [N]."""
        return {"accuracy": self.correct_N, "log_loss": self.log_loss_N}[measure]

    def packed(self) -> dict[str, Any]:
        """Returns it as JSON: a bit and a float32 for each image."""
        return {
            "images": len(self),
            "correct": to_text(np.packbits(self.correct_N)),
            "log_loss": to_text(self.log_loss_N.astype("<f4")),
        }

    @classmethod
    def unpacked(cls, told: Mapping[str, Any]) -> "ClassVerdict":
        """Returns what was packed."""
        bits = np.unpackbits(from_text(told["correct"], np.uint8), count=told["images"])
        return cls(bits.astype(bool), from_text(told["log_loss"], np.dtype("<f4")))


def values(
    verdicts: Sequence[Sequence[Verdict]], measure: str, weights_RN: np.ndarray
) -> np.ndarray:
    """Returns how good networks are for each set of weights, higher is better, float[R, S].

    Args:
        verdicts: Of each network, one a seed.
        measure: One of their measures.
        weights_RN: How often each image is counted.
    """
    sign = -1 if measure in LOWER_IS_BETTER else 1
    found = [np.mean([one.scores(measure, weights_RN) for one in told], 0) for told in verdicts]
    return sign * np.stack(found, axis=1)


def to_text(numbers: np.ndarray) -> str:
    """Writes numbers as text that JSON holds."""
    return base64.b64encode(numbers.tobytes()).decode()


def from_text(text: str, kind: Any) -> np.ndarray:  # noqa: ANN401 - whatever numpy takes
    """Reads what `to_text` has written, as one row."""
    return np.frombuffer(base64.b64decode(text), dtype=kind)


def bootstrap_weights(images: int, draws: int, seed: int) -> np.ndarray:
    """Returns how often each image is drawn when as many as there are are drawn with return.

    Returns:
        float32[draws, images]; equal seeds draw the same images for every network.
    """
    rng = np.random.default_rng(seed)
    drawn = rng.multinomial(images, np.full(images, 1 / images), size=draws)
    return drawn.astype(np.float32)


def whole_and_drawn(images: int, draws: int, seed: int) -> np.ndarray:
    """Returns every image once, then `bootstrap_weights`, float32[1 + draws, images]."""
    return np.concatenate([np.ones((1, images), "f4"), bootstrap_weights(images, draws, seed)])
