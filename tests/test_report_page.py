"""The interactive page of a report: what it tells, and that it works in a real browser."""

import json
import shlex
import shutil
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_report import NAMES, SPACE, write_engine, write_search

from hwsearch.arguments import parse_options
from hwsearch.deploy.options import DeployOptions
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

EVIL = """<img src=x onerror=pwned=1>&'"$1<b>"""
"""A name that is HTML, for a browser and for plotly."""

BROWSERS = ("chromium", "chromium-browser", "google-chrome")


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
    assert [str(folder) in line for folder, line in zip((one, two), lines, strict=True)]
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


Open = Callable[..., Any]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A browser without a window."""
    pytest.importorskip("plotly", reason="plotly is not installed")
    sync = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        pytest.skip(f"no browser on the PATH: none of {', '.join(BROWSERS)}")
    with sync.sync_playwright() as play:
        started = play.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture(scope="module")
def open_page(browser: Any) -> Iterator[Open]:
    """Opens reports offline; in the end none of them has complained or asked for anything."""
    contexts, said, asked = [], [], []

    def opened(path: Path, scheme: str = "light") -> Any:
        context = browser.new_context(
            offline=True, color_scheme=scheme, viewport={"width": 1400, "height": 900}
        )
        context.grant_permissions(["clipboard-read", "clipboard-write"])
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(path.as_uri())
        page.wait_for_selector("#details > *")
        assert said == []
        return page

    yield opened
    for context in contexts:
        context.close()
    assert said == []
    assert len(asked) == len(contexts)


@pytest.fixture(scope="module")
def reported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A search of two tables with limits, measured networks and a delivered engine."""
    folder = tmp_path_factory.mktemp("reported")
    search = write_search(folder / "my search")
    confirm(search)
    (search / "config.toml").write_text(
        'checkpoint = "runs/photos"\nimages = "my photos"\nteacher = ""\nweights = "online"\n'
        f'limit = ["latency_ms<=0.6"]\ntables = {[f"{name}.jsonl" for name in NAMES]}\n'
    )
    engine = write_engine(folder / "engine", NAMES[0].split("/")[1])
    report(ReportOptions(directory=search, engines=(engine,)))
    return search


def until(page: Any, condition: str, value: object = None) -> None:
    """Waits for a function to hold; playwright's own way needs what the page forbids: eval."""
    for _ in range(400):
        if page.evaluate(condition, value):
            return
        page.wait_for_timeout(25)
    pytest.fail(f"never came: {condition}")


@pytest.fixture(scope="module")
def opened(reported: Path, open_page: Open) -> Any:
    """Its page, for all tests that use it as a person would."""
    return open_page(reported / "report" / "report.html")


@pytest.fixture
def page(opened: Any) -> Any:
    """The same page as it was when it was opened."""
    opened.evaluate("state.chosen = null")
    opened.click("#reset")
    until(opened, "() => state.chosen?.front?.knee")
    return opened


def click(page: Any, kind: str) -> dict[str, Any]:
    """Clicks the last drawn point of a kind where it is on the screen; returns what it is."""
    at = page.evaluate(
        """kind => {
            const plot = document.getElementById("front"), {xaxis, yaxis} = plot._fullLayout;
            plot.scrollIntoView();
            const box = plot.getBoundingClientRect();
            const shown = new Set(plot.data.flatMap(trace => trace.customdata || []));
            const point = POINTS.findLast(one => one.kind === kind && shown.has(one.id));
            return {
                x: box.x + xaxis._offset + xaxis.d2p(point.x),
                y: box.y + yaxis._offset + yaxis.d2p(point.y), point,
            };
        }""",
        kind,
    )
    page.mouse.move(at["x"], at["y"])
    hovered = "id => document.getElementById('front')._hoverdata?.[0].customdata === id"
    until(page, hovered, at["point"]["id"])
    page.mouse.click(at["x"], at["y"])
    return at["point"]


def shown_points(page: Any) -> int:
    """Counts the points of the main plot, but for the ring around the chosen one."""
    return page.evaluate(
        """() => new Set(document.getElementById("front").data.slice(0, -1)
            .flatMap(trace => trace.customdata || [])).size"""
    )


def deployed(page: Any) -> DeployOptions:
    """Copies the command that is shown, and reads it as the program would."""
    page.click("#copy")
    until(page, "() => document.getElementById('copy').textContent === 'Copied'")
    command = page.evaluate("navigator.clipboard.readText()")
    assert command == page.text_content("#command")
    program, verb, *words = shlex.split(command)
    assert (program, verb) == ("hwsearch", "deploy")
    return parse_options(
        DeployOptions, words, prog="", summary="", example="", positional=("search",)
    )


