"""How fast is training: beside the same networks, steps and data without a supernet.

    HWSEARCH_LIGHTLY=FOLDER python tests/benchmarks/training.py --data 'CIFAR10/train-*.tar.gz'

takes ratios, all sides in turns in one run, and adds a row to results/training.jsonl:

    elastic    the largest network through the supernet, over the same static network
    step       our MoCo v2 step with one network, over lightly's and over plain PyTorch's
    images     images a second from decoded image to taken step, ours over lightly's, which
               augments image by image, in no workers or one a core (training_peers.py says how to
               get it)
    sandwich   one step with three networks, over three steps with one each
    loader     our loader alone, over a bare decode loop
    resnet50   with --resnet50 SIDE: a supervised step of our ResNet-50, alone and through the
               supernet, over timm's

A ratio is of seconds: below 1 we are faster. With --peak-tflops, the device's dense peak in that
arithmetic, speeds come with the share of it that was used (MFU); on a GPU also with its memory.
"""

import argparse
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from rounds import ratio
from rows import add_row, open_results
from torch import Tensor
from training_loader import time_loader
from training_peers import LightlyMoco, PlainMoco, have_lightly, lightly_batches
from training_resnet50 import time_resnet50
from training_setting import Setting

from hwsearch.checkpoint import build_method
from hwsearch.data.augment import augment
from hwsearch.data.augment_options import AugmentOptions
from hwsearch.data.loader import Loader, LoaderOptions
from hwsearch.data.sources import open_source
from hwsearch.device import usable_cores
from hwsearch.kinds import total_macs
from hwsearch.nn import StaticNet, Supernet
from hwsearch.selfsup.base import Views
from hwsearch.selfsup.settings import MethodSettings
from hwsearch.space import Space, Subnet
from hwsearch.spaces import get_space
from hwsearch.train.hardware import Hardware
from hwsearch.train.schedule import Schedule
from hwsearch.train.trainer import StepSettings, Trainer

HIDDEN, QUEUE = 512, 4096
FORWARDS_OF_MOCO = 4
"""The teacher's forward, the query's, and a backward that takes as much as two."""


def alone(space: Space) -> Space:
    """Returns the largest network of a space as a space of its own."""
    return get_space(f"{space.name}[max]")


@dataclass(frozen=True)
class These(Schedule):
    """Takes the same networks in every step.

    Attributes:
        networks: Which.
    """

    networks: tuple[Subnet, ...] = ()

    def subnets_at(self, step: int, space: Space) -> Iterator[tuple[str, Subnet]]:
        """Yields role and network for each pass of a step."""
        return ((f"network{i}", network) for i, network in enumerate(self.networks))


def trainer_of(space: Space, setting: Setting, *networks: Subnet) -> Trainer:
    """Builds a trainer as `hwsearch train` does, but for the networks of its steps."""
    # Peers normalise the whole batch at once: so do we here.
    settings = MethodSettings(projection_hidden=HIDDEN, queue=QUEUE, norm_groups=1)
    method = setting.placed(build_method(space, "moco-v2", settings, seed=0))
    schedule = These(10**6, 0.01, 0, 0, "choices", 0, networks)
    steps = StepSettings(schedule, optimizer="sgd", weight_decay=1e-4, clip_norm=None)
    return Trainer(method, space, steps, setting.hardware)


def time_elastic(setting: Setting) -> dict[str, Any]:
    """Forward and backward of the largest network, elastic and static."""
    supernet, images = setting.placed(Supernet(setting.space)), setting.images()
    static = setting.placed(supernet.extract(setting.space.maximum)).train()

    def one_pass(net: Callable[[Tensor], Any]) -> None:
        with setting.hardware.autocast():
            loss = net(images).embedding.float().square().mean()
        loss.backward()

    found = setting.time(
        supernet=lambda: one_pass(lambda x: supernet(x, setting.space.maximum)),
        static=lambda: one_pass(static),
    )
    return {"elastic over static": ratio(found, "supernet", "static")}


def time_step(setting: Setting) -> dict[str, Any]:
    """One MoCo v2 step on one network and ready views."""
    space, (query, key) = alone(setting.space), (setting.images(), setting.images())
    ours = trainer_of(space, setting, space.maximum)
    views = Views(query, key, torch.arange(setting.batch, device=query.device), 0)
    sides = {"ours": lambda: ours.run_step(views)}
    width = Supernet(space).embedding_width
    for name, peer in (("plain", PlainMoco), ("lightly", LightlyMoco)):
        if name == "plain" or have_lightly():
            net = setting.placed(StaticNet(space.lower(space.maximum)))
            made = peer(net, width, HIDDEN, QUEUE, setting.hardware.device)
            sides[name] = lambda made=made: made.step(query, key, setting.hardware.autocast())
    found, macs = setting.time(**sides), total_macs(space.lower(space.maximum))
    return {
        **{f"step over {name}": ratio(found, "ours", name) for name in sides if name != "ours"},
        "step speed": setting.speeds(found, FORWARDS_OF_MOCO * macs),
        "step memory in MiB": setting.peak_memory(sides),
    }


