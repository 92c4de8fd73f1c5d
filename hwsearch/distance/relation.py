"""Classification without a head: how similar the images are to each other."""

import numpy as np
import torch
from torch import Tensor

from hwsearch.distance.compare import row_distance


class Relation:
    """1 − cos of how each image relates to all others; takes networks of any origin and width."""

    by_image = False
    compare = staticmethod(row_distance)

    def describe(self, embeddings_NE: np.ndarray) -> Tensor:
        """Returns `relations`."""
        return relations(embeddings_NE)


def relations(embeddings_NE: np.ndarray) -> Tensor:
    """Tells how similar each image is to every other one, for networks of any width.

    The relation matrix of DATA (arXiv 2203.09041) is taken over images instead of positions:
    embeddings are centred over the images and L2-normalised, and each row of F Fᵀ has length 1.
    It needs no adapter: width, rotation and scale of the embeddings do not matter.

    Args:
        embeddings_NE: Pooled features, float[N, E].

    Returns:
        float64[N, N].
    """
    features = torch.from_numpy(embeddings_NE.astype(np.float64))
    features = torch.nn.functional.normalize(features - features.mean(0))
    return torch.nn.functional.normalize(features @ features.T)
