"""The control variate: what each choice adds to the loss, learned as the gates learn.

Shapes: D dimensions, M most choices of one, N networks, C choices of all dimensions (D · M).
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from hwsearch.learn.gates import Gates, chosen

KEPT = 0.98
"""Share of what is known that a step keeps: the weights change, and the losses with them."""
RIDGE = 1.0
"""Networks' worth of doubt that a choice matters."""


@dataclass
class AdditiveLoss:
    """A sum of one value a choice, fitted to how losses of one batch differ.

    Drawing a few networks tells the gradient of the gates without bias, but with much noise. The
    mean of an additive function is known exactly, so that only the rest has to be drawn: as long
    as the function was fitted to earlier batches, that is without bias too, whatever it says.

    Attributes:
        moments: Weighted sums of products of choices, float64[C, C].
        products: The same of choices and losses, float64[C].
        spread: Largest running standard deviation of losses within a batch; None before the first.
    """

    moments: np.ndarray
    products: np.ndarray
    spread: float | None = None
    _variance: float = field(default=0.0)
    _weight: float = field(default=0.0)

    @classmethod
    def empty(cls, gates: Gates) -> "AdditiveLoss":
        """Knows nothing."""
        count = gates.alpha_DM.size
        return cls(np.zeros((count, count)), np.zeros(count))

    def values(self, gates: Gates) -> np.ndarray:
        """Returns what each choice adds, float64[D, M]."""
        count = len(self.products)
        found = np.linalg.solve(self.moments + RIDGE * np.eye(count), self.products)
        return found.reshape(gates.alpha_DM.shape)

    def gradient(self, gates: Gates, codes: np.ndarray, losses: np.ndarray) -> np.ndarray:
        """Estimates the gradient of the mean loss by the logits [D, M].

        Args:
            gates: What networks are drawn from.
            codes: Networks int[N, D] that were drawn, N ≥ 2.
            losses: Of one batch that this knows nothing of, float[N].
        """
        values_DM = self.values(gates)
        told = values_DM[np.arange(codes.shape[1]), codes].sum(1)
        return gates.mean_gradient(values_DM) + gates.score_gradient(codes, losses - told)

    def learn(self, codes: np.ndarray, losses: np.ndarray) -> None:
        """Takes up the losses float[N] of networks int[N, D] on one batch."""
        most = len(self.products) // codes.shape[1]
        rows_NC = chosen(codes, most).reshape(len(codes), -1)
        rows_NC, losses = rows_NC - rows_NC.mean(0), losses - losses.mean()
        self.moments = KEPT * self.moments + rows_NC.T @ rows_NC
        self.products = KEPT * self.products + rows_NC.T @ losses
        self._weight = KEPT * self._weight + 1
        self._variance = KEPT * self._variance + float(losses @ losses) / (len(losses) - 1)
        self.spread = max(self.spread or 0.0, (self._variance / self._weight) ** 0.5)

    def state(self) -> dict[str, Any]:
        """Returns all of it, fit for JSON."""
        return {
            "moments": self.moments.tolist(),
            "products": self.products.tolist(),
            "spread": self.spread,
            "variance": self._variance,
            "weight": self._weight,
        }

    @classmethod
    def of_state(cls, state: dict[str, Any]) -> "AdditiveLoss":
        """Undoes `state`."""
        return cls(
            np.array(state["moments"]),
            np.array(state["products"]),
            state["spread"],
            state["variance"],
            state["weight"],
        )