def time_images(setting: Setting, data: str) -> dict[str, Any]:
    """From decoded images to taken steps, augmentation included."""
    source = open_source(data)
    loader = Loader(source, LoaderOptions(batch=setting.batch, side=setting.side))
    space = alone(setting.space)
    ours = trainer_of(space, setting, space.maximum)
    sides = {"ours": steps_of_ours(setting, loader, ours)}
    width = Supernet(space).embedding_width
    photos = np.stack([np.asarray(source.image(index)) for index in range(4 * setting.batch)])
    for workers in (0, usable_cores()):
        net = setting.placed(StaticNet(space.lower(space.maximum)))
        peer = LightlyMoco(net, width, HIDDEN, QUEUE, setting.hardware.device)
        batches = lightly_batches(photos, setting.side, setting.batch, workers)
        sides[f"lightly {workers} workers"] = steps_of_lightly(setting, batches, peer)
    found = setting.time(**{name: lambda steps=steps: next(steps) for name, steps in sides.items()})
    rate = {name: setting.batch / float(np.median(seconds)) for name, seconds in found.items()}
    best = max((name for name in sides if name != "ours"), key=rate.__getitem__)
    return {
        "images over lightly": {"peer": best, **ratio(found, "ours", best)},
        "images per second": rate,
    }


def steps_of_ours(setting: Setting, loader: Loader, trainer: Trainer) -> Iterator[None]:
    """Takes a step each time it is asked for one."""
    while True:
        for batch in loader:
            images = batch.images.to(setting.hardware.device)
            query, key = (
                augment(
                    images,
                    batch.indices,
                    side=setting.side,
                    seed=0,
                    epoch=batch.epoch,
                    view=view,
                    options=AugmentOptions(),
                ).contiguous(memory_format=setting.hardware.memory_format)
                for view in range(2)
            )
            trainer.run_step(Views(query, key, batch.indices.to(images.device), trainer.step))
            yield


def steps_of_lightly(
    setting: Setting, batches: Iterator[tuple[Tensor, Tensor]], peer: LightlyMoco
) -> Iterator[None]:
    """Takes a step each time it is asked for one."""
    for views in batches:
        query, key = (
            view.to(setting.hardware.device, memory_format=setting.hardware.memory_format)
            for view in views
        )
        peer.step(query, key, setting.hardware.autocast())
        yield


def time_sandwich(setting: Setting) -> dict[str, Any]:
    """Three networks in one step, and in three."""
    space = setting.space
    indices = torch.arange(setting.batch, device=setting.hardware.device)
    views = Views(setting.images(), setting.images(), indices, 0)
    sizes = {dim.name: dim.choices[len(dim.choices) // 2] for dim in space.dims}
    networks = (space.maximum, space.minimum, space.subnet(**sizes))
    together = trainer_of(space, setting, *networks)
    apart = [trainer_of(space, setting, network) for network in networks]
    found = setting.time(
        together=lambda: together.run_step(views),
        apart=lambda: [trainer.run_step(views) for trainer in apart],
    )
    return {"sandwich over three steps": ratio(found, "together", "apart")}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--data", required=True, help="glob of .tar shards with images")
    parser.add_argument("--space", default="bottleneck-32")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--threads", type=int, help="by default all cores")
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--resnet50", type=int, default=0, metavar="SIDE", help="0 leaves it out")
    parser.add_argument("--amp", default="fp32", choices=("fp32", "bf16"))
    parser.add_argument("--peak-tflops", type=float, default=0, help="of the device; 0: not known")
    chosen = parser.parse_args()
    if chosen.threads:
        torch.set_num_threads(chosen.threads)
    hardware = Hardware(chosen.device, chosen.amp, channels_last=True)
    setting = Setting(
        get_space(chosen.space), chosen.batch, hardware, chosen.rounds, chosen.peak_tflops
    )
    parts: Sequence[Callable[[], dict[str, Any]]] = (
        lambda: time_elastic(setting),
        lambda: time_step(setting),
        lambda: time_sandwich(setting),
        lambda: time_loader(setting, chosen.data),
        *([lambda: time_resnet50(setting, chosen.resnet50)] if chosen.resnet50 else []),
        *([lambda: time_images(setting, chosen.data)] if have_lightly() else []),
    )
    figures: dict[str, Any] = {
        "space": chosen.space,
        "batch": chosen.batch,
        "amp": chosen.amp,
        "threads": torch.get_num_threads(),
        "rounds": chosen.rounds,
    }
    for part in parts:
        found = part()
        print(found, flush=True)
        figures |= found
    with open_results("training") as journal:
        add_row(journal, figures)


if __name__ == "__main__":
    main()
