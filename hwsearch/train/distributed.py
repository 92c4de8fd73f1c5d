"""Training on many processes that torchrun started: how they meet, share and agree."""

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.distributed as dist
from torch import nn

from hwsearch.errors import HwsearchError
from hwsearch.nn.processes import gather, world


@contextmanager
def joined(device: str) -> Iterator[None]:
    """Makes the processes that torchrun started one group; a process of its own joins nothing.

    Args:
        device: "cpu" or "cuda"; each process of a machine takes the GPU of its local rank.

    Raises:
        HwsearchError: If the processes do not find each other, or GPUs are too few.
    """
    if os.environ.get("WORLD_SIZE", "1") == "1":
        yield
        return
    if device == "cuda":
        _take_gpu(int(os.environ.get("LOCAL_RANK", "0")))
    try:
        dist.init_process_group("nccl" if device == "cuda" else "gloo")
    except (RuntimeError, ValueError) as cause:
        raise HwsearchError(
            f"the processes did not find each other: {str(cause).strip().partition(chr(10))[0]}",
            fix="Start them by torchrun --nproc-per-node N -m hwsearch train …",
        ) from cause
    yield
    # After an error nobody waits for the others: torchrun stops them.
    dist.destroy_process_group()


def _take_gpu(local_rank: int) -> None:
    gpus = torch.cuda.device_count()
    if local_rank >= gpus:
        raise HwsearchError(
            f"process {local_rank} of this machine finds no GPU of its own among {gpus}",
            fix=f"Use torchrun --nproc-per-node {gpus} or fewer",
        )
    torch.cuda.set_device(local_rank)


def groups_of_one(groups: int, norm: str) -> int:
    """Returns into how many parts one process splits its images for batch norm.

    Args:
        groups: Parts of the whole batch with statistics of their own.
        norm: "sync" (a part reaches over all processes) or "per-rank" (within one).
    """
    return groups if norm == "sync" else -(-groups // world())


def check_split(batch: int, groups: int, accumulate: int) -> None:
    """Refuses a batch that does not split into equal parts on each process.

    Args:
        batch: Images a step, over all processes.
        groups: Parts of a piece with batch-norm statistics of their own, on one process.
        accumulate: Pieces that a batch passes in.

    Raises:
        HwsearchError: If it does not, or a part has a single image.
    """
    parts = world() * groups * accumulate
    if batch % parts or batch < 2 * parts:
        ways = {"process": world(), "norm group": groups, "piece to accumulate": accumulate}
        told = " × ".join(f"{count} {way}" for way, count in ways.items() if count > 1) or "1 part"
        raise HwsearchError(
            f"--batch {batch} does not split equally ({told}) into parts of 2 images or more",
            fix=f"Use --batch {max(batch // parts, 2) * parts}",
        )


def check_equal(module: nn.Module) -> None:
    """Refuses to go on where processes hold different weights.

    Raises:
        HwsearchError: If a parameter or buffer differs.
    """
    if world() == 1:
        return
    digest = hashlib.sha256()
    for value in module.state_dict().values():
        digest.update(value.cpu().reshape(-1).view(torch.uint8).numpy())
    first_bytes = int.from_bytes(digest.digest()[:7], "big")
    mine = torch.tensor([first_bytes], device=next(module.parameters()).device)
    if len(gather(mine).unique()) > 1:
        raise HwsearchError(
            "the processes do not hold equal weights",
            fix="Give all of them one hwsearch, one torch and the same --out folder",
        )
