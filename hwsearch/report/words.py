"""What figures say in words: titles, and which points have a name."""

from hwsearch.report.labels import Label
from hwsearch.report.panel import Panel, Series, model_name
from hwsearch.report.style import INK, KNEE, MEASURED
from hwsearch.search.evaluations import Target

RUNTIMES = {
    "onnxruntime": "ONNX Runtime",
    "onnxruntime-coreml": "ONNX Runtime with Core ML",
    "onnxruntime-cuda": "ONNX Runtime with CUDA",
    "onnxruntime-openvino": "ONNX Runtime with OpenVINO",
    "onnxruntime-qnn": "ONNX Runtime with QNN",
    "onnxruntime-tensorrt": "ONNX Runtime with TensorRT",
    "onnxruntime-xnnpack": "ONNX Runtime with XNNPACK",
    "openvino": "OpenVINO",
    "openvino-gpu": "OpenVINO on a GPU",
    "openvino-npu": "OpenVINO on an NPU",
    "tensorrt": "TensorRT",
    "torch": "PyTorch",
    "torch-aoti": "AOTInductor",
}
"""Names of runtimes as their makers write them."""

MOST_NAMES = 12
"""Models of catalogues that are named in one picture; those of the front come first."""


def conditions(target: Target) -> str:
    """Describes runtime, precision, batch and threads of a target."""
    threads = f"{target.threads} thread{'s' * (target.threads != 1)}"
    runtime = RUNTIMES.get(target.runtime, target.runtime)
    rhythm = f", {target.pace_hz:g} calls a second" if target.pace_hz else ""
    return f"{runtime}, {target.precision}, batch {target.batch}, {threads}{rhythm}"


def heading(panel: Panel) -> str:
    """Describes what a panel's latencies are of."""
    return "the best of its tables" if panel.joint else conditions(panel.target)


def subtitle(panel: Panel) -> str:
    """Tells which spaces the front is of; of a single one how much was looked at."""
    if panel.joint:
        first = panel.series[0]
        return f"One Pareto front of {first.search.name}: {_share(first)} networks evaluated"
    names = [_name(panel, series) for series in panel.series]
    if len(names) > 1:
        return f"One Pareto front of {', '.join(names[:-1])} and {names[-1]}"
    return f"Pareto front of {names[0]}: {_share(panel.series[0])} networks evaluated"


def legend_text(panel: Panel, series: Series) -> str:
    """Names a search's points in a legend."""
    if len(panel.series) == 1:
        return "evaluated network"
    if panel.joint:
        target = series.target
        return f"{RUNTIMES.get(target.runtime, target.runtime)} {target.precision}"
    return f"{_name(panel, series)} ({_share(series)})"


def _name(panel: Panel, series: Series) -> str:
    """Names a search by its space, and by its folder where several are of one space."""
    name = series.search.name
    others = {one.search.folder for one in panel.series if one.search.name == name}
    return f"{series.search.folder.resolve().name}: {name}" if len(others) > 1 else name


def _share(series: Series) -> str:
    found = series.search.evaluations
    return f"{len(found.codes):,} of {found.space.size:,}"


def labels_of(panel: Panel) -> list[Label]:
    """Names the knee, the ends of supernets, delivered engines and models of catalogues."""
    labels = [knee_label(panel)]
    for name, (x, y) in panel.ends:
        labels.append(Label(f"{name}  {_ms(x)}", x, y, INK))
    for engine in panel.delivered:
        text = f"measured {_ms(engine.measured_ms)}\npredicted {_ms(engine.predicted_ms)}"
        labels.append(Label(text, engine.measured_ms, engine.measured_distance, MEASURED))
    return labels + _model_labels(panel)


def knee_label(panel: Panel) -> Label:
    """Names the knee of the front."""
    series, bend = next((series, point) for series, point in panel.front if point.knee)
    name = f"knee: {model_name(bend.subnet)}" if series.search.is_catalogue else "knee"
    return Label(f"{name}  {_ms(bend.latency_ms)}", bend.latency_ms, bend.distance, KNEE)


def _model_labels(panel: Panel) -> list[Label]:
    """Names the models on the front and then the closest to the teacher, but not the knee."""
    front = {model_name(p.subnet) for series, p in panel.front if series.search.is_catalogue}
    bend = panel.knee
    labels = [
        (name not in front, y, Label(name, x, y, INK))
        for series in panel.series
        for name, (x, y) in series.models.items()
        if (x, y) != (bend.latency_ms, bend.distance)
    ]
    labels.sort(key=lambda entry: entry[:2])
    return [label for *_, label in labels[:MOST_NAMES]]


def _ms(latency_ms: float) -> str:
    return f"{latency_ms:#.3g}".rstrip(".") + " ms"
