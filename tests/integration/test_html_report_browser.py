"""The HTML report in a real browser: nothing runs that is not ours, and everything can be reached and read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from support.browser import PANNING, axe_violations, chromium, opened, picture, rows, selected, touch
from support.profiles import desk_profile, profile
from support.traces import agent, chat, identifier, run_of, tool, workflow

from spanwise_profiling.analysis import profile_of
from spanwise_profiling.render.html import report
from spanwise_profiling.render.html.palette import INKS

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence
    from pathlib import Path

    from playwright.sync_api import Browser

    from spanwise_profiling.profile import Profile

pytestmark = [pytest.mark.slow, pytest.mark.servers, pytest.mark.alone]

HOSTILE = "</script><script>window.hacked = 1</script><img src=x onerror='window.hacked = 1'>"
ATTEMPTS = (
    "fetch('data:text/plain,x')",
    """new Promise((done, fail) => {
      const image = new Image();
      [image.onload, image.onerror] = [done, fail];
      image.src = 'data:image/gif;base64,R0lGODlhAQABAAAAACw=';
    })""",
    "new Promise((done) => { document.body.innerHTML = '<b>x</b>'; done(); })",
    """new Promise((done, fail) => {
      const script = document.createElement('script');
      script.text = 'window.hacked = 1';
      document.body.append(script);
      window.hacked ? done() : fail();
    })""",
)
"""To reach the network, to load a picture, to make markup of text, to run another script."""
TURNED = "pay \u202eeulb\u202c now"


@pytest.fixture(scope="module")
def browser() -> Generator[Browser, None, None]:
    with chromium() as running:
        yield running


@pytest.fixture
def write(tmp_path: Path) -> Callable[[Sequence[Profile]], Path]:
    def written(profiles: Sequence[Profile]) -> Path:
        path = tmp_path / "report.html"
        path.write_text(report(profiles), encoding="utf-8")
        return path

    return written


def as_pixels(colour: str) -> str:
    return ",".join(str(int(colour[at : at + 2], 16)) for at in (1, 3, 5))


def many(agents: int, calls: int) -> Profile:
    """Return the profile of a run of `agents` in turn, each of `calls` of a second; every other call is a tool's."""
    spans, number, now = [], 2, 0.0
    for one in range(agents):
        above, begin = number, now
        number += 1
        for call in range(calls):
            spans.append(
                chat(number, now, now + 1, parent=above) if call % 2 else tool(number, now, now + 1, parent=above)
            )
            number, now = number + 1, now + 1
        spans.append(agent(above, begin, now, name=f"agent {one}", parent=1))
    return profile_of(run_of(workflow(1, 0, now), *spans))


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("runs", [1, 2])
def test_the_page_is_accessible_and_asks_for_nothing(browser: Browser, write: Any, scheme: str, runs: int) -> None:
    with opened(browser, write([desk_profile()] * runs), color_scheme=scheme) as seen:
        untouched = axe_violations(seen.page)
        seen.page.locator(".name").nth(6).click()
        seen.page.locator("summary").first.click()
        seen.page.locator("#search").fill("bull")
        seen.frame()
        used = axe_violations(seen.page)

        assert (untouched, used) == ([], [])
        assert (seen.complaints, seen.requests) == ([], [])


@pytest.mark.parametrize("width", [360, 700, 1920])
def test_the_page_fits_the_screen(browser: Browser, write: Any, width: int) -> None:
    with opened(browser, write([desk_profile(), desk_profile()]), viewport={"width": width, "height": 800}) as seen:
        seen.page.locator(".name").nth(6).click()
        seen.frame()
        wider = seen.page.evaluate("() => document.documentElement.scrollWidth - document.documentElement.clientWidth")

        assert wider == 0


def test_hostile_content_stays_text(browser: Browser, write: Any) -> None:
    prompt = f"{HOSTILE} {TURNED}"
    record = chat(3, 0, 6, model=HOSTILE, parent=2, attributes={"gen_ai.input.messages": prompt, HOSTILE: "a name"})
    run = run_of(workflow(1, 0, 6, name=HOSTILE), agent(2, 0, 6, name=TURNED, parent=1, error=HOSTILE), record)
    with opened(browser, write([profile(run, [(3, 0, 6, "model", "inferred")])])) as seen:
        seen.page.locator(".name").nth(2).click()
        seen.frame()
        values = seen.page.locator("#details .value").all_inner_texts()
        names = seen.page.locator("#details .attributes dt").all_inner_texts()

        assert f"{HOSTILE} pay \\u202eeulb\\u202c now" in values
        assert HOSTILE in names
        assert seen.page.locator("h1").inner_text() == HOSTILE
        assert seen.page.evaluate("() => window.hacked") is None
        assert seen.page.locator("img").count() == 0
        assert (seen.complaints, seen.requests) == ([], [])


