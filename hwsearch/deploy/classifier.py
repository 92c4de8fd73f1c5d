"""A linear classifier on top of a delivered network, learned from labelled images.

Shapes: N labelled images, E features, C classes.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from hwsearch.deploy.manifest import Classifier, Input
from hwsearch.deploy.originals import inputs_of
from hwsearch.distance.base import Outputs
from hwsearch.evaluate.folds import FOLDS
from hwsearch.evaluate.heads import cross_fit
from hwsearch.evaluate.labelled import LabelledImages
from hwsearch.evaluate.linear import LinearClassifier, fit_linear, linear_head
from hwsearch.evaluate.verdict import bootstrap_weights
from hwsearch.heads import Head
from hwsearch.kinds import layers_of
from hwsearch.nn import StaticNet

_DRAWS = 1000


@dataclass(frozen=True, eq=False)
class ClassifierHead:
    """What a network is given that is to tell classes.

    Attributes:
        images: What the classifier learns from.
    """

    images: LabelledImages

    def on(self, net: StaticNet) -> StaticNet:
        """Returns a copy of a calibrated network whose outputs are its embedding and scores."""
        return with_scores(net, fit_linear(self._features(net), self.images.labels))

    @torch.no_grad()
    def _features(self, net: StaticNet) -> np.ndarray:
        inputs = map(torch.from_numpy, self.images.target.inputs(net.lowered[0].in_side))
        return torch.cat([net(x_BCHW).embedding for x_BCHW in inputs]).numpy().astype(np.float64)

    def judge(self, run: Callable[[np.ndarray], Outputs], takes: Input) -> Classifier:
        """Judges an engine by its own embeddings, each image by what the others taught.

        Args:
            run: From inputs to the engine's outputs, the embedding first.
            takes: Its input.

        Raises:
            HwsearchError: If a class has too few images.
        """
        given = [run(inputs_NCHW)[0] for inputs_NCHW in inputs_of(takes, self.images.target)]
        folds = self.images.folds(FOLDS)
        verdict = cross_fit(linear_head, np.concatenate(given), self.images.labels, folds)
        drawn = verdict.scores("accuracy", bootstrap_weights(len(verdict), _DRAWS, 0))
        low, high = np.quantile(drawn, (0.025, 0.975))
        return Classifier(
            classes=self.images.classes,
            accuracy=verdict.score("accuracy"),
            low=float(low),
            high=float(high),
            images=len(verdict),
            images_fingerprint=self.images.fingerprint,
        )


@torch.no_grad()
def with_scores(net: StaticNet, classifier: LinearClassifier) -> StaticNet:
    """Returns a copy of a network with a classifier on its embedding, "scores" [B, C]."""
    pooled, side = net.lowered[-1], net.lowered[0].in_side
    head = Head("classifier", len(classifier.bias_C)).block_on(pooled, side)
    whole = StaticNet((*net.lowered, head))
    for own, other in zip(whole.static_blocks, net.static_blocks, strict=False):
        own.load_state_dict(other.state_dict())
    (layer,) = layers_of(head)
    weight_OI = torch.from_numpy(classifier.weights_EC.T)
    whole.static_blocks[-1].put(layer, "weight_OIHW", weight_OI[:, :, None, None])
    whole.static_blocks[-1].put(layer, "bias", torch.from_numpy(classifier.bias_C))
    return whole.train(net.training)
