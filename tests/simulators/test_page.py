"""The tester's page, with a real browser, a real socket and a reader on a pty."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from playwright.async_api import async_playwright, expect

from simulators import page
from simulators.reader import SimulatedReader
from tests.simulators.waiting import T_S, Tty

PATIENCE_MS = 15_000


@asynccontextmanager
async def page_of(*devices: str) -> AsyncIterator[str]:
    """The command itself; the address that its ready line tells."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "simulators.cli", "page"),
        *(word for device in devices for word in ("--control", device)),
        stdout=subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(T_S):
            said = (await process.stdout.readline()).decode()
        assert said.startswith("ready ")
        yield json.loads(said.removeprefix("ready "))["url"]
    finally:
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(T_S):
            assert await process.wait() == 0


@pytest.mark.browser
async def test_a_card_is_presented_and_keys_are_pressed_from_the_page(
    tmp_path: Path, link: Path
) -> None:
    control = tmp_path / "control"
    async with (
        SimulatedReader("wiegand-hex", link, keypad=4, control=control),
        page_of(f"East gate={control}", f"gone={tmp_path / 'none'}") as url,
        async_playwright() as playwright,
    ):
        browser = await playwright.chromium.launch(
            executable_path="/usr/bin/chromium",
            args=["--no-sandbox", "--disable-background-networking", "--disable-gpu"],
        )
        opened = await browser.new_page()
        faults: list[str] = []
        opened.on("console", lambda message: faults.append(message.text))
        line = Tty(link)
        await opened.goto(url)
        gate = opened.locator("[data-device='East gate']")
        await gate.locator("input[name=bits]").first.fill("26")
        await gate.locator("input[name=value]").first.fill("1abcdef")
        await gate.get_by_role("button", name="present").click()
        assert await line.read(12) == b"26,1ABCDEF\r\n"
        for key in "7#":
            await gate.get_by_role("button", name=key, exact=True).click()
        await gate.get_by_role("button", name="press").click()
        assert await line.read(10) == b"4,7\r\n4,B\r\n"
        await gate.locator("input[name=value]").first.fill("no card")
        await gate.get_by_role("button", name="present").click()
        answer = gate.locator("[data-answer]")
        await expect(answer).to_contain_text("must be hex digits", timeout=PATIENCE_MS)
        gone = opened.locator("[data-device='gone']")
        await expect(gone).to_contain_text("no simulated device answers", timeout=PATIENCE_MS)
        assert faults == []
        line.close()
        await browser.close()


async def test_only_who_has_the_address_gets_anything(tmp_path: Path, link: Path) -> None:
    control = tmp_path / "control"
    async with (
        SimulatedReader("id12", link, control=control),
        page_of(f"gate={control}") as url,
        httpx.AsyncClient() as client,
    ):
        parts = urlsplit(url)
        root = f"{parts.scheme}://{parts.netloc}"
        for other in ("/", "/devices", "/devices/gate", "/openapi.json", "/docs", "/x/devices"):
            assert (await client.get(root + other)).status_code == 404
            assert (await client.post(root + other, content=b'{"do": "status"}')).status_code == 404
        assert (await client.get(url)).headers["content-security-policy"].startswith("default-src")
        [device] = (await client.get(url + "devices")).json()
        assert device["orders"]["present"][:2] == ["bits", "value"]
        assert device["status"]["kind"] == "id12"
        told = await client.post(url + "devices/gate", content=b'{"do": "status"}')
        assert told.json()["plugged"] is True
        assert (await client.post(url + "devices/gate", content=b"[]")).status_code == 422
        long = b'{"do": "%s"}' % (b"x" * 70_000)
        assert (await client.post(url + "devices/gate", content=long)).status_code == 413
        assert (await client.post(url + "devices/other", content=b"{}")).status_code == 404
        assert (await client.get(url + "page.py")).status_code == 404


@pytest.mark.parametrize("text", ["gate", "gate=", "=x", "a/b=x"])
def test_a_device_without_a_name_or_a_path_is_told(
    text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    from simulators.cli import main

    with pytest.raises(SystemExit):
        main(["page", "--control", text])
    assert "write NAME=PATH" in capsys.readouterr().err


def test_a_name_twice_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    from simulators.cli import main

    assert main(["page", "--control", "a=x", "--control", "a=y"]) == 1
    assert "same name" in capsys.readouterr().err


def test_every_file_of_the_page_is_there() -> None:
    folder = Path(page.__file__).parent
    assert all((folder / file).is_file() for file, _ in page._FILES.values())