def test_a_megabyte_of_text_is_cut_said_so_and_scrolls_in_its_place(browser: Browser, write: Any) -> None:
    run = run_of(workflow(1, 0, 1, attributes={"prompt": "word " * 200_000}))
    with opened(browser, write([profile(run, [(1, 0, 1, "unknown", "inferred")])])) as seen:
        seen.page.locator(".name").first.click()
        seen.frame()
        box = seen.page.locator("#details .value", has_text="word").bounding_box()

        assert (
            "of 1,000,000 characters; the rest is in the recording" in seen.page.locator("#details .cut").inner_text()
        )
        assert box is not None
        assert box["height"] < 400


@pytest.mark.parametrize("attempt", ATTEMPTS)
def test_the_policy_lets_a_script_do_nothing_but_what_the_page_does(browser: Browser, write: Any, attempt: str) -> None:
    with opened(browser, write([desk_profile()])) as seen:
        answer = seen.page.evaluate(
            f"() => Promise.resolve().then(() => {attempt}).then(() => 'done', () => 'refused')"
        )

        assert answer == "refused"


def test_a_finding_jumps_to_its_span(browser: Browser, write: Any) -> None:
    with opened(browser, write([desk_profile()])) as seen:
        seen.page.get_by_role("button", name="Fold to agents").click()
        seen.page.locator(".evidence a").first.click()
        seen.frame()

        assert selected(seen) == "agent bull ValueError"
        assert seen.page.url.endswith(f"#A/{identifier(13)}")
        assert "ValueError" in seen.page.locator("#details").inner_text()
        assert seen.page.evaluate("() => document.activeElement.getAttribute('role')") == "tree"


def test_an_address_with_a_span_opens_the_report_there(browser: Browser, write: Any) -> None:
    with opened(browser, write([desk_profile(), desk_profile()]), fragment=f"#B/{identifier(10)}") as seen:
        assert seen.page.locator(".kind").inner_text() == "B · chat"
        assert selected(seen) == "chat sim-1"


def test_the_keyboard_goes_everywhere(browser: Browser, write: Any) -> None:
    with opened(browser, write([desk_profile()])) as seen:
        tree = seen.page.get_by_role("tree")
        whole = picture(seen)
        visited = []
        for key in ("ArrowDown", "ArrowDown", "ArrowDown", "ArrowLeft", "ArrowDown", "End", "Home", "ArrowUp"):
            tree.press(key)
            visited.append(selected(seen))

        assert visited == [
            "workflow trading", "step dispatch", "agent market_analyst", "agent market_analyst",
            "agent news_analyst", "chat sim-1", "workflow trading", "workflow trading",
        ]  # fmt: skip
        assert "tool prices" not in rows(seen)
        tree.press("Escape")
        tree.press("+")
        assert picture(seen) != whole
        tree.press("/")
        assert seen.page.evaluate("() => document.activeElement.id") == "search"


def test_every_key_moves_what_it_says(browser: Browser, write: Any) -> None:
    with opened(browser, write([desk_profile()])) as seen:
        tree, whole = seen.page.get_by_role("tree"), picture(seen)

        def pressed(*keys: str) -> str:
            for key in keys:
                tree.press(key)
            return picture(seen)

        def chosen(key: str) -> str:
            tree.press(key)
            return selected(seen)

        zoomed = pressed("+", "+")
        moved = pressed("Shift+ArrowRight")
        assert len({whole, zoomed, moved, pressed("Shift+ArrowLeft", "Shift+ArrowLeft")}) == 4
        assert len({whole, pressed("0", "+"), pressed("-", "-")}) == 2
        assert pressed("0") == whole

        assert chosen("p") == chosen("P") == "step dispatch"
        assert chosen("PageDown") == "chat sim-1"
        assert chosen("PageUp") == "workflow trading"
        everything = rows(seen)
        pressed("ArrowLeft")
        assert rows(seen) == ["workflow trading"]
        pressed("ArrowRight")
        assert rows(seen) == everything
        assert chosen("ArrowRight") == "step dispatch"

        seen.page.locator("#search").fill("agent")
        assert [chosen("n"), chosen("n"), chosen("N")] == [
            "agent market_analyst", "agent news_analyst", "agent market_analyst",
        ]  # fmt: skip
        far = picture(seen)
        close = pressed("f")
        assert close != far
        tree.press("Enter")
        assert seen.page.evaluate("() => document.activeElement.id") == "details"
        pressed("Escape")
        assert seen.page.locator(".name[aria-selected=true]").count() == 0
        assert pressed("0") != close


