"""What a build folder says to the person who carries it."""

from hwsearch.deploy.manifest import MANIFEST_NAME, Manifest
from hwsearch.kit.delivery import EXPECTED, INPUTS, ORDER, PROGRAM
from hwsearch.kit.jobs import RESULTS
from hwsearch.latency.table import Table
from hwsearch.profiling.recipe import about_device, how_to_install
from hwsearch.runtime.tensorrt_settings import trtexec_line

README = "README.txt"

_TEXT = """\
This folder becomes one engine on the device {device}: runtime {runtime}, {precision},
batch {batch}, CPU threads {threads}. It holds the network
    {subnet}
of the space {space}, expected to take {predicted_ms:.3f} ms a call ({low_ms:.3f} to {high_ms:.3f}).
Nothing was built or measured yet.

1. Copy the whole folder to the device.

2. Install Python 3.10 or newer and
    {install}

3. Run, with nothing else at work on the device:
    python3 {program}
   It builds the engine from {model}, lets it compute the images in {inputs},
   compares its outputs with the float network's in {expected}, measures its latency on the
   scale of the latency table, and writes {manifest} and the engine beside it.
   An engine that computes something else is removed, and that is said.
   It can be stopped, killed or lose its power at any moment: the same command goes on.
    --measure-seconds X    most time for measuring
    --max-temperature C    rest while the device is hotter, in degrees Celsius
    --fresh                forget an earlier run
   Clocks and power modes are never changed: set them before, as the device will be used.

4. Bring back one file, {results}, and run beside the folder as it was made:
    hwsearch import {results}
   What the engine gave is compared again there, and {manifest} is written there as well.

On the device hwsearch.load(FOLDER) runs the engine where hwsearch is installed. {order} holds the
hashes of all files. The folder work/ may be deleted when {manifest} is there.
{extra}"""

_TRTEXEC = """
The same engine with NVIDIA's own tool, to compare with (hwsearch does not need it):
    {line}
"""


def steps(table: Table, known: Manifest, model: str) -> str:
    """Returns the text of README.txt.

    Args:
        table: The latency table of the device.
        known: What is known of the engine.
        model: The file that it is built from.
    """
    line = trtexec_line(model, table.precision, "trtexec.plan")
    trtexec = _TRTEXEC.format(line=line) if table.runtime == "tensorrt" else ""
    return _TEXT.format(
        device=table.device,
        runtime=table.runtime,
        precision=table.precision,
        batch=table.batch,
        threads=table.threads,
        subnet=",".join(f"{name}={value}" for name, value in known.subnet.items()),
        space=known.space,
        predicted_ms=known.latency.predicted_ms,
        low_ms=known.latency.low_ms,
        high_ms=known.latency.high_ms,
        install=how_to_install(table.runtime),
        program=PROGRAM,
        model=model,
        inputs=INPUTS,
        expected=EXPECTED,
        manifest=MANIFEST_NAME,
        results=RESULTS,
        order=ORDER,
        extra=about_device(table.device, table.runtime) + trtexec,
    )
