"""Sources of images: folders, WebDataset tar shards and scikit-learn's digits, behind one face."""

from hwsearch.data.sources.base import CorruptImage as CorruptImage
from hwsearch.data.sources.base import CorruptLog as CorruptLog
from hwsearch.data.sources.base import Source as Source
from hwsearch.data.sources.open import open_source as open_source

__all__ = ["CorruptImage", "CorruptLog", "Source", "open_source"]
