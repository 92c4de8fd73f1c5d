"""A new table that starts from an earlier one: what it saves, and what it refuses."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from synthetic_device import HEADER, SyntheticDevice, network_ms

from hwsearch.errors import HwsearchError
from hwsearch.journal import sha256_of
from hwsearch.latency.accuracy import heldout_accuracy
from hwsearch.latency.fit import fit_latency
from hwsearch.latency.table import Table
from hwsearch.latency.transfer import LIKENESS, earlier_table, known_tables
from hwsearch.profiling.options import ProfileOptions
from hwsearch.profiling.profile import profile
from hwsearch.spaces import get_space

SPACE = get_space("bottleneck-32")


def law_elsewhere(ms: float, stem: float) -> float:
    """Another device is slower, more so for large networks and wide stems."""
    return 1.8 * ms**1.05 * (1 + 0.01 * stem)


def started(folder: Path, evidence: int = 20, heldout: int = 60) -> Table:
    """Writes a table of two threads, and one of three that starts from it."""
    earlier = SyntheticDevice(noise=0.002).table(60, folder=folder)
    earlier.write()
    few = SyntheticDevice(seed=5).table(evidence, heldout, blocks=False, folder=folder)
    rows = []
    for row in few.rows:
        ms = network_ms(SPACE, SPACE.subnet(**row.subnet))
        rows.append(
            replace(row, latency_ms=law_elsewhere(ms, row.subnet["stem"]), stderr_rel=0.002)
        )
    source = f"{earlier.device}/{earlier.name}"
    header = replace(
        HEADER, threads=3, source=source, source_sha256=sha256_of(earlier.path), device="other"
    )
    table = Table(folder / "other" / f"{header.name}.jsonl", header, tuple(rows))
    table.write()
    return table


def test_a_few_networks_correct_an_earlier_table(tmp_path: Path) -> None:
    found = heldout_accuracy(started(tmp_path))
    alone, nothing, _ = found.baselines
    assert alone.name == "lawful/bottleneck-32-onnxruntime-fp32-b1-t2 alone"
    assert nothing.name == "from nothing"
    assert found.predictor.mean_error < 0.6 * nothing.mean_error < alone.mean_error
    assert found.predictor.within_5 > 0.95
    assert found.predictor.coverage is not None and found.predictor.coverage > 0.8


def test_codes_and_subnets_are_predicted_alike(tmp_path: Path) -> None:
    fitted, codes = fit_latency(started(tmp_path), SPACE), SPACE.all_codes()[::3000]
    one_by_one = [fitted.predict_subnet(SPACE.decode(code)).mean_ms[0] for code in codes]
    np.testing.assert_allclose(fitted.predict(codes).mean_ms, one_by_one)
    np.testing.assert_allclose(fitted.mean_ms(codes), one_by_one)


def test_an_earlier_table_that_changed_or_is_gone_is_refused(tmp_path: Path) -> None:
    table = started(tmp_path)
    earlier = tmp_path / f"{table.header.source}.jsonl"
    replace(Table.read(earlier), header=replace(Table.read(earlier).header, visits=7)).write()
    with pytest.raises(HwsearchError, match="has changed"):
        fit_latency(table, SPACE)
    earlier.unlink()
    with pytest.raises(HwsearchError, match="which is not here"):
        fit_latency(table, SPACE)


def test_the_nearest_table_is_of_the_same_runtime(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    table = started(tmp_path / "latency_tables")
    other = replace(table.header, runtime="openvino", source="", device="lawful", threads=9)
    Table(table.path.with_name(f"{other.name}.jsonl"), other, table.rows).write()
    wanted = {name: getattr(table.header, name) for name in LIKENESS}
    found = earlier_table("auto", SPACE.name, {**wanted, "device": "lawful", "threads": 9})
    assert found.runtime == "onnxruntime"
    away = Path("latency_tables").rename("elsewhere")
    assert earlier_table(table.header.source, SPACE.name, wanted, away).device == "lawful"
    assert earlier_table("auto", SPACE.name, wanted, away).device == "lawful"
    with pytest.raises(HwsearchError, match="unknown latency table 'lawful"):
        earlier_table(table.header.source, SPACE.name, wanted)
    away.rename("latency_tables")
    with pytest.raises(HwsearchError, match="no other table of space 'basic-32'"):
        earlier_table("auto", "basic-32", wanted)
    with pytest.raises(HwsearchError, match="itself starts from"):
        earlier_table(table.name, SPACE.name, wanted)
    with pytest.raises(HwsearchError, match="is of space"):
        earlier_table(table.name, "basic-32", wanted)


def test_a_table_that_could_not_be_used_is_refused_before_measuring(tmp_path: Path) -> None:
    device, folder = SyntheticDevice(), tmp_path / "tables"
    wanted = {name: getattr(HEADER, name) for name in LIKENESS} | {"threads": 7}
    nearest, sound = device.table(1, folder=folder), device.table(60, folder=folder)
    header = replace(HEADER, device="afar")
    sound = replace(sound, header=header, path=folder / "afar" / sound.path.name)
    for table in (nearest, sound):
        table.write()
    assert earlier_table("auto", SPACE.name, wanted, folder).path == sound.path
    with pytest.raises(HwsearchError, match="too little evidence"):
        earlier_table(f"lawful/{nearest.name}", SPACE.name, wanted, folder)
    outside = tmp_path / "copy.jsonl"
    sound.path.rename(outside)
    with pytest.raises(HwsearchError, match=rf"not where tables are looked up.*to {sound.path}"):
        earlier_table(str(outside), SPACE.name, wanted, folder)


def test_tables_of_spaces_with_longer_names_are_known(tmp_path: Path) -> None:
    space = get_space("bottleneck-32^4")
    table = SyntheticDevice(space).table(1, folder=tmp_path)
    table.write()
    assert table.path.name.startswith("bottleneck-32-4-")
    assert table.path in [found.path for found in known_tables(space.name, tmp_path)]


def test_profile_starts_from_a_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    known = SyntheticDevice().table(60)
    header = replace(known.header, threads=1)  # as near as any, and in a nearer folder
    folder = tmp_path / "latency_tables" / header.device
    replace(known, header=header, path=folder / f"{header.name}.jsonl").write()
    options = ProfileOptions(
        space=SPACE.name,
        runtime="onnxruntime",
        threads=1,
        source="auto",
        evidence=10,
        heldout=2,
        budget_minutes=0.1,
    )
    table = Table.read(profile(options))
    assert table.header.source == f"{header.device}/{header.name}" and not table.blocks
    assert heldout_accuracy(table).evidence == 10
