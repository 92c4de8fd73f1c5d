"""Programs in the README of an engine: to prepare an image, and to call a runtime with it.

Other runtimes than these need settings of their own device, and no program for them has run.
"""

from string import Template

PREPARE = Template("""\
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

PREPARE_RAW = Template("""\
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

PYTHON = {
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

NORMALISE = Template("""\
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

BYTES = Template("""\
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

CPP = {
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
