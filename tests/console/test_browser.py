"""The page in Debian's Chromium, against a real server and real stores.

Every test also fails on a violation of the page's policy, an error in its scripts, or a request to
another host.
"""

from __future__ import annotations

import asyncio
import re
import sqlite3
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import pytest
import pytest_asyncio
from playwright.async_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Page,
    Request,
    Route,
    async_playwright,
    expect,
)

from gatewayd.clock import SystemClock
from gatewayd.domain.events import (
    AlarmAcknowledged,
    AlarmShelved,
    FireDetected,
    OperatorOrdered,
    WhereaboutsForgiven,
)
from gatewayd.domain.model import (
    AlarmKind,
    DeviceId,
    DoorId,
    DoorMode,
    ModeSlot,
    Reason,
    Remedy,
    RuleResult,
    RuleTrace,
)
from gatewayd.store.operators import Operator, Role
from gatewayd.wording import Names, Wording
from tests.console.rig import HASH, PASSWORD, Rig, rig, served
from tests.store.lists import person

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]

XSS = "<img src=x onerror=\"document.title='pwned'\"><script>document.title='pwned'</script>"
expect.set_options(timeout=15_000)  # a busy machine is no failure
EXPECTED = ("net::ERR_", "status of 401", "status of 409")  # what a lost box and a refusal print


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    """One for all tests: each page has a context, and so cookies and storage, of its own."""
    async with async_playwright() as playwright:
        launched = await playwright.chromium.launch(
            executable_path="/usr/bin/chromium",
            args=["--no-sandbox", "--disable-background-networking", "--disable-gpu"],
        )
        yield launched
        await launched.close()


@pytest_asyncio.fixture(loop_scope="module")
async def console(tmp_path: Path) -> AsyncIterator[Rig]:
    async with rig(tmp_path, SystemClock(), [person(66, name=XSS, building=XSS)]) as opened:
        yield opened


class Desk:
    """A browser at the post; what it complained of is kept."""

    def __init__(self, browser: Browser, url: str) -> None:
        self.browser = browser
        self.url = url
        self.complaints: list[str] = []

    async def page(self, operator: str = "li-guard", **options: Any) -> Page:
        """A console of its own, signed in, showing what is live."""
        context = await self.context(**options)
        page = await context.new_page()
        await page.goto(self.url)
        await sign_in(page, operator)
        await expect(page.locator(".flow.good")).to_be_visible()
        return page

    async def context(self, **options: Any) -> BrowserContext:
        options.setdefault("viewport", {"width": 1366, "height": 768})
        context = await self.browser.new_context(locale="en-GB", reduced_motion="reduce", **options)
        context.set_default_timeout(15_000)
        context.on("console", self._said)
        context.on("weberror", lambda error: self.complaints.append(str(error.error)))
        context.on("request", self._asked)
        return context

    def _said(self, message: ConsoleMessage) -> None:
        ours = message.type in {"error", "warning"}
        if ours and not any(known in message.text for known in EXPECTED):
            self.complaints.append(message.text)

    def _asked(self, request: Request) -> None:
        if urlsplit(request.url).netloc != urlsplit(self.url).netloc:
            self.complaints.append(f"asked another host: {request.url}")


async def sign_in(page: Page, operator: str, password: str = PASSWORD) -> None:
    await page.locator("[name=name]").fill(operator)
    await page.locator("[name=password]").fill(password)
    await page.keyboard.press("Enter")


@asynccontextmanager
async def desk_at(browser: Browser, url: str) -> AsyncIterator[Desk]:
    desk = Desk(browser, url)
    try:
        yield desk
    finally:
        for context in browser.contexts:
            await context.close()
    assert desk.complaints == []


@pytest_asyncio.fixture(loop_scope="module")
async def desk(console: Rig, browser: Browser) -> AsyncIterator[Desk]:
    async with served(console.deps) as url, desk_at(browser, url) as opened:
        yield opened


def row(page: Page, seq: int) -> Any:  # a locator
    return page.locator(f'[data-seq="{seq}"]')


async def test_a_guard_logs_in_and_sees_an_entry_with_its_picture_as_it_happens(
    console: Rig, desk: Desk
) -> None:
    context = await desk.context()
    page = await context.new_page()
    await page.goto(desk.url)
    await sign_in(page, "li-guard", "not-the-password")
    await expect(page.get_by_role("alert")).to_have_text("Name or password is wrong.")
    await sign_in(page, "li-guard")
    await expect(page.get_by_text("No entries yet")).to_be_visible()
    seq = await console.denied()
    await console.picture(seq)
    entry = row(page, seq)
    await expect(entry).to_contain_text("王芳")
    await expect(entry).to_contain_text("Bldg 6 Unit 2 Room 1203")
    await expect(entry).to_contain_text("Denied")
    await expect(entry).to_contain_text("Card expired")
    await expect(entry.locator("img")).to_have_js_property("naturalWidth", 640)
    panel = page.locator(".panel")
    await expect(panel).to_contain_text("This card expired on 18 Nov")
    await expect(panel).to_contain_text("Call the owner, or register a visit.")
    await expect(panel.locator("img")).to_have_js_property("naturalWidth", 640)
    await expect(page.locator("[aria-live=polite]")).to_have_text(
        "Denied: 王芳, 东门人行, Card expired"
    )
    await page.keyboard.press("p")
    await expect(page.locator("dialog .large-picture")).to_be_visible()
    await page.keyboard.press("Escape")
    await expect(page.locator("dialog")).to_have_count(0)