def test_the_critical_path_can_be_walked(browser: Browser, write: Any) -> None:
    with opened(browser, write([desk_profile()])) as seen:
        tree, visited = seen.page.get_by_role("tree"), []
        for _ in range(6):
            tree.press("p")
            visited.append((selected(seen), seen.page.locator("#details dd").first.inner_text()))

        assert visited == [
            ("step dispatch", "0 s"), ("chat sim-1 429", "4.00 s"), ("chat sim-1", "12.00 s"),
            ("chat sim-1", "42.00 s"), ("chat sim-1", "80.00 s"), ("chat sim-1", "80.00 s"),
        ]  # fmt: skip


def test_rows_fold_to_agents_and_to_the_path(browser: Browser, write: Any) -> None:
    with opened(browser, write([desk_profile()])) as seen:
        everything = rows(seen)
        seen.page.get_by_role("button", name="Fold to agents").click()
        seen.frame()
        folded = rows(seen)
        seen.page.get_by_role("button", name="Unfold all").click()
        seen.page.get_by_role("button", name="Only the path").click()
        seen.frame()

        assert len(everything) == 14
        assert folded == [
            "workflow trading", "step dispatch", "agent market_analyst", "agent news_analyst", "agent bull",
            "agent bull ValueError",
        ]  # fmt: skip
        assert rows(seen) == [
            "workflow trading", "step dispatch", "agent market_analyst", "chat sim-1", "agent news_analyst",
            "chat sim-1 429", "agent bull", "chat sim-1", "agent bull ValueError", "chat sim-1",
        ]  # fmt: skip


def test_search_finds_content_and_opens_what_hides_it(browser: Browser, write: Any) -> None:
    with opened(browser, write([many(10, 9)])) as seen:
        assert len(rows(seen)) == 11
        seen.page.locator("#search").fill("PRICES")
        seen.frame()
        assert seen.page.locator(".name.dim:not([hidden])").all_inner_texts() == ["▾workflow trading"]
        assert seen.page.locator("#found").inner_text() == "50 found"
        seen.page.locator("#search").press("Enter")
        seen.page.locator("#search").press("Enter")
        seen.frame()

        assert seen.page.locator("#found").inner_text() == "2 of 50 found"
        assert selected(seen) == "tool prices"
        assert len(rows(seen)) == 20
        seen.page.locator("#search").fill("nothing has this")
        seen.frame()
        assert seen.page.locator("#found").inner_text() == "0 found"


def test_zoom_and_pan_move_the_picture_and_whole_run_brings_it_back(browser: Browser, write: Any) -> None:
    with opened(browser, write([desk_profile()])) as seen:
        page, pictures = seen.page, [picture(seen)]
        box = page.locator("canvas.bars").bounding_box()
        assert box is not None
        x, y = box["x"] + box["width"] / 2, box["y"] + 40
        page.mouse.move(x, y)
        page.keyboard.down("Control")
        page.mouse.wheel(0, -300)
        page.keyboard.up("Control")
        page.mouse.move(5, 5)
        pictures.append(picture(seen))
        page.mouse.move(x, y)
        page.mouse.down()
        page.mouse.move(x - 120, y, steps=5)
        page.mouse.up()
        page.mouse.move(5, 5)
        pictures.append(picture(seen))
        page.get_by_role("button", name="Whole run").click()
        seen.frame()

        assert len(set(pictures)) == 3
        assert picture(seen) == pictures[0]


def test_two_runs_share_the_axis(browser: Browser, write: Any) -> None:
    with opened(browser, write([desk_profile(), desk_profile(scale=10.0)])) as seen:
        second = seen.page.locator("canvas.ruler").nth(1)
        seen.frame()
        before = second.evaluate("(canvas) => canvas.toDataURL()")
        seen.page.get_by_role("tree").first.press("+")
        seen.frame()

        assert second.evaluate("(canvas) => canvas.toDataURL()") != before
        assert seen.page.locator(".track").count() == 2


