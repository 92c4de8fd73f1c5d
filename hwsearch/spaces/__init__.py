"""Families of networks, one file each."""

from hwsearch.spaces import bottleneck as bottleneck
from hwsearch.spaces.registry import get_space, register_space, space_names

__all__ = ["get_space", "register_space", "space_names"]
