"""Ranking of networks for a task, and how sure it is: by a bootstrap over the task's images.

Shapes: N images, or kinds of images of which each says the same, C networks, R draws of images.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.stats import binom

from hwsearch.evaluate.verdict import bootstrap_weights

DRAWS = 2000
_TAIL = 2.5
"""Percent beyond each end of an interval."""


@dataclass(frozen=True, eq=False)
class Scores:
    """What each image says for each network.

    Attributes:
        each_NC: Larger is better, such as whether the network tells the image's class.
        seed: Of the draws.
        counts_N: How many images there are of each kind; 1 by default.
    """

    each_NC: np.ndarray
    seed: int = 0
    counts_N: np.ndarray | None = None

    @property
    def means_C(self) -> np.ndarray:
        """Score of each network."""
        return np.average(self.each_NC, axis=0, weights=self.counts_N)

    @cached_property
    def _weights_RN(self) -> np.ndarray:
        """How often each image is drawn; or how many of each kind."""
        if self.counts_N is None:
            return bootstrap_weights(len(self.each_NC), DRAWS, self.seed)
        total, rng = self.counts_N.sum(), np.random.default_rng(self.seed)
        return rng.multinomial(total, self.counts_N / total, size=DRAWS)

    @cached_property
    def drawn_RC(self) -> np.ndarray:
        """Scores when as many images as there are are drawn with return."""
        return self._weights_RN @ self.each_NC / self._weights_RN[0].sum()

    @property
    def intervals_2C(self) -> np.ndarray:
        """Ends of the 95 % interval of each score."""
        return np.percentile(self.drawn_RC, (_TAIL, 100 - _TAIL), axis=0)

    @property
    def best_C(self) -> np.ndarray:
        """How often each network is the best when images are drawn again, 0 to 1.

        Networks that are equally good share.
        """
        best_RC = self.drawn_RC >= self.drawn_RC.max(axis=1, keepdims=True)
        return (best_RC / best_RC.sum(axis=1, keepdims=True)).mean(axis=0)

    def of_choice(self, control: int) -> tuple[float, float]:
        """Tells what choosing the best is worth on images that did not choose.

        The best score of many is too good by chance. Here the best network of each draw is told
        by the images which that draw has left out. Images must be told one by one.

        Args:
            control: One network that is told by the same images.

        Returns:
            Score of the choice, and that of the control.
        """
        assert self.counts_N is None
        left_RN = self._weights_RN == 0
        usable_R = left_RN.any(axis=1)
        left_RN = left_RN[usable_R].astype(float)
        chosen_R = self.drawn_RC[usable_R].argmax(axis=1)
        told_RC = left_RN @ self.each_NC / left_RN.sum(axis=1, keepdims=True)
        choice = told_RC[np.arange(len(told_RC)), chosen_R].mean()
        return float(choice), float(told_RC[:, control].mean())


def is_above_chance(sizes_C: np.ndarray) -> bool:
    """Tells whether the fullest leaf has more images than dealing them at random would give it.

    Args:
        sizes_C: Images of each leaf. The more leaves there are, the fuller the fullest is by
            chance.
    """
    by_chance = binom.sf(sizes_C.max() - 1, sizes_C.sum(), 1 / len(sizes_C))
    return bool(by_chance < _TAIL / 100 / len(sizes_C))
