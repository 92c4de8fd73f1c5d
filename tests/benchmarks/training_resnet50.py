"""A supervised step of our ResNet-50, alone and through the supernet, beside timm's."""

from collections.abc import Callable
from typing import Any

import torch
from rounds import ratio
from torch import Tensor, nn
from torch.nn import functional as F
from training_setting import Setting

from hwsearch.export.timm_package import import_timm
from hwsearch.kinds import total_macs
from hwsearch.nn import Supernet
from hwsearch.spaces import get_space

CLASSES, WIDTH = 1000, 2048
OURS = ("supernet", "static")
R50 = "stem=64,width1=64,width2=128,width3=256,width4=512,depth1=3,depth2=4,depth3=6,depth4=3"


def time_resnet50(setting: Setting, side: int) -> dict[str, Any]:
    """Times one step of each on images of a side in pixels."""
    space = get_space(f"bottleneck-224@{side}")
    network, supernet = space.parse(R50), setting.placed(Supernet(space))
    static = setting.placed(supernet.extract(network)).train()
    peer = setting.placed(import_timm().create_model("resnet50", num_classes=CLASSES)).train()
    shared, own = (setting.placed(nn.Linear(WIDTH, CLASSES)) for _ in range(2))
    steps = {
        "supernet": supervised(
            setting, lambda x: shared(supernet(x, network).embedding), supernet, shared
        ),
        "static": supervised(setting, lambda x: own(static(x).embedding), static, own),
        "timm": supervised(setting, peer, peer),
    }
    images = torch.randn(setting.batch, 3, side, side, device=setting.hardware.device)
    images = images.contiguous(memory_format=setting.hardware.memory_format)
    labels = torch.randint(CLASSES, (setting.batch,), device=images.device)
    sides = {name: lambda step=step: step(images, labels) for name, step in steps.items()}
    found, macs = setting.time(**sides), total_macs(space.lower(network))
    return {
        "resnet50 side": side,
        **{f"resnet50 {name} over timm": ratio(found, name, "timm") for name in OURS},
        "resnet50 speed": setting.speeds(found, 3 * macs),
        "resnet50 memory in MiB": setting.peak_memory(sides),
    }


def supervised(
    setting: Setting, net: Callable[[Tensor], Tensor], *modules: nn.Module
) -> Callable[[Tensor, Tensor], None]:
    """Returns a step of classification by SGD that moves the modules."""
    weights = [weight for module in modules for weight in module.parameters()]
    optimiser = torch.optim.SGD(weights, lr=0.01, momentum=0.9)

    def step(images: Tensor, labels: Tensor) -> None:
        with setting.hardware.autocast():
            loss = F.cross_entropy(net(images), labels)
        loss.backward()
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)

    return step
