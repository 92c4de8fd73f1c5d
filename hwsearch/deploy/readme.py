"""The README in an engine's folder: what it is, and how to call it with and without hwsearch."""

import json
import re
from pathlib import Path
from string import Template

from hwsearch.deploy.manifest import Dense, Input, Manifest
from hwsearch.journal import write_atomic

NAME = "README.md"

_TEXT = Template("""\
# $engine ($runtime, $precision)

$what
$lies
A call (images: $batch, threads: $threads) took $measured_ms ms on the machine that built it.
`manifest.json` holds everything that was checked and measured, and the hash of each file.

| | name | type |
|---|---|---|
$ports
$precisions
Images are cut to their centre square, scaled to $side × $side pixels (bilinear,
antialiased)$normalised

## With hwsearch

```python
import hwsearch

with hwsearch.load(".") as engine:
    for name, output in engine.outputs("photo.png").items():
        print(name, output.shape)
```
""")

_PREPARE = Template("""\
import numpy as np
from PIL import Image

MEAN, STD = np.array($mean, np.float32), np.array($std, np.float32)


def prepare(path):
    image = Image.open(path).convert("RGB")
    short = min(image.size)
    left, top = (image.width - short) / 2, (image.height - short) / 2
    box = (left, top, left + short, top + short)
    image = image.resize(($side, $side), Image.Resampling.BILINEAR, box)
    pixels = (np.asarray(image, np.float32) / 255 - MEAN) / STD
    return np.ascontiguousarray(pixels.transpose(2, 0, 1)[None].repeat($batch, 0))
""")

_PREPARE_RAW = Template("""\
import numpy as np
from PIL import Image


def prepare(path):
    image = Image.open(path).convert("RGB")
    short = min(image.size)
    left, top = (image.width - short) / 2, (image.height - short) / 2
    box = (left, top, left + short, top + short)
    image = image.resize(($side, $side), Image.Resampling.BILINEAR, box)
    return np.asarray(image)[None].repeat($batch, 0)
""")

_PYTHON = {
    "onnxruntime": Template("""\
import onnxruntime

settings = onnxruntime.SessionOptions()
settings.intra_op_num_threads = $threads
session = onnxruntime.InferenceSession("$engine", settings, providers=["CPUExecutionProvider"])
names = [output.name for output in session.get_outputs()]
outputs = dict(zip(names, session.run(names, {$input: prepare("photo.png")})))
"""),
    "openvino": Template("""\
import openvino

config = {
    "PERFORMANCE_HINT": "LATENCY",
    "INFERENCE_NUM_THREADS": $threads,
    "INFERENCE_PRECISION_HINT": "$hint",
}
model = openvino.Core().compile_model("$engine", "CPU", config)
found = model({$input: prepare("photo.png")})
outputs = {port.get_any_name(): found[port] for port in model.outputs}
"""),
}

_NORMALISE = Template("""\
#include <cstdio>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <vector>

// Reads $side x $side red-green-blue bytes, already cut and scaled, for each of $batch image(s).
std::vector<float> read_input(const char* path) {
    const float mean[3] = {$mean_c}, std[3] = {$std_c};
    std::ifstream file(path, std::ios::binary);
    const std::vector<unsigned char> bytes{std::istreambuf_iterator<char>(file), {}};
    const size_t side = $side, batch = $batch, plane = side * side;
    if (bytes.size() != batch * plane * 3) throw std::runtime_error("wrong number of bytes");
    std::vector<float> input(bytes.size());
    for (size_t image = 0; image < batch; ++image)
        for (size_t place = 0; place < plane; ++place)
            for (size_t c = 0; c < 3; ++c)
                input[(image * 3 + c) * plane + place] =
                    (bytes[(image * plane + place) * 3 + c] / 255.0f - mean[c]) / std[c];
    return input;
}
""")

_BYTES = Template("""\
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <vector>

// Reads $side x $side red-green-blue bytes, already cut and scaled, for each of $batch image(s).
std::vector<uint8_t> read_input(const char* path) {
    std::ifstream file(path, std::ios::binary);
    std::vector<uint8_t> bytes{std::istreambuf_iterator<char>(file), {}};
    const size_t side = $side, batch = $batch;
    if (bytes.size() != batch * side * side * 3) throw std::runtime_error("wrong number of bytes");
    return bytes;
}
""")

_CPP = {
    "onnxruntime": Template("""\
#include <onnxruntime_cxx_api.h>

int main(int count, char** words) {
    Ort::Env env;
    Ort::SessionOptions settings;
    settings.SetIntraOpNumThreads($threads);
    Ort::Session session(env, "$engine", settings);
    auto values = read_input(words[1]);
    const int64_t shape[] = {$sizes};
    auto memory = Ort::MemoryInfo::CreateCpu(OrtArenaAllocator, OrtMemTypeDefault);
    auto input = Ort::Value::CreateTensor<$number>(memory, values.data(), values.size(), shape, 4);
    const char* inputs[] = {$input};
    const char* names[] = {$names_c};
    auto outputs = session.Run(Ort::RunOptions{}, inputs, &input, 1, names, std::size(names));
    for (size_t at = 0; at < outputs.size(); ++at)
        std::printf("%s %g\\n", names[at], outputs[at].GetTensorData<float>()[0]);
}
"""),
    "openvino": Template("""\
#include <openvino/openvino.hpp>

int main(int count, char** words) {
    ov::Core core;
    auto model = core.compile_model("$engine", "CPU",
        ov::hint::performance_mode(ov::hint::PerformanceMode::LATENCY),
        ov::inference_num_threads($threads), ov::hint::inference_precision(ov::element::$hint));
    auto request = model.create_infer_request();
    auto values = read_input(words[1]);
    request.set_tensor($input, {ov::element::$element, {$sizes}, values.data()});
    request.infer();
    for (const char* name : {$names_c})
        std::printf("%s %g\\n", name, request.get_tensor(name).data<const float>()[0]);
}
"""),
}


