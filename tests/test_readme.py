"""The commands of the README, run in their order: the end-to-end test."""

import re
import subprocess
import sys

import pytest
import readme

NAME = "bottleneck-32-onnxruntime-fp32-b1-t2"


@pytest.mark.slow
def test_the_commands_of_the_readme_leave_the_files_it_names(user_folder):
    for kept in (
        "runs/photos/config.toml",
        "runs/photos/metrics.jsonl",
        "runs/photos/checkpoint.safetensors",
        f"latency_tables/*/{NAME}.jsonl",
        "searches/photos/config.toml",
        "searches/photos/evaluations.jsonl",
        "searches/photos/front.csv",
        "searches/joint/joint.csv",
        "engines/joint/manifest.json",
        f"searches/photos/report/*{NAME}.png",
        f"searches/photos/report/*{NAME}.svg",
        "searches/photos/report/report.html",
        "latency_tables/*/plain-32-onnxruntime-fp32-b1-t2.jsonl",
        "runs/plain/checkpoint.safetensors",
        "engines/smallest/README.md",
        "hub/photos/model.safetensors",
        "engines/photos/model.onnx",
        "engines/photos/weights.safetensors",
        "engines/photos/manifest.json",
        "latency_tables/*/catalogue-models-*.jsonl",
        "latency_tables/*/basic-32-onnxruntime-*.jsonl",
        "searches/ours/report/mixed.csv",
        "searches/ours/report/mixed--*.png",
        "engines/model/manifest.json",
        "probes/photos/verdicts.csv",
        "studies/photos/correlation.csv",
        "studies/photos/correlation.png",
        "clusters/photos/assignments.csv",
        "clusters/photos/sheets/1.1.png",
        "engines/auto/manifest.json",
        "learned/photos/learned.json",
        "studies/networks/accuracy.csv",
        "choices/photos/choices.html",
    ):
        assert list(user_folder.glob(kept)), kept


@pytest.mark.slow
def test_the_example_script_chooses_a_network(user_folder):
    script = readme.ROOT / "examples" / "choose_subnet.py"
    words = [sys.executable, "-W", "error", str(script), NAME]
    readme.run([*words, "1000", "--engine", "engines/photos", "--photo", "photo.png"], user_folder)


def test_the_other_commands_of_the_readme_exist():
    makefile = (readme.ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^(\w+):", makefile, flags=re.MULTILINE))
    for program, *rest in readme.commands():
        if program == "make":
            assert rest[0] in targets
        else:
            assert program in ("hwsearch", "pip", "export", "python3")


def test_the_readme_tells_the_size_of_every_family():
    script = "import sys; sys.path.insert(0, 'tests'); import readme; print(readme.families())"
    words = [sys.executable, "-c", script]  # other tests have registered spaces of their own
    done = subprocess.run(words, cwd=readme.ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() in readme.TEXT, done.stdout


def test_the_files_that_the_readme_links_exist():
    for target in re.findall(r"\]\(([^)#]+)\)", readme.TEXT):
        assert target.startswith("http") or (readme.ROOT / target).exists(), target
