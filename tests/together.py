"""What each of the processes that torchrun starts in tests does; see `test_distributed.py`."""

import os
import sys
import time
from pathlib import Path

import torch
from safetensors.torch import save_file
from selfsup_steps import small_settings
from tiny_space import TINY

from hwsearch import cli
from hwsearch.checkpoint import Checkpoint, build_method
from hwsearch.nn.norms import synchronise
from hwsearch.nn.processes import own_rows, rank, union
from hwsearch.selfsup import method_names
from hwsearch.selfsup.base import Views
from hwsearch.train.distributed import check_equal, groups_of_one, joined
from hwsearch.train.hardware import Hardware
from hwsearch.train.schedule import Schedule
from hwsearch.train.trainer import StepSettings, Trainer

BATCH, STEPS = 16, 3
METHODS = tuple(name for name in method_names() if name != "distil")


def make_trainer(name: str, norm: str) -> Trainer:
    settings = small_settings(name, norm_groups=groups_of_one(2, norm), queue=32)
    method = build_method(TINY, name, settings, seed=0, residual_scale=1.0)
    if norm == "sync":
        synchronise(method)
    schedule = Schedule(
        steps=10, lr=0.01, warmup_steps=0, random_subnets=1, sampling="choices", seed=0
    )
    steps = StepSettings(schedule=schedule, optimizer="sgd", weight_decay=1e-4, clip_norm=None)
    return Trainer(method, TINY, steps, Hardware("cpu", "fp32", channels_last=False))


def whole_views(step: int) -> Views:
    generator = torch.Generator().manual_seed(step)
    query, key = torch.randn(2, BATCH, 3, 8, 8, generator=generator)
    return Views(query, key, torch.arange(BATCH) + step, step)


def own_views(step: int) -> Views:
    whole = whole_views(step)
    parts = map(own_rows, (whole.query_BCHW, whole.key_BCHW, whole.indices_B))
    return Views(*parts, step)


def networks(trainer: Trainer):
    return list(trainer._settings.schedule.subnets_at(0, TINY))


def gradients(trainer: Trainer) -> dict[str, torch.Tensor]:
    return {
        f"gradient.{n}": p.grad for n, p in trainer.method.named_parameters() if p.requires_grad
    }


def take_steps(trainer: Trainer) -> dict[str, torch.Tensor]:
    results = [trainer.run_step(own_views(step)) for step in range(STEPS)]
    losses = torch.tensor([list(result.losses.values()) for result in results])
    return {**trainer.method.state_dict(), "losses": losses}


def compute(out: Path) -> None:
    """Writes what per-rank and synchronised norms come to."""
    with joined("cpu"):
        assert union(range(2 * rank())) == {0, 1}
        per_rank = make_trainer("moco-v2", "per-rank")
        per_rank._passes.run(own_views(0), networks(per_rank))
        found = {"per-rank": gradients(per_rank)}
        for name in METHODS:
            sync = make_trainer(name, "sync")
            found[name] = take_steps(sync)
            check_equal(sync.method)
        if rank() == 0:
            for name, tensors in found.items():
                save_file(tensors, out / f"{name}.safetensors")


def run_until_one_is_sent(number: int, step: int, words: list[str]) -> int:
    """Runs a command; process 1 gets a signal before a step, process 0 one while it saves after."""
    run_step, save = Trainer.run_step, Checkpoint.save

    def run_with_signal(self: Trainer, views: Views):
        if rank() == 1 and self.step == step:
            os.kill(os.getpid(), number)
        return run_step(self, views)

    def save_with_signal(self: Checkpoint, run: Path):
        if self.header.step > step:
            time.sleep(0.5)
            os.kill(os.getpid(), number)
        return save(self, run)

    Trainer.run_step, Checkpoint.save = run_with_signal, save_with_signal
    try:
        return cli.main(words)
    finally:
        print("a process leaves", flush=True)


if __name__ == "__main__":
    if sys.argv[1] == "compute":
        compute(Path(sys.argv[2]))
    else:
        sys.exit(run_until_one_is_sent(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]))
