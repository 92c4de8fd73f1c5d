"""Families of networks, one file each."""

from hwsearch.spaces import basic as basic
from hwsearch.spaces import bottleneck as bottleneck
from hwsearch.spaces import catalogue as catalogue
from hwsearch.spaces import cells as cells
from hwsearch.spaces import inverted as inverted
from hwsearch.spaces import timm as timm
from hwsearch.spaces import transformer as transformer
from hwsearch.spaces.registry import get_space, register_space, space_names

__all__ = ["get_space", "register_space", "space_names"]
