"""What a report draws, as it is told to its page and to programs."""

import csv
import json
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_report import NAMES, SPACE, write_engine, write_search

from hwsearch.errors import HwsearchError
from hwsearch.journal import Journal
from hwsearch.report.cloud import thin
from hwsearch.report.page import script_json
from hwsearch.report.panel import Search, Series
from hwsearch.report.run import ReportOptions, report
from hwsearch.report.volume import growth
from hwsearch.search import confirmed
from hwsearch.search.evaluations import FILE, Evaluations
from hwsearch.search.front import FILE as FRONT
from hwsearch.search.front import read_front, write_front
from hwsearch.search.pareto import hypervolume


def told(search: Path) -> dict[str, Any]:
    """Returns what the report of a search draws."""
    return json.loads((search / "report" / "report.json").read_text())


def confirm(search: Path) -> list[tuple[str, float]]:
    """Measures one network of the front and one off it, 3 % and 8 % slower than predicted."""
    found, front = Evaluations.read(search), {one.subnet for one in read_front(search)}
    off = next(one for code in found.codes if (one := SPACE.decode(code)) not in front)
    path = search / confirmed.FILE
    with Journal.open(path, confirmed.KIND, {"ships": []}) as journal:
        for subnet, slower in ((next(iter(front)), 1.03), (off, 1.08)):
            ms = SPACE.macs(SPACE.encode(subnet)[None])[0] / 2e7 * slower
            about = {"table": NAMES[0], "subnet": subnet.as_dict(), "latency_ms": ms}
            journal.append({**about, "stderr_rel": 0.01, "passes": 5, "flags": []})
    return [(str(next(iter(front))), 1.03), (str(off), 1.08)]


def test_everything_drawn_is_told(tmp_path: Path) -> None:
    search = write_search(tmp_path / "search")
    confirm(search)
    engine = write_engine(tmp_path / "engine", NAMES[0].split("/")[1])
    report(ReportOptions(directory=search, engines=(engine,)))
    found, data = Evaluations.read(search), told(search)
    assert [view["table"] for view in data["views"]] == list(NAMES)
    networks = data["searches"][0]["networks"]
    order = np.argsort(networks["evaluation"])
    np.testing.assert_array_equal(np.array(networks["codes"])[order], found.codes)
    for view, table in zip(data["views"], NAMES, strict=True):
        front = [one for one in read_front(search) if one.table == table]
        assert [one["latency_ms"] for one in view["front"]] == [one.latency_ms for one in front]
        assert [one["knee"] for one in view["front"]] == [one.knee for one in front]
    off = [one["measured_ms"] / one["predicted_ms"] for one in data["views"][0]["measured"]]
    np.testing.assert_allclose(off, [1.03, 1.08])
    assert [one["folder"] for one in data["views"][0]["engines"]] == [str(engine)]


def test_growth_ends_at_the_hypervolume_of_the_search(tmp_path: Path) -> None:
    search = Search.read(write_search(tmp_path))
    found = search.evaluations
    (curve,) = growth([Series(search, found.targets[0])])
    assert curve.evaluations[-1] == len(found.codes)
    assert curve.volume[-1] == pytest.approx(hypervolume(found.latency_ms[:, 0], found.distance))
    assert np.all(np.diff(curve.volume) >= 0)


def test_a_thinned_cloud_keeps_its_ends_and_its_shape() -> None:
    points = np.random.default_rng(0).uniform((0.1, 0.0), (10.0, 1.0), (20_000, 2))
    points[-1] = (1000.0, 5.0)
    rows = thin(points, 1500)
    assert len(rows) <= 1500
    assert rows[-1] == len(points) - 1
    assert np.all(np.diff(rows) > 0)
    assert len(thin(points[:1500], 1500)) == 1500


def test_comparing_searches_says_which_found_more(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one, two = (write_search(tmp_path / name, NAMES[:1]) for name in ("one", "two"))
    report(ReportOptions(compare=(one, two)))
    lines = [line for line in capsys.readouterr().out.splitlines() if "hypervolume" in line]
    every = len(read_front(one))
    for folder, line in zip((one, two), lines, strict=True):
        assert str(folder) in line
        assert f"{every} of the {every} networks on the front of all" in line
    with (one / "report" / "mixed.csv").open() as file:
        rows = [(row["search"], row["index"]) for row in csv.DictReader(file)]
    assert rows == [(str(found), str(at)) for at in range(every) for found in (one, two)]
    data = json.loads((one / "report" / "mixed--report.json").read_text())
    assert len(data["searches"]) == 2
    assert {one["text"].partition(":")[0] for one in data["views"][0]["series"]} == {"one", "two"}


def test_one_search_alone_is_not_compared(tmp_path: Path) -> None:
    for given in ({}, {"compare": (tmp_path,)}, {"directory": tmp_path, "compare": (tmp_path,)}):
        with pytest.raises(HwsearchError, match="with --compare of two or more"):
            ReportOptions(**given)


def test_fronts_of_one_network_and_of_none_are_reported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    search = write_search(tmp_path)
    write_front([one for one in read_front(search) if one.table == NAMES[0]][:1], search)
    lines = (search / FRONT).read_text().splitlines()
    (search / FRONT).write_text("\n".join(lines).replace(",0,False,", ",0,True,") + "\n")
    names = {file.name for file in report(ReportOptions(directory=search))}
    assert f"{NAMES[1].replace('/', '--')}.png" not in names
    assert f"{NAMES[1]} has no network on its front" in capsys.readouterr().out
    assert [len(view["front"]) for view in told(search)["views"]] == [1, 0]


def test_numbers_that_are_none_are_left_out(tmp_path: Path) -> None:
    search = write_search(tmp_path, NAMES[:1])
    spoil_evaluation(search / FILE)
    front = (search / FRONT).read_text().splitlines()
    cells = front[-1].split(",")
    cells[4] = "nan"
    (search / FRONT).write_text("\n".join([*front[:-1], ",".join(cells)]) + "\n")
    report(ReportOptions(directory=search))
    (view,) = told(search)["views"]
    assert view["front"][-1]["low_ms"] is None
    assert view["series"][0]["unusable"] == 1


def spoil_evaluation(path: Path) -> None:
    """Makes the last distance of a journal no number, as another program might."""
    lines = path.read_bytes().splitlines()
    row = json.loads(lines[-1])["row"] | {"distance": float("nan")}
    body = json.dumps(row, separators=(",", ":")).encode()
    lines[-1] = b'{"crc32":"%08x","row":%s}' % (zlib.crc32(body), body)
    path.write_bytes(b"\n".join(lines) + b"\n")


def test_texts_cannot_end_the_script_they_are_in() -> None:
    text = "</script><!--\u2028&"
    assert not set(script_json(text)) & set("<>&\u2028")
    assert json.loads(script_json(text)) == text


def test_without_plotly_the_figures_are_drawn_and_it_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("hwsearch.report.run.can_draw_page", lambda: False)
    names = {file.name for file in report(ReportOptions(directory=write_search(tmp_path)))}
    assert "report.json" in names
    assert "report.html" not in names
    assert "pip install 'hwsearch[html]'" in capsys.readouterr().out
