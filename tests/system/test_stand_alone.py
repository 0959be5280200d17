"""A site without a centre, whole: a spreadsheet in, the tap opens, a spreadsheet out; a centre."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from gatewayd import cli
from gatewayd.store.verify import verify
from tests.directory.files import Rows, workbook
from tests.link.broker import Centre, mosquitto
from tests.store.lists import full
from tests.system.gate import TAG, devices
from tests.system.test_daemon import LINK, kinds, running, until_kind

Captured = pytest.CaptureFixture[str]

SHEETS: dict[str, Rows] = {
    "时段": [
        ["编号", "名称", *(f"周{day}" for day in "一二三四五六日")],
        ["always", "全天", *["全天"] * 7],
    ],
    "权限": [["编号", "名称", "门", "时段"], ["residents", "业主", "Main gate", "全天"]],
    "人员": [["编号", "姓名", "房号", "权限"], ["p-17", "王芳", "1203", "业主"]],
    "凭证": [["卡号", "位数", "人员编号", "有效期至"], [f"0x{TAG}", 40, "p-17", "长期"]],
}


async def gatewayd(*words: str) -> int:
    return await asyncio.to_thread(cli.main, words)


async def test_from_a_spreadsheet_to_an_open_door_and_to_a_centre(
    tmp_path: Path, capsys: Captured
) -> None:
    lists = str(workbook(tmp_path / "名单.xlsx", SHEETS))
    async with devices(tmp_path, with_list=False) as gate:
        config = "--config", str(gate.config)
        async with running(gate.config, capsys):
            await until_kind(tmp_path, "device.online")
            assert await gatewayd("import", lists, *config) == cli.OK
            assert "people: 1 added" in capsys.readouterr().out
            assert await gatewayd("import", lists, "--apply", *config) == cli.OK
            assert "applied: revision 1 decides" in capsys.readouterr().out
            await gate.reader.present(40, TAG)
            await gate.board.terminals.wait_for_relay(1, True)
            await until_kind(tmp_path, "door.unlocked")
        found = await kinds(tmp_path)
        assert found.index("operator.ordered") < found.index("whitelist.applied")
        assert found.index("whitelist.applied") < found.index("access.granted")
        assert await gatewayd("export", str(tmp_path / "out"), *config) == cli.OK
        assert await gatewayd("whitelist", "show", *config) == cli.OK
        assert "revision 1" in capsys.readouterr().out

        handed = tmp_path / "list.jsonl"
        assert await gatewayd("whitelist", "hand-over", str(handed), *config) == cli.OK
        assert "list.jsonl: revision 1" in capsys.readouterr().out
        async with mosquitto(tmp_path) as broker, Centre(broker.port) as centre:
            (tmp_path / "keys.json").write_bytes(centre.key_file())
            settings = gate.config.read_text(encoding="utf-8")
            link = LINK.format(port=broker.port, folder=tmp_path)
            gate.config.write_text(settings + link, encoding="utf-8")
            async with running(gate.config, capsys):
                await centre.until(lambda: any(name == "wl-req" for name, _ in centre.other))
                asked = next(message for name, message in centre.other if name == "wl-req")
                assert asked["have"] == 0
                chunks = full()
                centre.send("wl-chunk", centre.manifest(1, chunks))
                for index, raw in enumerate(chunks):
                    centre.send("wl-chunk", centre.chunk(1, index, raw))
                async with asyncio.timeout(15):
                    while (await kinds(tmp_path)).count("whitelist.applied") < 2:
                        await asyncio.sleep(0)
        assert await gatewayd("import", lists, *config) == cli.REFUSED
        assert "comes from its centre" in capsys.readouterr().err
    assert verify(tmp_path / "data" / "journal.db").bad is None
