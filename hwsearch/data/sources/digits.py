"""The 1,797 handwritten digits that ship with scikit-learn, as they are: 8×8 pixels."""

import numpy as np

from hwsearch.data.sources.base import fingerprint_of


class DigitsSource:
    """Scikit-learn's copy of the UCI digits test set: grey levels 0 to 16, ten classes."""

    name = "sklearn:digits"
    classes = tuple(str(digit) for digit in range(10))

    def __init__(self) -> None:
        from sklearn.datasets import load_digits

        levels, labels = load_digits(return_X_y=True)
        pixels = np.rint(np.asarray(levels) * (255 / 16)).astype(np.uint8)
        self._pixels, self._labels = pixels.reshape(-1, 8, 8), np.asarray(labels)

    def __len__(self) -> int:
        return len(self._pixels)

    def image(self, index: int) -> np.ndarray:
        """Returns one digit in three equal channels, uint8[8, 8, 3]."""
        return np.repeat(self._pixels[index][:, :, None], 3, axis=2)

    def label(self, index: int) -> int:
        """Returns which digit it is."""
        return int(self._labels[index])

    def sample_name(self, index: int) -> str:
        """Returns "digit-" and the position in scikit-learn's order."""
        return f"digit-{index:04d}"

    def fingerprint(self) -> str:
        """Returns a SHA-256 over the names and pixels of all digits."""
        return fingerprint_of((pixels.tobytes(), pixels.size) for pixels in self._pixels)