async def test_how_it_was_decided_is_one_click_away(console: Rig, desk: Desk) -> None:
    page = await desk.page()
    soft = RuleTrace("anti_passback", "in_order", RuleResult.WARN, (("area", "garage"),))
    old = RuleTrace("an_older_rule", "what it saw, in its own words", RuleResult.PASS)
    ended = RuleTrace("valid_until", "ended", RuleResult.FAIL, (("valid_until_s", "1794960000"),))
    extend = Remedy("extend", (("beyond_s", "1794960000"),))
    await console.denied(trace=(old, soft, ended), remedies=(extend,))
    await page.get_by_text("How it was decided").click()
    trace = page.locator(".trace")
    await expect(trace.locator(".pass")).to_contain_text("what it saw, in its own words")
    await expect(trace.locator(".warn")).to_contain_text("In order for garage")
    await expect(trace.locator(".fail")).to_contain_text("Ended 18 Nov")
    await expect(trace.locator("ul")).to_have_text(
        "the credential is extended beyond 18 Nov, 08:00"
    )


@pytest.mark.parametrize("size", [(1440, 900), (1100, 700), (700, 900)])
async def test_one_key_brings_how_it_was_decided_into_sight(
    console: Rig, desk: Desk, size: tuple[int, int]
) -> None:
    await console.picture(await console.denied())
    page = await desk.page(viewport={"width": size[0], "height": size[1]})
    await expect(page.locator(".facts")).to_be_visible()
    await page.keyboard.press("w")
    await expect(page.locator(".trace .fail")).to_be_in_viewport(ratio=1)
    await page.keyboard.press("w")
    await expect(page.locator(".trace .fail")).not_to_be_visible()
    await page.keyboard.press("?")
    await expect(page.get_by_role("dialog")).to_contain_text("How the shown entry was decided")


@pytest.mark.parametrize(
    ("operator", "language", "opens"),
    [("li-guard", "en", "How it was decided"), ("zhao-guard", "zh-CN", "判定过程")],
)
async def test_the_page_says_what_gatewayd_why_says(
    console: Rig, desk: Desk, operator: str, language: str, opens: str
) -> None:
    names = Names({"main-gate": "东门人行"}, levels={"residents": "Residents"})
    words = Wording(language, ZoneInfo("Asia/Shanghai"), round(time.time()), names)
    page = await desk.page(operator)
    lines = (
        RuleTrace("credential_known", "known", RuleResult.PASS, (("kind", "card"),)),
        RuleTrace("valid_from", "begun", RuleResult.PASS, (("valid_from_s", "1746435600"),)),
        RuleTrace("interlock", "blocked", RuleResult.FAIL, (("other_door", "main-gate"),)),
    )
    mends = (
        Remedy("come_after_or_hold_level", (("after_s", "1788364800"), ("level", "residents"))),
    )
    await console.denied(Reason.INTERLOCKED, detail=lines[-1].facts, trace=lines, remedies=mends)
    await page.get_by_text(opens).click()
    trace = page.locator(".trace")
    for number, line in enumerate(lines):
        for text in words.rule(line):
            await expect(trace.locator("ol > li").nth(number)).to_contain_text(text)
    await expect(trace.locator("ul")).to_have_text(words.remedy(mends[0]))


async def test_an_entry_tells_of_a_warning_no_camera_and_a_role_of_its_own(
    console: Rig, desk: Desk
) -> None:
    soft = RuleTrace("anti_passback", "inside_soft", RuleResult.WARN)
    seq = await console.granted(17, "b1-in", trace=(soft,))
    page = await desk.page()
    await expect(row(page, seq).locator(".entry-verdict")).to_have_text("GrantedWith a warning")
    await expect(page.locator(".panel-verdict")).to_contain_text("With a warning")
    await expect(page.locator(".panel-picture")).to_have_text("No camera here")
    said = await page.evaluate(
        "import('/static/js/words.js').then(w => [w.roleOf('landlord'), w.roleOf('owner'),"
        " w.modeOf({mode: 'Accessed', kind: 'barrier'}),"
        " w.modeOf({mode: 'Accessed', kind: 'door'}),"
        " w.remedyOf({change: 'add_credential', facts: {kind: 'card'}})])"
    )
    assert said == [
        "landlord", "Owner", "Vehicle passes", "Someone passes", "the card is put into the list"
    ]  # fmt: skip


