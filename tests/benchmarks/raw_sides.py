"""How hwsearch and the peers' own tools time one ONNX file: a function a side, milliseconds.

Each is called in a process of its own. Threads, input and warm-up (one call) are the same.
The bare loops, and hwsearch on ONNX Runtime, time what a caller waits for; benchmark_app, and
hwsearch on OpenVINO, tell what passes inside the request, without the way into it and out.
"""

import json
import re
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

APP_OPTIONS = "-d CPU -hint latency -api sync -nireq 1 -infer_precision f32 -ip f32"


@dataclass(frozen=True)
class Case:
    """One network as all sides take it.

    Attributes:
        folder: Holds the ONNX file, the input and all else that is made of them.
        engines: hwsearch's engines, by runtime.
        threads: CPU threads a call.
        seconds: Length of a window, a whole number because benchmark_app takes no other.
    """

    folder: Path
    engines: dict[str, Path]
    threads: int
    seconds: int

    @property
    def onnx(self) -> Path:
        """What every side starts from."""
        return self.folder / "model.onnx"

    @property
    def input(self) -> Path:
        """The array that every side computes."""
        return self.folder / "image.npy"

    @property
    def feed(self) -> dict[str, np.ndarray]:
        """The array by the name of the network's input."""
        return {"image": np.load(self.input)}


def build_case(space_name: str, threads: int, seconds: int, folder: Path) -> Case:
    """Exports the largest network of a space and builds engines as `hwsearch profile` does."""
    import torch

    from hwsearch.export.onnx import example_input, export_network, seeded_network
    from hwsearch.kit.engines import Engines
    from hwsearch.spaces import get_space

    torch.set_num_threads(1)
    space = get_space(space_name)
    blocks = space.lower(space.maximum)
    case = Case(folder, {}, threads, seconds)
    export_network(seeded_network(blocks), case.onnx)
    for runtime in ("onnxruntime", "openvino"):
        case.engines[runtime] = Engines(folder, runtime, "fp32").build_file(case.onnx).engine
    shape = tuple(example_input(blocks[0], 1).shape)
    np.save(case.input, np.random.default_rng(0).standard_normal(shape).astype(np.float32))
    return case


def hwsearch_ms(runtime: str, case: Case) -> float:
    """One window of an engine, loaded as the measuring process does."""
    from hwsearch.measurement import Window
    from hwsearch.runtime import get_runtime
    from hwsearch.runtime.base import LoadOptions

    options = LoadOptions(case.threads, "fp32", shared_pool=True)
    with get_runtime(runtime).load(case.engines[runtime], options) as engine:
        engine.window(case.feed, 0.0)
        return Window.of(engine.window(case.feed, case.seconds)).p50_ms


def onnxruntime_ms(case: Case) -> float:
    """The loop that a user of ONNX Runtime writes."""
    import onnxruntime

    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = case.threads
    providers = ["CPUExecutionProvider"]
    session = onnxruntime.InferenceSession(str(case.onnx), settings, providers=providers)
    return _median_ms(partial(session.run, None, case.feed), case.seconds)


def openvino_ms(case: Case) -> float:
    """The loop that a user of OpenVINO writes."""
    import openvino

    config = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_NUM_THREADS": case.threads,
        "INFERENCE_PRECISION_HINT": "f32",
    }
    request = openvino.Core().compile_model(case.onnx, "CPU", config).create_infer_request()
    for name, array in case.feed.items():
        request.get_tensor(name).data[:] = array
    return _median_ms(request.infer, case.seconds)


def _median_ms(call: Callable[[], object], seconds: float) -> float:
    call()
    times, end = [], time.perf_counter() + seconds
    while time.perf_counter() < end:
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return 1e3 * float(np.median(times))


def benchmark_app_ms(case: Case) -> float:
    """What OpenVINO's own tool prints.

    Beside -hint, threads must come from a file. Without -ip it takes whatever looks like an
    image for bytes and adds their conversion to the network.
    """
    config = case.folder / "threads.json"
    config.write_text(json.dumps({"CPU": {"INFERENCE_NUM_THREADS": case.threads}}))
    app = str(Path(sys.executable).with_name("benchmark_app"))
    command = [app, *APP_OPTIONS.split(), "-t", str(case.seconds)]
    command += ["-m", str(case.onnx), "-i", f"image:{case.input}", "-load_config", str(config)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    found = re.search(r"Median:\s+([\d.]+) (us|ms)", done.stdout)
    assert found, done.stdout + done.stderr
    return float(found[1]) / (1e3 if found[2] == "us" else 1.0)


SIDES: dict[str, Callable[[Case], float]] = {
    "hwsearch onnxruntime": partial(hwsearch_ms, "onnxruntime"),
    "onnxruntime script": onnxruntime_ms,
    "hwsearch openvino": partial(hwsearch_ms, "openvino"),
    "benchmark_app": benchmark_app_ms,
    "openvino script": openvino_ms,
}
