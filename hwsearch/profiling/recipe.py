"""What a kit says to the person who carries it: what to install, to run and to bring back."""

from hwsearch.device_profile import find_profile
from hwsearch.kit.jobs import MODELS, PROGRAM, RESULTS, JobList
from hwsearch.runtime.onnxruntime_providers import PROVIDERS
from hwsearch.runtime.tensorrt_settings import trtexec_line

_INSTALL = {
    "onnxruntime": "pip install numpy 'onnxruntime>=1.23'",
    "openvino": "pip install numpy openvino",
    "openvino-gpu": "pip install numpy openvino, and Intel's compute runtime",
    "openvino-npu": "pip install numpy openvino, and Intel's driver of the NPU",
    "tensorrt": "pip install numpy, and TensorRT (in JetPack; else pip install tensorrt)",
    "torch": "pip install numpy torch",
    "torch-aoti": "pip install numpy torch, and a C++ compiler",
}

_TEXT = """\
This folder measures how long the networks of the space {space}
take on the device that it is copied to: {models} models, runtime {runtime}, {precision},
batch {batch}, at most {minutes:g} minutes of measuring; building engines comes on top.

1. Copy the whole folder to the device.

2. Install Python 3.10 or newer and
    {install}

3. Run, with nothing else at work on the device:
    python3 {program}
   It can be stopped, killed or lose its power at any moment: the same command goes on.
    --threads N            CPU threads a call
    --budget-minutes X     most time for measuring; with more, a finished run goes on
    --max-temperature C    rest while the device is hotter, in degrees Celsius{warm}
    --memory-mb N          memory for engines that are loaded at a time
   Clocks and power modes are never changed: set them before, as the device will be used.

4. Bring back one file, {results}, and run beside the kit:
    hwsearch import {results}

The folder work/ holds engines and messages; it may be deleted when the results are there.
{extra}"""

_TRTEXEC = """
Two of the same engines with NVIDIA's own tool, to compare with (hwsearch does not need it):
{lines}
"""


def how_to_install(runtime: str) -> str:
    """Returns what a device needs beside Python."""
    if runtime in PROVIDERS:
        return f"pip install numpy, and ONNX Runtime: {PROVIDERS[runtime].install}"
    return _INSTALL[runtime]


def readme(jobs: JobList) -> str:
    """Returns the text of README.txt.

    Args:
        jobs: What the kit measures.
    """
    runtime, precision = jobs.header["runtime"], jobs.header["precision"]
    lines = (
        f"    {trtexec_line(f'{MODELS}/{name}', precision, f'work/{name}.plan')}"
        for name in jobs.references
    )
    return _TEXT.format(
        space=jobs.header["space"],
        models=len(jobs.jobs),
        runtime=runtime,
        precision=precision,
        batch=jobs.header["batch"],
        minutes=jobs.budget_seconds / 60,
        install=how_to_install(runtime),
        program=PROGRAM,
        results=RESULTS,
        warm=f" (else {jobs.max_celsius:g})" if jobs.max_celsius else "",
        extra=about_device(jobs.header["device"], runtime)
        + (_TRTEXEC.format(lines="\n".join(lines)) if runtime == "tensorrt" else ""),
    )


def about_device(name: str, runtime: str) -> str:
    """Returns what the profile of a device tells about a runtime and about power, if it is known.

    Args:
        name: Of the device.
        runtime: Name of the runtime.
    """
    if (profile := find_profile(name)) is None:
        return ""
    setup = profile.setup(runtime)
    steps = [f"    {step}" for step in setup.install] if setup else []
    modes = [f"    {mode.text}" for mode in profile.power_modes]
    text = "\n".join([f"\nHow {runtime} comes onto {name}:", *steps, ""]) if steps else ""
    return text + ("\n".join([f"\nPower modes of {name}:", *modes, ""]) if modes else "")