async def test_a_name_made_of_markup_is_only_a_name(console: Rig, desk: Desk) -> None:
    page = await desk.page()
    seq = await console.denied(Reason.EXPIRED, 66, detail=(("valid_until_s", XSS),))
    await console.denied(Reason.OUTSIDE_SCHEDULE, 66, detail=(("schedules", XSS),))
    await console.alarms.raise_alarm(AlarmKind.DEVICE_OFFLINE, XSS, XSS)
    await expect(row(page, seq).locator(".entry-name")).to_have_text(XSS)
    await expect(page.locator(".panel .why")).to_contain_text(XSS)
    await page.keyboard.press("3")
    await expect(page.locator(".alarm-about")).to_have_text(XSS)
    await expect(page).to_have_title("Gate console")


async def test_a_new_entry_never_moves_what_the_hand_is_about_to_click(
    console: Rig, desk: Desk
) -> None:
    first = await console.granted()
    page = await desk.page()
    await row(page, first).hover()
    await expect(page.locator(".flow.warn")).to_have_text("List paused")
    before = await row(page, first).bounding_box()
    second, third = await console.granted(), await console.denied()
    await expect(page.get_by_test_id("new").or_(page.locator("[data-test=new]"))).to_contain_text(
        "2 new"
    )
    await console.outcome(first)
    assert await row(page, first).bounding_box() == before
    await expect(page.locator(".entry")).to_have_count(1)
    await page.mouse.move(1200, 700)
    await expect(page.locator(".entry")).to_have_count(3)
    order = await page.locator(".entry").evaluate_all("rows => rows.map(r => +r.dataset.seq)")
    assert order == [third, second, first]


async def test_the_list_is_walked_and_filtered_from_the_keyboard(console: Rig, desk: Desk) -> None:
    seqs = [await console.granted(), await console.denied(), await console.granted()]
    page = await desk.page()
    await expect(page.locator(".entry")).to_have_count(3)
    await row(page, seqs[2]).locator("button").focus()
    await page.keyboard.press("ArrowDown")
    await page.keyboard.press("Enter")
    await expect(row(page, seqs[1]).locator("button")).to_have_attribute("aria-pressed", "true")
    await expect(page.locator(".panel-verdict")).to_contain_text("Denied")
    await page.keyboard.press("j")
    await expect(page.locator(".panel-verdict")).to_contain_text("Granted")
    await page.keyboard.press("f")
    await expect(page.locator(".entry")).to_have_count(1)
    await console.granted()
    last = await console.denied()
    await page.keyboard.press("j")
    await expect(row(page, last)).to_be_visible()
    await expect(page.locator(".entry")).to_have_count(2)


async def test_older_entries_come_when_asked_for(console: Rig, desk: Desk) -> None:
    seqs = [await console.granted() for _ in range(70)]
    page = await desk.page()
    await expect(page.locator(".entry")).to_have_count(60)
    await page.get_by_role("button", name="Older entries").click()
    await expect(page.locator(".entry")).to_have_count(70)
    await expect(row(page, seqs[0])).to_have_count(1)
    await expect(page.get_by_text("No older entries")).to_be_attached()


async def test_one_key_changes_the_language_and_it_stays(console: Rig, desk: Desk) -> None:
    await console.denied()
    page = await desk.page()
    await page.keyboard.press("l")
    await expect(page.get_by_role("heading", name="实时出入")).to_be_visible()
    await expect(page.locator(".panel")).to_contain_text("致电业主，或登记访客。")
    await expect(page.locator(".entry-reason")).to_have_text("卡已到期")
    await expect(page.locator("html")).to_have_attribute("lang", "zh-CN")
    async with asyncio.timeout(5):
        while (await _operator(console, "li-guard")).language != "zh-CN":
            await asyncio.sleep(0)
    await page.reload()
    await expect(page.get_by_role("heading", name="实时出入")).to_be_visible()


async def test_a_new_operator_goes_on_in_the_log_ins_language(console: Rig, desk: Desk) -> None:
    await console.operators.put(Operator("new-guard", Role.GUARD, HASH))
    page = await (await desk.context()).new_page()
    await page.goto(desk.url)
    await expect(page.get_by_role("button", name="Sign in")).to_be_visible()
    await sign_in(page, "new-guard")
    await expect(page.get_by_role("heading", name="Live entries")).to_be_visible()


async def test_the_log_in_has_a_button_for_the_other_language(console: Rig, desk: Desk) -> None:
    page = await (await desk.context()).new_page()
    await page.goto(desk.url)
    await page.get_by_role("link", name="中文").click()
    await expect(page.get_by_role("button", name="登录")).to_be_visible()
    await page.wait_for_load_state("load")
    await sign_in(page, "li-guard", "a wrong one")
    await expect(page.locator("#problem")).not_to_be_empty()
    await sign_in(page, "li-guard")
    await expect(page.get_by_role("heading", name="实时出入")).to_be_visible()
    assert (await _operator(console, "li-guard")).language == "zh-CN"


async def test_the_panel_has_seconds_and_offers_no_door_to_a_watch_list_hit(
    console: Rig, desk: Desk
) -> None:
    page = await desk.page("zhao-guard")
    await console.denied()
    await expect(page.locator(".facts dd").first).to_have_text(re.compile(r" \d\d:\d\d:\d\d$"))
    await expect(page.locator(".wide-button")).to_have_text("开东门人行…")
    await console.denied(Reason.ON_WATCH_LIST, detail=())
    await expect(page.locator(".panel .next")).to_contain_text("不要开门")
    await expect(page.locator(".wide-button")).to_have_count(0)


