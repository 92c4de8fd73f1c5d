"""Whether two sources hold the same images, however they were named."""

import numpy as np

from hwsearch.data.sources.base import CorruptImage, Source


def same_images(one: Source, other: Source) -> bool:
    """Tells whether two sources hold the same images.

    Fingerprints are of names and byte counts, which uncompressed images of equal size may share: a
    few images are compared as well.
    """
    if one.fingerprint() != other.fingerprint():
        return False
    return all(_equal(one, other, place) for place in {0, len(one) // 2, len(one) - 1})


def _equal(one: Source, other: Source, place: int) -> bool:
    try:
        return np.array_equal(one.image(place), other.image(place))
    except CorruptImage:
        return True  # what cannot be read tells nothing
