"""What ONNX Runtime asks its allocator for while a network runs."""

import json
from pathlib import Path

import numpy as np
import onnxruntime


def peak_bytes(model: Path, image: np.ndarray, *, deployed: bool = False) -> int:
    """Runs a network once and returns the most bytes asked for at once, weights aside.

    The image is not among them: it lies in the caller's memory.

    Args:
        model: ONNX file with the input "image".
        image: Input.
        deployed: Run as engines do, with all graph optimisations and reuse of buffers; else in
            the plain layout, each tensor freed after its last use.
    """
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    levels = onnxruntime.GraphOptimizationLevel
    options.graph_optimization_level = (
        levels.ORT_ENABLE_ALL if deployed else levels.ORT_ENABLE_EXTENDED
    )
    options.enable_mem_pattern, options.enable_mem_reuse = False, deployed
    options.enable_profiling = True
    options.profile_file_prefix = str(model.with_suffix(".profile"))
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    session.run(None, {"image": image})
    events = json.loads(Path(session.end_profiling()).read_text())
    nodes = [event["args"] for event in events if event.get("cat") == "Node"]
    used = [int(node["mem_bytes_requested_in_use"]) for node in nodes]
    return max(used) - used[0] + int(nodes[0]["mem_requested_in_use_delta"])