async def test_a_notice_does_not_outlive_its_language(console: Rig, desk: Desk) -> None:
    page = await desk.page()
    await page.keyboard.press("o")
    await page.keyboard.press("a")
    await page.keyboard.press("1")
    await expect(page.locator(".notice")).to_be_visible()
    await page.keyboard.press("l")
    await expect(page.get_by_role("heading", name="实时出入")).to_be_visible()
    await expect(page.locator(".notice")).to_have_count(0, timeout=1_000)


async def _operator(console: Rig, name: str) -> Operator:
    operator = await console.operators.operator(name)
    assert operator is not None
    return operator


async def test_three_keys_open_a_door_with_a_reason(console: Rig, desk: Desk) -> None:
    page = await desk.page()
    for key in "oa1":
        await page.keyboard.press(key)
    await expect(page.locator(".notice.good")).to_have_text("东门人行: opened")
    [(door, cause)] = console.doors.unlocked
    assert (door, cause.ref) == ("main-gate", "li-guard")
    assert cause.reason == "Resident without card, identity checked"
    await page.keyboard.press("2")
    await expect(page.locator("[data-door=main-gate]")).to_have_attribute("data-state", "unlocked")


async def test_a_reason_of_ones_own_is_typed(console: Rig, desk: Desk) -> None:
    page = await desk.page()
    await page.keyboard.press("2")
    await page.locator("[data-door=b1-lobby] .tile-open").click()
    await page.keyboard.press("0")
    await page.keyboard.type("piano delivery")
    await page.keyboard.press("Enter")
    await expect(page.locator(".notice.good")).to_be_visible()
    [(door, cause)] = console.doors.unlocked
    assert (door, cause.reason) == ("b1-lobby", "piano delivery")


async def test_tiles_show_each_door_as_it_truly_is(console: Rig, desk: Desk) -> None:
    page = await desk.page()
    await page.keyboard.press("2")
    tile = page.locator("[data-door=main-gate]")
    await expect(tile).to_have_attribute("data-state", "secure")
    for changes, state, words in (
        ({"phase": "forced", "open": True}, "forced", "Forced"),
        ({"phase": "held"}, "held", "Held open"),
        ({"phase": "held_warning"}, "held_warning", "Open too long soon"),
        ({"phase": "open"}, "open", "Open"),
        ({"phase": "unlocked", "open": False}, "unlocked", "Unlocked"),
        ({"phase": "secure", "mode": DoorMode.LOCKED_DOWN}, "lockdown", "Lockdown"),
        ({"failed": True}, "failed", "Lock not confirmed"),
        ({"failed": False, "mode": DoorMode.BLOCKED}, "blocked", "Out of use"),
        ({"mode": DoorMode.LOCKED_OPEN}, "free", "Kept open"),
        ({"online": False, "open": None}, "offline", "Offline"),
    ):
        console.doors.set("main-gate", **changes)
        await console.alarms.raise_alarm(AlarmKind.DOOR_HELD, "main-gate")
        await console.alarms.clear(AlarmKind.DOOR_HELD, "main-gate")
        await expect(tile).to_have_attribute("data-state", state)
        await expect(tile.locator(".tile-state")).to_have_text(words)


async def test_a_barriers_tile_shows_its_arm_and_its_vehicle(console: Rig, desk: Desk) -> None:
    page = await desk.page()
    await page.keyboard.press("2")
    tile = page.locator("[data-door=main-gate]")
    for changes, words, vehicle in (
        ({"kind": "barrier", "vehicle": True, "open": False}, "Arm down", "A vehicle waits"),
        ({"phase": "open", "open": True, "under_arm": True}, "Arm up", "is under the arm"),
    ):
        console.doors.set("main-gate", **changes)
        await console.alarms.raise_alarm(AlarmKind.DOOR_HELD, "main-gate")
        await console.alarms.clear(AlarmKind.DOOR_HELD, "main-gate")
        await expect(tile.locator(".tile-state")).to_have_text(words)
        await expect(tile.locator(".tile-facts")).to_contain_text(vehicle)


async def test_a_lockdown_asks_twice_and_only_a_leader_is_offered_it(
    console: Rig, desk: Desk
) -> None:
    guard = await desk.page()
    await guard.keyboard.press("2")
    await expect(guard.get_by_role("heading", name="Doors")).to_be_visible()
    await expect(guard.get_by_role("button", name="Lock all down…")).to_have_count(0)
    page = await desk.page("chen-leader")
    await page.keyboard.press("2")
    await page.get_by_role("button", name="Lock all down…").click()
    await page.keyboard.press("1")
    await page.keyboard.press("3")
    await expect(page.get_by_role("heading", name="Confirm: lock down all 3 doors")).to_be_visible()
    assert await console.journaled(OperatorOrdered) == []
    await page.keyboard.press("y")
    await expect(page.locator(".notice.good")).to_have_text("3 doors locked down")
    await expect(guard.locator("[data-state=lockdown]")).to_have_count(3)
    await page.get_by_role("button", name="Lift lockdown…").click()
    await page.get_by_role("button", name="Zone lobbies").click()
    await page.keyboard.press("1")
    await page.get_by_role("button", name="Lift now").click()
    await expect(guard.locator("[data-state=secure]")).to_have_count(2)
    await expect(guard.locator("[data-state=lockdown]")).to_have_count(1)


