"""Classification without a head: how similar the images are to each other."""

import numpy as np
import torch
from torch import Tensor

from hwsearch.distance.compare import Description, row_distance
from hwsearch.selfsup.losses import relations


class Relation(Description):
    """1 − cos of how each image relates to all others; takes networks of any origin and width."""

    by_image = False

    def describe(self, embeddings_NE: np.ndarray) -> Tensor:
        """Returns the `relations` of pooled features float[N, E], float64[N, N]."""
        return relations(torch.from_numpy(embeddings_NE.astype(np.float64)))

    def compare(self, student_NN: Tensor, teacher_NN: Tensor) -> Tensor:
        """Returns the distance of each image, [N]."""
        return row_distance(student_NN, teacher_NN)