def test_pointing_at_a_span_shows_who_released_its_wait(browser: Browser, write: Any) -> None:
    with opened(browser, write([desk_profile()]), color_scheme="light") as seen:
        accent = as_pixels("#0b57d0")
        box = seen.page.locator("canvas.bars").bounding_box()
        assert box is not None
        seen.frame()
        assert accent not in seen.colours("canvas.bars")
        seen.page.mouse.move(box["x"] + 80, box["y"] + 5 * 22 + 11)  # the sixth row is the wait's
        seen.frame()

        assert "wait llm ← chat sim-1" in seen.page.locator("#tip").inner_text()
        assert accent in seen.colours("canvas.bars")


def test_the_strip_tells_what_each_stretch_of_the_path_was_and_selects_it(browser: Browser, write: Any) -> None:
    with opened(browser, write([desk_profile()])) as seen:
        box = seen.page.locator("canvas.strip").bounding_box()
        assert box is not None
        seen.page.mouse.move(box["x"] + box["width"] * 8 / 120, box["y"] + 12)
        seen.frame()
        told = seen.page.locator("#tip").inner_text()
        seen.page.mouse.down()
        seen.page.mouse.up()

        assert told.splitlines()[:2] == ["chat sim-1 10.00 s", "Model: not streamed: 8.00 s, observed"]
        assert selected(seen) == "chat sim-1 429"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_path_has_the_buckets_colours_of_the_page(browser: Browser, write: Any, scheme: str) -> None:
    with opened(browser, write([desk_profile()]), color_scheme="light") as seen:
        seen.page.get_by_label("Colours").select_option(scheme)
        seen.frame()
        expected = {
            as_pixels(INKS[bucket].light if scheme == "light" else INKS[bucket].dark)
            for bucket in ("coordination", "model", "model_prefill", "model_decode")
        }

        assert expected <= seen.colours("canvas.strip")
        assert expected <= seen.colours("canvas.bars")


def test_calls_are_listed_sorted_filtered_and_a_page_at_a_time(browser: Browser, write: Any) -> None:
    with opened(browser, write([many(15, 10)])) as seen:
        listed = seen.page.locator("#calls tbody tr")
        assert listed.count() == 100
        assert seen.page.locator("#call-count").inner_text() == "100 of 150 calls"
        seen.page.get_by_role("button", name="Show more").click()
        seen.frame()
        assert listed.count() == 150
        seen.page.get_by_label("Kind").select_option("tool")
        seen.frame()
        assert seen.page.locator("#call-count").inner_text() == "75 of 75 calls"
        seen.page.get_by_role("button", name="start").click()
        seen.frame()
        assert seen.page.locator("#calls [aria-sort]").get_attribute("aria-sort") == "descending"
        assert listed.first.locator("td").first.inner_text() == "148.0 s"
        listed.first.get_by_role("link").click()
        assert selected(seen) == "tool prices"


@pytest.mark.parametrize(
    ("recorded", "shown"),
    [
        ('[{"role":"user","parts":[{"type":"text","content":"buy\\nor not?"}]}]', "user:\nbuy\nor not?"),
        (
            '[{"role":"system","content":"be brief"},{"role":"assistant","parts":[{"type":"tool_call","name":"f"}]}]',
            'system:\nbe brief\n\nassistant:\n{\n  "type": "tool_call",\n  "name": "f"\n}',
        ),
        ('[{"role":"user","content":"a"}', '[{"role":"user","content":"a"}'),
        ('{"a":1}', '{"a":1}'),
        (
            '[{"role":"user","content":"pay \\u202eeulb\\ud83d\\ude00\\u0000"}]',
            "user:\npay \\u202eeulb\N{GRINNING FACE}\\x00",
        ),
        ('["stop"]', '["stop"]'),
        (
            '{"a": [], "b":{"c":[1.0,{}]}, "a":12345678901234567890,"s":"x: [1, {\\u202e"}',
            """{
  "a": [],
  "b": {
    "c": [
      1.0,
      {}
    ]
  },
  "a": 12345678901234567890,
  "s": "x: [1, {\\u202e"
}""",
        ),
        ('[{"role":"a","n":12345678901234567890}]', '[{"role":"a","n":12345678901234567890}]'),
        ("[]", "[]"),
        ("[not json", "[not json"),
        ('[{"role":"user","content":null,"name":"n"}]', 'user:\n{"name":"n"}'),
    ],
)
def test_a_call_shows_its_content_laid_out(browser: Browser, write: Any, recorded: str, shown: str) -> None:
    run = run_of(workflow(1, 0, 2), chat(2, 0, 2, parent=1, attributes={"gen_ai.input.messages": recorded}))
    with opened(browser, write([profile(run, [(2, 0, 2, "model", "inferred")])])) as seen:
        seen.page.locator("#calls tbody a").first.click()
        seen.frame()
        row = seen.page.locator(".attributes .facts > div", has_text="gen_ai.input.messages")

        assert row.locator(".value").inner_text() == shown
        assert seen.complaints == []


