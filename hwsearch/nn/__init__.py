"""Networks: the elastic supernet, the static nets taken from it, and their calibration."""

from hwsearch.nn.calibration import calibrate
from hwsearch.nn.features import Features
from hwsearch.nn.static import StaticNet
from hwsearch.nn.supernet import Supernet

__all__ = ["Features", "StaticNet", "Supernet", "calibrate"]