async def test_a_leader_gives_a_door_a_mode_and_every_page_shows_whose_word_it_is(
    console: Rig, desk: Desk
) -> None:
    guard, page = await desk.page(), await desk.page("chen-leader")
    for one in (guard, page):
        await one.keyboard.press("2")
    await expect(guard.get_by_role("button", name="Mode of 东门人行…")).to_have_count(0)
    await page.get_by_role("button", name="Mode of 东门人行…").click()
    for key in "121":
        await page.keyboard.press(key)
    await expect(page.locator(".notice.good")).to_have_text("东门人行: Kept open")
    await expect(page.get_by_role("heading", name="Doors")).to_be_visible()
    order = guard.locator("[data-door=main-gate] .tile-order")
    await expect(order).to_have_text(re.compile(r"^chen-leader: Moving house · until \d"))
    await page.get_by_role("button", name="Mode of 东门人行…").click()
    await page.get_by_role("button", name="Take the order back").click()
    await page.keyboard.press("4")
    await expect(order).to_have_count(0)


async def test_a_fire_is_shown_and_a_leader_resets_it(console: Rig, desk: Desk) -> None:
    page = await desk.page("chen-leader")
    await page.keyboard.press("2")
    console.fire.on = True
    console.doors.set("b2-lobby", mode=DoorMode.LOCKED_OPEN, mode_slot=ModeSlot.FIRE)
    await console.journal.append(FireDetected(DeviceId("board-1"), 8, (DoorId("b2-lobby"),)))
    tile = page.locator("[data-door=b2-lobby]")
    await expect(tile.locator(".tile-state")).to_have_text("Fire: free")
    await page.get_by_role("button", name="Reset the fire…").click()
    await page.keyboard.press("1")
    await expect(page.locator(".notice.good")).to_have_text("The fire is reset")
    assert [cause.ref for cause in console.fire.resets] == ["chen-leader"]


async def test_areas_count_as_people_pass_and_a_head_count_lists_them_by_building(
    console: Rig, desk: Desk
) -> None:
    page = await desk.page()
    await page.keyboard.press("2")
    yard, hall = page.locator("[data-area=yard]"), page.locator("[data-area=hall]")
    await expect(yard).to_contain_text("0 inside")
    for number in (17, 18, 19):
        await console.passed(number)
    await expect(yard).to_contain_text("3 inside")
    await console.passed(18, "b1-lobby")
    await expect(yard).to_contain_text("2 inside")
    await expect(hall).to_have_class("tile area warn")  # alone where two must be
    await expect(page.get_by_role("button", name="Reset anti-passback")).to_have_count(0)
    for key in "ha":
        await page.keyboard.press(key)
    await expect(page.get_by_role("heading", name="小区: 2 inside")).to_be_visible()
    await expect(page.locator(".muster h3")).to_have_text(["Bldg 61", "Bldg 71"])
    await expect(page.locator(".muster-row")).to_contain_text(["王芳", "Anna Schmidt"])
    await page.emulate_media(media="print")
    await expect(page.locator("main")).to_be_hidden()
    await expect(page.locator(".muster-row").first).to_be_visible()
    await expect(page.get_by_role("button", name="Print")).to_be_hidden()


async def test_three_keys_forgive_an_area_and_two_whoever_was_denied_for_where_they_are(
    console: Rig, desk: Desk
) -> None:
    await console.passed(17)
    await console.passed(18)
    seq = await console.denied(Reason.ANTI_PASSBACK, detail=(("area", "yard"), ("since_s", "1")))
    page = await desk.page("chen-leader")
    await expect(row(page, seq)).to_be_visible()
    for key in "g1":
        await page.keyboard.press(key)
    await expect(page.locator(".notice.good")).to_have_text("Anti-passback reset: 王芳")
    await page.keyboard.press("2")
    await expect(page.locator("[data-area=yard]")).to_contain_text("1 inside")
    for key in "ga2":
        await page.keyboard.press(key)
    await expect(page.locator(".notice.good")).to_have_text("Anti-passback reset: everyone in 小区")
    await expect(page.locator("[data-area=yard]")).to_contain_text("0 inside")
    forgiven = [
        (event.person_id, event.area_id, event.cause.reason)
        for event in await console.journaled(WhereaboutsForgiven)
        if isinstance(event, WhereaboutsForgiven)
    ]
    assert forgiven == [
        ("p-17", None, "Went through without a tap, identity checked"),
        (None, "yard", "Let through by hand"),
    ]
    for key in "ha":
        await page.keyboard.press(key)
    await expect(page.locator(".muster.neutral")).to_contain_text("may be there or not")
    await expect(page.locator(".muster.neutral .muster-row")).to_have_count(2)


