"""Device profiles and detection, shown the files of other machines."""

import os
import platform
from pathlib import Path

import pytest

from hwsearch.device import detect, fingerprint, fingerprint_difference, usable_cores
from hwsearch.device_profile import load_profiles

PI_5 = {
    "proc/cpuinfo": "processor\t: 0\nFeatures\t: fp asimd aes asimdhp asimddp\n"
    "CPU implementer\t: 0x41\nCPU part\t: 0xd0b\n",
    "proc/meminfo": "MemTotal:        8245696 kB\n",
    "proc/device-tree/model": "Raspberry Pi 5 Model B Rev 1.0\0",
}
ORIN = {
    "proc/cpuinfo": "processor\t: 0\nFeatures\t: fp asimd\nCPU implementer\t: 0x41\n"
    "CPU part\t: 0xd42\n",
    "proc/meminfo": "MemTotal:       64349000 kB\n",
    "proc/device-tree/model": "NVIDIA Jetson AGX Orin Developer Kit\0",
}
CLOUD = {
    "proc/cpuinfo": "processor\t: 0\ncpu family\t: 6\nmodel\t: 85\n"
    "model name\t: Intel(R) Xeon(R) CPU @ 2.00GHz\nstepping\t: 3\n"
    "flags\t: fpu hypervisor avx2 avx512f\n\nprocessor\t: 1\nmodel\t: 99\n",
    "proc/meminfo": "MemTotal:       30821128 kB\n",
    "proc/driver/nvidia/gpus/0000:00:04.0/information": "Model: \t\t Tesla T4\nIRQ:   \t\t 36\n",
    "sys/fs/cgroup/cpu.max": "100000 100000",
}


@pytest.fixture
def machine(tmp_path, monkeypatch):
    def write(files: dict[str, str], architecture: str) -> Path:
        for path, text in files.items():
            (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / path).write_text(text)
        monkeypatch.setattr(platform, "machine", lambda: architecture)
        return tmp_path

    return write


def test_boards_are_named_like_their_committed_profiles(machine):
    profiles = {profile.name: profile.device for profile in load_profiles()}
    for files, name in ((PI_5, "raspberry-pi-5-8gb"), (ORIN, "jetson-agx-orin-64gb")):
        device, known = detect(machine(files, "aarch64")), profiles[name]
        same = ("name", "tier", "architecture", "cpu", "memory_gb", "accelerator")
        assert [getattr(device, f) for f in same] == [getattr(known, f) for f in same]


def test_a_cloud_machine_with_a_card_and_a_container_limit(machine):
    root = machine(CLOUD, "AMD64")
    device = detect(root)
    assert device.name == "intel-xeon-skylake-1c-tesla-t4"
    assert (device.tier, device.architecture, device.accelerator) == ("cloud", "x86_64", "Tesla T4")
    facts = fingerprint(root)
    assert facts["cpu_id"] == "6/85/3"
    assert facts["isa"] == "avx2 avx512f"
    assert facts["virtual"] == "yes"


def octa(model: str, part: str, memory_kb: int) -> dict[str, str]:
    cores = "".join(
        f"processor\t: {number}\nFeatures\t: fp asimd\nCPU implementer\t: 0x41\n"
        f"CPU architecture: 8\nCPU part\t: {'0xd05' if number < 4 else part}\n\n"
        for number in range(8)
    )
    memory = f"MemTotal:       {memory_kb} kB\n"
    return {"proc/cpuinfo": cores, "proc/meminfo": memory, "proc/device-tree/model": f"{model}\0"}


def test_boards_and_cores_of_several_kinds_are_told_apart(machine):
    rock = machine(octa("Radxa ROCK 5B", "0xd0b", 16_200_000), "aarch64")
    assert detect(rock).name == "radxa-rock-5b-16gb"
    there = fingerprint(rock)
    assert there["cpu_id"] == "4x0x41/0xd05 4x0x41/0xd0b"
    genio = machine(octa("MediaTek Genio-1200 EVK", "0xd41", 11_900_000), "aarch64")
    assert detect(genio).name == "mediatek-genio-1200-evk-12gb"
    assert {"board", "cpu_id"} <= set(fingerprint_difference(there, fingerprint(genio)))
    virtual = machine(octa("linux,dummy-virt", "0xd05", 4_000_000), "aarch64")
    assert fingerprint(virtual)["board"] == "" and fingerprint(virtual)["cpu_id"] == "0xd05"


def test_of_several_cards_the_visible_ones_are_told(machine, monkeypatch):
    names = {"0000:01:00.0": "Quadro P400", "0000:41:00.0": "NVIDIA H100"}
    files = {
        f"proc/driver/nvidia/gpus/{bus}/information": f"Model: \t\t {name}\nIRQ: 3\n"
        for bus, name in names.items()
    }
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    root = machine(CLOUD | files, "x86_64")
    assert detect(root).accelerator == "Tesla T4 and Quadro P400 and NVIDIA H100, visible 1"
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", ",".join(map(str, range(99))))
    assert len(detect(root).name) <= 100


@pytest.mark.parametrize(
    ("model", "numbers", "name"),
    [
        ("AMD EPYC", (25, 1, 1), "amd-epyc-milan-8c"),
        ("AMD EPYC", (25, 17, 1), "amd-epyc-genoa-8c"),
        ("Intel(R) Xeon(R) CPU @ 2.20GHz", (6, 85, 7), "intel-xeon-cascade-lake-8c"),
        ("QEMU Virtual CPU", (15, 107, 1), "qemu-virtual-15-107-8c"),
        ("AMD EPYC 7763 64-Core Processor", (25, 1, 1), "amd-epyc-7763-8c"),
    ],
)
def test_processors_without_a_model_number_are_named_by_their_generation(
    machine, monkeypatch, model, numbers, name
):
    family, number, stepping = numbers
    files = {
        "proc/cpuinfo": f"processor\t: 0\ncpu family\t: {family}\nmodel\t: {number}\n"
        f"model name\t: {model}\nstepping\t: {stepping}\n"
    }
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(8)), raising=False)
    assert detect(machine(files, "x86_64")).name == name


def test_this_machine_is_described_the_same_twice():
    device = detect()
    assert device == detect()
    assert device.cores >= 1
    assert device.memory_gb >= 1
    assert all(c.isalnum() or c == "-" for c in device.name)
    assert fingerprint_difference(fingerprint(), fingerprint()) == ()


def test_differing_fields_are_named():
    other = {**fingerprint(), "cpu": "Z80", "isa": "none", "extra": "yes"}
    assert fingerprint_difference(fingerprint(), other) == ("cpu", "extra", "isa")


@pytest.mark.parametrize(
    "files",
    [
        {"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "150000 100000"},
        {
            "proc/self/cgroup": "1:cpu:/\n0::/jobs/one\n",
            "sys/fs/cgroup/jobs/cpu.max": "200000 100000",
            "sys/fs/cgroup/jobs/one/cpu.max": "max 100000",
        },
        {  # the first version of control groups
            "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "200000",
            "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000",
        },
    ],
)
def test_a_quota_of_any_control_group_limits_the_cores(machine, monkeypatch, files):
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(8)), raising=False)
    assert usable_cores(machine(files, "x86_64")) == 2
    assert usable_cores(machine({}, "x86_64") / "nowhere") == 8
