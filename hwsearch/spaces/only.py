"""A space of one network: what is trained alone, beside networks that share their weights."""

from dataclasses import replace

from hwsearch.space import Dim, Space


def only(space: Space, network: str, name: str) -> Space:
    """Returns a space that holds one network of another.

    Args:
        space: Where the network is from.
        network: As `Space.parse` reads it, such as "min" or "depth1=2,depth2=1".
        name: Of the new space.

    Raises:
        HwsearchError: If the network is not in the space.
    """
    kept = space.parse(network)
    dims = tuple(Dim(dim.name, (kept[dim.name],), prefix=False) for dim in space.dims)
    return replace(space, name=name, dims=dims)