async def test_of_two_consoles_one_takes_the_alarm_and_the_other_is_told_who(
    console: Rig, desk: Desk
) -> None:
    li, chen = await desk.page(), await desk.page("chen-leader")
    await console.alarms.raise_alarm(AlarmKind.CAMERA_OFFLINE, "cam-gate")
    alarm_id = await console.alarms.raise_alarm(AlarmKind.DOOR_FORCED, "main-gate")
    for page in (li, chen):
        await expect(page.locator("[data-screen=alarms] .badge")).to_have_text("2")
        await page.keyboard.press("a")
        await expect(page.locator(f"#take-{alarm_id}")).to_be_focused()
    # Both have pressed before either can have heard of the other.
    await asyncio.gather(li.keyboard.press("Enter"), chen.keyboard.press("Enter"))
    [taken] = await _acknowledged(console)
    winner, loser = (li, chen) if taken.operator == "li-guard" else (chen, li)
    await expect(winner.locator(".notice.good")).to_have_text("You took it: Door forced")
    await expect(loser.locator(".notice.bad")).to_have_text(f"{taken.operator} took it before you")
    for page in (li, chen):
        await expect(page.locator(f"[data-alarm='{alarm_id}'] .taken-by")).to_contain_text(
            taken.operator
        )
        await expect(page.locator("[data-screen=alarms] .badge")).to_have_text("1")


async def _acknowledged(console: Rig) -> list[AlarmAcknowledged]:
    async with asyncio.timeout(5):
        while not (events := await console.journaled(AlarmAcknowledged)):
            await asyncio.sleep(0)
    return [event for event in events if isinstance(event, AlarmAcknowledged)]


async def test_an_alarm_is_taken_with_a_note(console: Rig, desk: Desk) -> None:
    page = await desk.page()
    await console.alarms.raise_alarm(AlarmKind.STORAGE_LOW, "storage", "180 MB left")
    await page.keyboard.press("3")
    await expect(page.locator(".alarm-about")).to_have_text("the disk")
    await page.get_by_role("button", name="With a note…").click()
    await page.keyboard.type("called Wu")
    await page.keyboard.press("Enter")
    [taken] = await _acknowledged(console)
    assert taken.note == "called Wu"


async def test_three_keys_shelve_an_alarm_and_one_button_brings_it_back(
    console: Rig, desk: Desk
) -> None:
    page = await desk.page()
    await console.alarms.raise_alarm(AlarmKind.DOOR_FORCED, "b1-lobby")
    alarm_id = await console.alarms.raise_alarm(AlarmKind.TAMPER, "main-gate")
    badge = page.locator("[data-screen=alarms] .badge")
    await expect(badge).to_have_text("2")
    await page.keyboard.press("a")
    row = page.locator(f"[data-alarm='{alarm_id}']")
    await row.get_by_role("button", name="I take it").focus()
    for key in ("s", "3", "2"):
        await page.keyboard.press(key)
    await expect(page.locator(".notice.good")).to_contain_text("Shelved until")
    shelf = page.locator(".shelf")
    await expect(shelf).to_contain_text("li-guard: Contact or line flutters")
    await expect(shelf.locator("[data-alarm]")).to_have_count(1)
    await expect(badge).to_have_text("1")
    [event] = await console.journaled(AlarmShelved)
    assert isinstance(event, AlarmShelved)
    assert abs(event.until_ms - console.clock.now().wall_ms - 3_600_000) < 30_000
    await shelf.get_by_role("button", name="Bring back").click()
    await expect(shelf).to_have_count(0)
    await expect(badge).to_have_text("2")


async def test_a_forced_door_can_not_be_shelved_and_duress_is_silent(
    console: Rig, desk: Desk
) -> None:
    page = await desk.page()
    await page.keyboard.press("3")
    await console.alarms.raise_alarm(AlarmKind.DOOR_FORCED, "main-gate")
    await console.alarms.raise_alarm(AlarmKind.DURESS, "gate-in")
    first = page.locator("[data-alarm]").first
    await expect(first).to_contain_text("Duress")
    await expect(first).to_contain_text("Silent: no sound here")
    await expect(page.get_by_role("button", name="Shelve…")).to_have_count(0)
    await page.keyboard.press("s")
    await expect(page.locator("dialog")).to_have_count(0)


async def test_an_alarm_speaks_the_guards_language_and_marks_what_is_technical(
    console: Rig, desk: Desk
) -> None:
    page = await desk.page("zhao-guard")
    await page.keyboard.press("3")
    fire = await console.alarms.raise_alarm(AlarmKind.FIRE, "fire", "escape doors freed: 1")
    held = await console.alarms.raise_alarm(AlarmKind.DOOR_HELD, "main-gate", "open longer")
    gone = await console.alarms.raise_alarm(AlarmKind.DEVICE_OFFLINE, "board-1", "no answer")
    note = await console.alarms.raise_alarm(AlarmKind.NOTICE, "hint", "请查看车库")
    await console.alarms.raise_alarm(AlarmKind.DURESS, "gate-in", "p-17 6-2-1203")
    await expect(page.locator(".alarm-whom")).to_have_text("王芳 · 6 栋 2 单元 1203 室")
    technical = page.locator(f"[data-alarm='{gone}'] .alarm-technical")
    await expect(technical).to_have_text("设备报文： no answer")
    await expect(technical.locator("[lang=en]")).to_have_text("no answer")
    await expect(page.locator(f"[data-alarm='{note}'] .alarm-next")).to_have_text("请查看车库")
    await expect(page.locator(".alarm-technical")).to_have_count(1)
    for alarm_id in (fire, held):
        said = await page.locator(f"[data-alarm='{alarm_id}']").inner_text()
        assert not re.search("longer|freed", said)