def test_it_prints_light_whole_and_as_wide_as_the_paper(browser: Browser, write: Any, tmp_path: Path) -> None:
    with opened(browser, write([many(10, 9)]), color_scheme="dark") as seen:
        before = picture(seen)
        seen.page.evaluate("() => dispatchEvent(new Event('beforeprint'))")
        seen.page.emulate_media(media="print")
        width = seen.page.locator("main").bounding_box()
        ground = seen.page.evaluate("() => getComputedStyle(document.body).backgroundColor")
        wide = seen.page.evaluate(
            "() => Math.max(...[...document.querySelectorAll('table')].map((t) => t.offsetWidth))"
        )
        assert all(part.get_attribute("open") is not None for part in seen.page.locator("details").all())
        operated = seen.page.locator(".tools, .theme, #details, #tip, #more-calls, .skip").all()
        assert len(operated) >= 6
        assert not any(part.is_visible() for part in operated)
        seen.page.emulate_media(media="screen")
        seen.page.evaluate("() => dispatchEvent(new Event('afterprint'))")
        paper = seen.page.pdf(format="A4")

        assert width is not None
        assert (width["width"], ground) == (700, "rgb(255, 255, 255)")
        assert wide <= 700
        assert paper.startswith(b"%PDF")
        assert picture(seen) == before


def test_without_a_script_the_figures_and_findings_are_there(browser: Browser, write: Any) -> None:
    with opened(browser, write([desk_profile()]), java_script_enabled=False) as seen:
        shown = seen.page.locator("body").inner_text()

        assert "Model: writing" in shown
        assert "Let bull work once on both inputs" in shown
        assert "drawn by a script, which is switched off" in shown


def test_fifty_thousand_spans_take_few_elements_and_pan_smoothly(browser: Browser, write: Any) -> None:
    """Half of the frames count: `benchmarks/html.py` measures all of them, on a machine that does nothing else."""
    with opened(browser, write([many(500, 99)])) as seen:
        seen.page.get_by_role("button", name="Unfold all").click()
        seen.page.locator(".names").press("End")
        seen.frame()
        assert selected(seen) == "tool prices"
        for _ in range(4):
            seen.page.get_by_role("button", name="Zoom in").click()
            seen.frame()
        unfolded = seen.page.evaluate(PANNING)
        seen.page.locator(".names").press("Home")
        seen.page.locator(".names").press("ArrowLeft")
        seen.frame()
        folded = seen.page.evaluate(PANNING)

        assert rows(seen) == ["workflow trading"]
        assert (len(unfolded), len(folded)) == (90, 90)
        assert seen.page.evaluate("() => document.querySelectorAll('*').length") < 6_000
        assert seen.complaints == []


def test_two_fingers_zoom_and_one_moves(browser: Browser, write: Any) -> None:
    with opened(browser, write([desk_profile()]), has_touch=True) as seen:
        pictures = [picture(seen)]
        box = seen.page.locator("canvas.bars").bounding_box()
        assert box is not None
        fingers = seen.page.context.new_cdp_session(seen.page)
        x, y = box["x"] + box["width"] / 2, box["y"] + 60
        for apart in ((60, -60), (0,)):
            touch(fingers, "touchStart", [(x + part, y) for part in apart])
            for step in range(1, 6):
                touch(fingers, "touchMove", [(x + part + step * (part / 4 or 12), y) for part in apart])
            touch(fingers, "touchEnd", [])
            pictures.append(picture(seen))

        assert len(set(pictures)) == 3
        seen.page.get_by_role("button", name="Whole run").click()
        seen.frame()
        assert picture(seen) == pictures[0]