def test_a_click_shows_a_network_and_the_command_that_delivers_it(
    reported: Path, page: Any
) -> None:
    assert page.text_content("#details h2") == "Knee of the front"
    assert page.locator("[data-title*=Share]").count() == 0
    index = click(page, "front")["front"]["index"]
    point = next(p for p in read_front(reported) if (p.table, p.index) == (NAMES[0], index))
    assert page.text_content("#subnet") == "".join(f"{n} {v}" for n, v in point.subnet.values)
    assert f"{point.latency_ms:.4g} ms" in page.text_content("#details")
    assert NAMES[1].split("32-")[1] in page.text_content("#details")
    options = deployed(page)
    assert (options.search, options.table) == (reported, NAMES[0])
    assert options.pick == f"index={index}"


def test_a_network_off_the_front_is_delivered_by_its_values(reported: Path, page: Any) -> None:
    point = click(page, "cloud")
    networks = told(reported)["searches"][0]["networks"]
    subnet = SPACE.decode(np.array(networks["codes"][point["network"]]))
    assert page.text_content("#subnet") == "".join(f"{n} {v}" for n, v in subnet.values)
    options = deployed(page)
    assert options.subnet == str(subnet)
    assert options.checkpoint == Path("runs/photos")
    assert (options.images, options.table) == ("my photos", f"{NAMES[0]}.jsonl")


def test_measured_networks_and_engines_stand_out(page: Any) -> None:
    assert "2 of 3 within ±5 %" in page.text_content("#measured-note")
    click(page, "measured")
    assert page.text_content("#details h2") == "Measured network, off the front"
    click(page, "engine")
    assert page.text_content("#details h2") == "Delivered engine"
    assert "latency_ms<=0.6" in page.text_content("#front")


def test_filters_hide_points(page: Any) -> None:
    every = shown_points(page)
    page.fill("#from", "0.5")
    few = shown_points(page)
    assert 0 < few < every
    assert f"{every - few} points are outside" in page.text_content("#note")
    page.fill("#to", "0.4")
    assert page.text_content("#details") == "No network is in this range."
    page.click("#reset")
    page.wait_for_selector("#details h2")
    page.select_option("#view", "all")
    assert shown_points(page) > every
    page.select_option("#view", "1")
    assert NAMES[1] in page.text_content("#details")


def test_the_table_is_chosen_from_by_keyboard(reported: Path, page: Any) -> None:
    page.focus("#table tbody tr:last-child")
    page.keyboard.press("Enter")
    last = max(point.index for point in read_front(reported) if point.table == NAMES[0])
    assert deployed(page).pick == f"index={last}"


def test_it_is_light_or_dark_as_asked_for(reported: Path, open_page: Open, page: Any) -> None:
    colour = "getComputedStyle(document.body).backgroundColor"
    plot = "document.getElementById('front').layout.font.color"
    dark = open_page(reported / "report" / "report.html", "dark")
    assert (page.evaluate(colour), dark.evaluate(colour)) == (
        "rgb(255, 255, 255)",
        "rgb(22, 24, 29)",
    )
    page.click("#theme")
    assert page.evaluate(colour) == dark.evaluate(colour)
    assert page.evaluate(plot) == dark.evaluate(plot)
    page.click("#theme")
    assert page.evaluate(colour) == "rgb(255, 255, 255)"


def test_names_are_shown_as_they_are(tmp_path: Path, open_page: Open) -> None:
    tables = tuple(f"here/bottleneck-32-{EVIL}{number}-fp32-b1-t2" for number in range(2))
    search = write_search(tmp_path / f"{EVIL}\u2028", tables, device=EVIL)
    (search / "config.toml").write_text(f"images = {json.dumps(EVIL)}\ntables = []\n")
    report(ReportOptions(directory=search))
    page = open_page(search / "report" / "report.html")
    assert page.evaluate("document.querySelectorAll('img, b').length") == 0
    assert page.evaluate("typeof pwned") == "undefined"
    assert page.text_content("#title") == search.name
    assert page.text_content("#details p") == tables[0]
    options = deployed(page)
    assert (options.search, options.table) == (search, tables[0])
    click(page, "cloud")
    assert deployed(page).images == EVIL
    page.select_option("#view", "all")
    until(page, "() => document.querySelectorAll('#front .legendtext').length > 3")
    assert f"{EVIL}1, fp32" in page.text_content("#front")
    assert page.evaluate("document.querySelectorAll('img, b').length") == 0
    assert page.evaluate("typeof pwned") == "undefined"


def test_a_front_of_nothing_still_has_a_page(tmp_path: Path, open_page: Open) -> None:
    search = write_search(tmp_path)
    (search / FRONT).write_text((search / FRONT).read_text().splitlines()[0] + "\n")
    spoil_evaluation(search / FILE)
    report(ReportOptions(directory=search))
    page = open_page(search / "report" / "report.html")
    assert "No network is on the front." in page.text_content("#note")
    assert page.is_hidden("#table-card")