async def test_a_duress_alone_makes_no_sound_and_a_forced_door_does(
    console: Rig, desk: Desk
) -> None:
    page = await desk.page()
    await page.evaluate("""() => {
        window.tones = 0;
        const start = OscillatorNode.prototype.start;
        OscillatorNode.prototype.start = function (at) { window.tones += 1; start.call(this, at); };
    }""")
    await page.keyboard.press("3")
    await console.alarms.raise_alarm(AlarmKind.DURESS, "gate-in")
    await expect(page.locator("[data-alarm]")).to_have_count(1)
    ticks = "() => new Promise(done => setTimeout(done, 2500)).then(() => window.tones)"
    assert await page.evaluate(ticks) == 0
    await console.alarms.raise_alarm(AlarmKind.DOOR_FORCED, "main-gate")
    await expect(page.locator("[data-alarm]")).to_have_count(2)
    assert await page.evaluate(ticks) > 0


async def test_sound_waits_for_the_first_key_and_can_be_muted(console: Rig, desk: Desk) -> None:
    page = await desk.page()
    await page.reload()
    await expect(page.get_by_text("Click to turn sound on")).to_be_visible()
    await page.keyboard.press("Shift")
    await expect(page.get_by_text("Sound on")).to_be_visible()
    await console.alarms.raise_alarm(AlarmKind.DOOR_FORCED, "main-gate")
    await page.keyboard.press("m")
    await expect(page.get_by_text("Muted until")).to_be_visible()


@pytest.mark.parametrize("key", ["", "Enter", "Space"])
async def test_the_button_that_turns_the_sound_on_does_not_mute_it(desk: Desk, key: str) -> None:
    page = await desk.page()
    await page.reload()
    button = page.get_by_role("button", name="Click to turn sound on")
    await (button.press(key) if key else button.click())
    await expect(page.get_by_text("Sound on")).to_be_visible()
    await page.keyboard.press("m")
    await expect(page.get_by_text("Muted until")).to_be_visible()


async def test_a_server_that_restarts_under_an_open_page_leaves_no_gap_and_no_duplicate(
    console: Rig, browser: Browser
) -> None:
    async with served(console.deps) as url:
        port = urlsplit(url).port
        assert port is not None
    seqs = [await console.granted() for _ in range(3)]
    async with desk_at(browser, url) as desk:
        async with served(console.deps, port):
            page = await desk.page()
            await page.keyboard.press("2")
            await expect(page.locator("[data-state=secure]")).to_have_count(3)
        await expect(page.locator(".lost")).to_contain_text("Connection to the box lost")
        await expect(page.locator("[data-state=unknown]")).to_have_count(3)
        await expect(page.locator(".tile-open:enabled")).to_have_count(0)
        seqs += [await console.denied(), await console.granted(), await console.granted()]
        await console.outcome(seqs[1])
        async with served(console.deps, port):
            await expect(page.locator(".lost")).to_have_count(0)
            await page.keyboard.press("1")
            seqs.append(await console.granted())
            await expect(row(page, seqs[-1])).to_be_visible()
            shown = page.locator(".entry")
            order = await shown.evaluate_all("rows => rows.map(r => +r.dataset.seq)")
            assert order == seqs[::-1]


async def test_what_happens_before_the_stream_is_open_is_not_lost(console: Rig, desk: Desk) -> None:
    seqs = [await console.granted()]

    async def late(route: Route) -> None:
        seqs.append(await console.denied())
        await route.continue_()

    context = await desk.context()
    await context.route("**/events/stream*", late, times=1)
    page = await context.new_page()
    await page.goto(desk.url)
    await sign_in(page, "li-guard")
    await expect(page.locator(".entry")).to_have_count(2)
    await expect(row(page, seqs[1])).to_be_visible()


@pytest.mark.parametrize("entries", [1, 9])
async def test_a_journal_that_was_replaced_starts_the_page_anew(
    console: Rig, browser: Browser, tmp_path: Path, entries: int
) -> None:
    async with served(console.deps) as url:
        port = urlsplit(url).port
        assert port is not None
    (tmp_path / "new").mkdir()
    async with desk_at(browser, url) as desk, rig(tmp_path / "new", SystemClock()) as other:
        async with served(console.deps, port):
            for _ in range(5):
                await console.granted()
            page = await desk.page()
            await expect(page.locator(".entry")).to_have_count(5)
        # The same operators and sessions, another journal: a box whose disk was changed.
        deps = replace(other.deps, operators=console.operators)
        seq = [await other.denied() for _ in range(entries)][-1]
        async with served(deps, port):
            await expect(page.locator(".entry")).to_have_count(entries)
            await expect(row(page, seq)).to_be_visible()


