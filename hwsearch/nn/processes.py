"""Processes that train together: what they tell each other, in one order of images.

A step's images are dealt like cards: of W processes, process r holds images r, r + W, r + 2W, …
A single process is the same code with nothing to tell.

Shapes: W processes, B images of one process.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.autograd import Function

from hwsearch.errors import HwsearchError

_BUCKET_BYTES = 32 * 2**20
"""Gradients averaged in one message; larger ones gain no speed."""


def world() -> int:
    """Returns how many processes train together."""
    return dist.get_world_size() if _joined() else 1


def rank() -> int:
    """Returns the number of this process, from 0; number 0 writes files and talks."""
    return dist.get_rank() if _joined() else 0


def _joined() -> bool:
    return dist.is_available() and dist.is_initialized()


def add_up(x: Tensor) -> None:
    """Replaces a contiguous tensor by its sum over all processes, equal to the bit on each.

    Raises:
        HwsearchError: If another process has ended.
    """
    if world() > 1:
        _together(dist.all_reduce, x)


def gather(x: Tensor) -> Tensor:
    """Returns the tensors of all processes, [W, ...]; gradients flow back to each.

    Raises:
        HwsearchError: If another process has ended.
    """
    return _Gather.apply(x) if world() > 1 else x[None]  # pyright: ignore[reportReturnType]


def gather_rows(x: Tensor) -> Tensor:
    """Returns the rows of all processes, [W * B, ...], in the order of the whole batch."""
    return gather(x).transpose(0, 1).flatten(0, 1) if world() > 1 else x


def own_rows(x: Tensor) -> Tensor:
    """Returns this process's rows of the whole batch; undoes `gather_rows`."""
    return x[rank() :: world()]


def largest(number: int) -> int:
    """Returns the largest of the numbers that all processes hold."""
    if world() == 1:
        return number
    return int(gather(torch.tensor([number], device=_device())).max())


def union(numbers: Collection[int]) -> set[int]:
    """Returns all numbers, from 0, that any process holds."""
    most = largest(len(numbers))
    if world() == 1 or not most:
        return set(numbers)
    filled = [*numbers, *[-1] * (most - len(numbers))]
    return set(gather(torch.tensor(filled, device=_device())).flatten().tolist()) - {-1}


def _device() -> str:
    """Returns where tensors must be for processes to exchange them."""
    return "cuda" if dist.get_backend() == "nccl" else "cpu"


def wait_for_all() -> None:
    """Returns when all processes have come here.

    Raises:
        HwsearchError: If another process has ended.
    """
    largest(0)


def average(tensors: Sequence[Tensor]) -> None:
    """Replaces tensors of one type by their means over all processes, equal to the bit on each.

    Raises:
        HwsearchError: If another process has ended.
    """
    if world() == 1:
        return
    for bucket in _buckets(tensors):
        flat = torch.cat([tensor.reshape(-1) for tensor in bucket])
        add_up(flat)
        pieces = (flat / world()).split([tensor.numel() for tensor in bucket])
        for tensor, piece in zip(bucket, pieces, strict=True):
            tensor.copy_(piece.view(tensor.shape))


def _buckets(tensors: Sequence[Tensor]) -> Iterator[list[Tensor]]:
    bucket: list[Tensor] = []
    held_bytes = 0
    for tensor in tensors:
        bucket.append(tensor)
        held_bytes += tensor.nbytes
        if held_bytes >= _BUCKET_BYTES:
            yield bucket
            bucket, held_bytes = [], 0
    if bucket:
        yield bucket


class _Gather(Function):
    """All-gather whose gradient is the sum of what all processes made of this one's tensor."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:  # noqa: ANN401
        """Gathers."""
        parts = x.new_empty((world(), *x.shape))
        _together(dist.all_gather, list(parts), x.contiguous())
        return parts

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:  # noqa: ANN401  # pyright: ignore
        """Adds up, and takes this process's part."""
        gradient = gradient.clone(memory_format=torch.contiguous_format)
        add_up(gradient)
        return gradient[rank()]


def _together(talk: Callable[..., object], *tensors: Tensor | list[Tensor]) -> None:
    try:
        talk(*tensors)
    except RuntimeError as cause:
        first_line = str(cause).strip().partition("\n")[0]
        raise HwsearchError(
            f"process {rank()} of {world()} lost another one: {first_line}",
            fix="See what that one said; start all of them again with --resume",
        ) from cause
