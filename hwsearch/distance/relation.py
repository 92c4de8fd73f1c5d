"""Classification without a head: how similar the images are to each other."""

import numpy as np
import torch
from torch import Tensor

from hwsearch.distance.compare import row_distance
from hwsearch.selfsup.losses import relations


class Relation:
    """1 − cos of how each image relates to all others; takes networks of any origin and width."""

    by_image = False
    compare = staticmethod(row_distance)

    def describe(self, embeddings_NE: np.ndarray) -> Tensor:
        """Returns the `relations` of pooled features float[N, E], float64[N, N]."""
        return relations(torch.from_numpy(embeddings_NE.astype(np.float64)))