async def test_a_journal_restored_from_a_backup_is_shown_as_it_is_now(
    console: Rig, browser: Browser, tmp_path: Path
) -> None:
    async with served(console.deps) as url:
        port = urlsplit(url).port
        assert port is not None
    kept = await console.granted()
    (tmp_path / "restored").mkdir()
    with (
        closing(sqlite3.connect(tmp_path / "journal.db")) as journal,
        closing(sqlite3.connect(tmp_path / "restored" / "journal.db")) as backup,
    ):
        journal.backup(backup)
    for _ in range(5):
        await console.granted()
    async with desk_at(browser, url) as desk, rig(tmp_path / "restored", SystemClock()) as other:
        assert other.journal.epoch == console.journal.epoch
        async with served(console.deps, port):
            page = await desk.page()
            await expect(page.locator(".entry")).to_have_count(6)
        async with served(replace(other.deps, operators=console.operators), port):
            await expect(page.locator(".entry")).to_have_count(1)
            await expect(row(page, kept)).to_be_visible()


async def test_logging_out_leads_to_the_log_in_in_every_tab(console: Rig, desk: Desk) -> None:
    page = await desk.page()
    other = await page.context.new_page()
    await other.goto(desk.url)
    await expect(other.locator(".flow.good")).to_be_visible()
    await page.get_by_role("button", name="Sign out").click()
    for tab in (page, other):
        await expect(tab.get_by_role("button", name="Sign in")).to_be_visible()


async def test_a_first_password_is_changed_before_anything_is_seen(
    console: Rig, desk: Desk
) -> None:
    new = Operator("new-guard", Role.GUARD, HASH, "en", must_change_password=True)
    await console.operators.put(new)
    context = await desk.context()
    page = await context.new_page()
    await page.goto(desk.url)
    await sign_in(page, "new-guard")
    await expect(page.get_by_role("heading", name="Change your first password")).to_be_visible()
    await page.keyboard.press("2")
    for name, value in (("current", PASSWORD), ("new", "my-own-secret"), ("again", "my-own-secre")):
        await page.locator(f"[name={name}]").fill(value)
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("alert")).to_have_text("The two new passwords differ.")
    await page.locator("[name=again]").fill("my-own-secret")
    await page.keyboard.press("Enter")
    await expect(page.locator(".flow.good")).to_be_visible()


async def test_themes_keys_and_system_are_one_key_away(console: Rig, desk: Desk) -> None:
    page = await desk.page()
    await expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    await page.keyboard.press("t")
    await expect(page.locator("html")).to_have_attribute("data-theme", "light")
    await page.reload()
    await expect(page.locator("html")).to_have_attribute("data-theme", "light")
    await expect(page.locator(".flow.good")).to_be_visible()
    await page.keyboard.press("?")
    await expect(page.get_by_role("dialog", name="Keys")).to_be_visible()
    await page.keyboard.press("Escape")
    await page.keyboard.press("4")
    await expect(page.locator(".devices tbody tr")).to_have_count(3)
    await expect(page.locator(".cards")).to_contain_text("Revision 7")


SMALL = """elements => elements
    .map(e => [e.outerHTML.slice(0, 90), e.getBoundingClientRect()])
    .filter(([, box]) => box.width > 0 && (box.width < 43.9 || box.height < 43.9))
    .map(([html, box]) => `${Math.round(box.width)}x${Math.round(box.height)} ${html}`)"""
NAMELESS = """elements => elements
    .filter(e => !(e.textContent.trim() || e.getAttribute("aria-label")))
    .map(e => e.outerHTML.slice(0, 90))"""
CLIPPED = "document.documentElement.scrollWidth > window.innerWidth"


@pytest.mark.parametrize("size", [(1366, 768), (1024, 768)])
@pytest.mark.parametrize("operator", ["chen-leader", "zhao-guard"])
async def test_everything_a_hand_aims_at_is_large_named_and_on_the_screen(
    console: Rig, desk: Desk, size: tuple[int, int], operator: str
) -> None:
    await console.picture(await console.denied())
    await console.alarms.raise_alarm(AlarmKind.DOOR_FORCED, "main-gate")
    await console.alarms.raise_alarm(AlarmKind.DOOR_HELD, "main-gate")
    shelved = await console.alarms.raise_alarm(AlarmKind.TAMPER, "main-gate")
    later_ms = console.clock.now().wall_ms + 3_600_000
    await console.alarms.shelve(shelved, "li-guard", "the box stays open all day", later_ms)
    page = await desk.page(operator, viewport={"width": size[0], "height": size[1]})
    for screen in "1234o":
        await page.keyboard.press(screen)
        await expect(page.locator("main h1, dialog h2").first).to_be_visible()
        targets = page.locator("button, input, summary")
        assert await targets.evaluate_all(SMALL) == []
        assert await targets.locator(":scope:not(input)").evaluate_all(NAMELESS) == []
        assert await page.evaluate(CLIPPED) is False
