"""The interactive page of a report works in a real browser."""

import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browsers import EVIL, browser
from test_report import NAMES, SPACE, write_engine, write_search
from test_report_data import confirm, spoil_evaluation, told

from hwsearch.arguments import parse_options
from hwsearch.deploy.options import DeployOptions
from hwsearch.report.run import ReportOptions, report
from hwsearch.search.evaluations import FILE, Evaluations
from hwsearch.search.front import FILE as FRONT
from hwsearch.search.front import read_front
from hwsearch.search.pick import evaluation_of

__all__ = ["browser"]

Open = Callable[..., Any]


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
    (search / "config.toml").write_text('limit = ["latency_ms<=0.6"]\n')
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


def test_a_network_off_the_front_is_delivered_by_its_number(reported: Path, page: Any) -> None:
    point = click(page, "cloud")
    networks = told(reported)["searches"][0]["networks"]
    subnet = SPACE.decode(np.array(networks["codes"][point["network"]]))
    assert page.text_content("#subnet") == "".join(f"{n} {v}" for n, v in subnet.values)
    options = deployed(page)
    assert (options.search, options.table) == (reported, NAMES[0])
    number = evaluation_of(options.pick)
    assert number is not None
    np.testing.assert_array_equal(
        Evaluations.read(reported).codes[int(number)], SPACE.encode(subnet)
    )


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
    report(ReportOptions(directory=search))
    page = open_page(search / "report" / "report.html")
    assert page.evaluate("document.querySelectorAll('img, b').length") == 0
    assert page.evaluate("typeof pwned") == "undefined"
    assert page.text_content("#title") == search.name
    assert page.text_content("#details p") == tables[0]
    options = deployed(page)
    assert (options.search, options.table) == (search, tables[0])
    click(page, "cloud")
    assert deployed(page).search == search
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