def write_readme(folder: Path, manifest: Manifest, device: str = "") -> None:
    """Writes the README beside an engine; see `readme`."""
    write_atomic(folder / NAME, readme(manifest, device))


def readme(manifest: Manifest, device: str = "") -> str:
    """Returns how to call an engine: from Python, and for the CPU from C++ as well.

    Args:
        manifest: Of the engine.
        device: Where it was built and lies, if it is not beside the README.
    """
    values, runtime = _values(manifest), manifest.runtime
    lies = f"\nThe engine lies on the device {inline_code(device)}, in its build folder there.\n"
    values["lies"] = lies if device else ""
    text = _TEXT.substitute(values)
    if manifest.classifier is not None:
        classes = ", ".join(map(inline_code, manifest.classifier.classes))
        text += f'\n`engine.classify("photo.png")` tells classes; `scores` are of {classes}.\n'
    if manifest.dense is not None:
        text += _dense(manifest.dense)
    if runtime in _PYTHON:
        prepare = _PREPARE_RAW if manifest.input.raw else _PREPARE
        code = prepare.substitute(values) + "\n\n" + _PYTHON[runtime].substitute(values)
        code += "for name, output in outputs.items():\n    print(name, output.shape)\n"
        text += f"\n## With {runtime} alone\n\n```python\n{code}```\n"
        read = _BYTES if manifest.input.raw else _NORMALISE
        code = read.substitute(values) + "\n" + _CPP[runtime].substitute(values)
        text += f"\n## From C++\n\n```cpp\n{code}```\n"
    return text


_TOLD = {
    "detection": """
`engine.detect("photo.png")` finds boxes in pixels of the photo. `scores` are how likely a box of a
class has its middle at a place of the grid, `boxes` the left, top, right and bottom of the box
there as shares of the cut square; a box is where a score is the largest of the 3 × 3 places around.
""",
    "segmentation": """
`engine.segment("photo.png")` tells the class of each pixel of the cut square: that of the largest
of the `scores`.
""",
}


def inline_code(text: str) -> str:
    """Returns text as inline code of Markdown, which no name can leave: it may be anybody's."""
    plain = " ".join(re.sub(r"[`\x00-\x1f]", " ", text).split())
    return f"`{plain or '?'}`"


def _quoted(text: str) -> str:
    """Returns text as a literal of Python and of C++."""
    return json.dumps(text)


def _dense(dense: Dense) -> str:
    """Returns what the outputs of a head tell."""
    classes = ", ".join(map(inline_code, dense.classes))
    return f"{_TOLD[dense.task]}Classes: {classes}.\n"


def _values(manifest: Manifest) -> dict[str, object]:
    takes, names = manifest.input, [output.name for output in manifest.outputs]
    chosen = [f"{name}={value}" for name, value in manifest.subnet.items()]
    return {
        "engine": manifest.engine,
        "runtime": manifest.runtime,
        "precision": manifest.precision,
        "what": f"{inline_code(','.join(chosen))} of {inline_code(manifest.space)}.",
        "batch": takes.batch,
        "threads": manifest.threads,
        "measured_ms": f"{manifest.latency.measured_ms:.3f}",
        "ports": "\n".join(_ports(manifest)),
        "precisions": _precisions(manifest),
        "side": takes.side,
        "normalised": _normalised(takes),
        "sizes": ", ".join(map(str, (takes.batch, *_input_shape(takes)))),
        "number": "uint8_t" if takes.raw else "float",
        "element": "u8" if takes.raw else "f32",
        "mean": list(takes.mean),
        "std": list(takes.std),
        "mean_c": ", ".join(f"{value}f" for value in takes.mean),
        "std_c": ", ".join(f"{value}f" for value in takes.std),
        "input": _quoted(takes.name),
        "names_c": ", ".join(map(_quoted, names)),
        "hint": "bf16" if manifest.precision == "bf16" else "f32",
    }


def _precisions(manifest: Manifest) -> str:
    """Returns what the engine was chosen from, if it was."""
    rows = [
        f"| {one.precision} | {one.latency_ms:.3f} | {one.ratio:.3f} | {one.distance:.4f} |"
        for one in manifest.precisions
        if one.latency_ms is not None
    ]
    if not rows:
        return ""
    head = [
        "| precision | ms a call | to the first | distance to the teacher |",
        "|---|---|---|---|",
    ]
    text = "It was chosen from these, measured in one process:"
    return "\n".join(["", text, "", *head, *rows, ""])


def _ports(manifest: Manifest) -> list[str]:
    takes = manifest.input
    batch = "any number" if takes.any_batch else takes.batch
    number = "uint8" if takes.raw else "float32"
    rows = [_port("input", takes.name, number, (batch, *_input_shape(takes)))]
    return rows + [
        _port("output", out.name, "float32", (batch, *out.shape)) for out in manifest.outputs
    ]


def _port(kind: str, name: str, number: str, shape: tuple[int | str, ...]) -> str:
    named = inline_code(name).replace("|", r"\|")
    return f"| {kind} | {named} | {number} [{', '.join(map(str, shape))}] |"


def _input_shape(takes: Input) -> tuple[int, int, int]:
    return (takes.side, takes.side, 3) if takes.raw else (3, takes.side, takes.side)


def _normalised(takes: Input) -> str:
    if takes.raw:
        return "; the engine itself\nscales and normalises their bytes, red, green and blue."
    return (
        f", divided by 255, and normalised: mean {list(takes.mean)}, standard deviation "
        f"{list(takes.std)} for red, green and\nblue."
    )
