"""Each way to a broker: configured, installed, unpacked from its package, amqtt; and its rules."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion

from simulators import broker as broker_module
from simulators import broker_unpack
from simulators.broker import BrokerError, BrokerOptions, SimulatedBroker
from simulators.broker_unpack import UnpackError, unpack
from tests.simulators.broker_and_gateway import T_WAIT_S, plain_gateway, running_broker
from tests.simulators.test_central_store import chained

MOSQUITTO = shutil.which("mosquitto", path=f"{os.environ['PATH']}:/usr/sbin")
NO_APT = "#!/bin/sh\necho 'E: no network' >&2\nexit 100\n"


class Listener:
    """Subscribes to everything as one user; says whether the broker let it, and what came."""

    def __init__(self, user: str, password: str) -> None:
        self._loop = asyncio.get_running_loop()
        self.answer: asyncio.Future[str] = self._loop.create_future()
        self.got: asyncio.Queue[str] = asyncio.Queue()
        self.client = Client(
            CallbackAPIVersion.VERSION2, client_id=f"t-{user}", reconnect_on_failure=False
        )
        self.client.username_pw_set(user, password)
        self.client.on_connect = self._on_connect
        self.client.on_message = self._on_message

    def _on_connect(self, client: Client, _u: object, _f: object, code: object, _p: object) -> None:
        client.subscribe("#", qos=1)
        self._loop.call_soon_threadsafe(self._answered, str(code))

    def _answered(self, code: str) -> None:
        if not self.answer.done():
            self.answer.set_result(code)

    def _on_message(self, _c: Client, _u: object, message: MQTTMessage) -> None:
        self._loop.call_soon_threadsafe(self.got.put_nowait, message.topic)

    async def connect(self, broker: SimulatedBroker) -> str:
        await asyncio.to_thread(self.client.connect, broker.host, broker.port)
        self.client.loop_start()
        return await asyncio.wait_for(self.answer, T_WAIT_S)

    async def leave(self) -> None:
        self.client.disconnect()
        await asyncio.to_thread(self.client.loop_stop)


def password(broker: SimulatedBroker, user: str) -> str:
    return Path(broker.ready()["passwords"][user]).read_text()


async def test_the_installed_mosquitto_is_taken_first(tmp_path: Path) -> None:
    async with running_broker(tmp_path, "auto") as broker:
        told = broker.ready()
        assert (told["kind"], told["durable"], told["notice"]) == ("mosquitto", True, "")
        assert (await broker._status(None))["running"]  # type: ignore[arg-type]  # takes no fields
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(broker.host, broker.port)


async def test_nobody_gets_in_without_a_password(tmp_path: Path) -> None:
    async with running_broker(tmp_path) as broker:
        stranger = Listener("gate-1", "guess")
        assert "authorized" in (await stranger.connect(broker)).lower()
        await stranger.leave()


async def test_a_gateway_hears_its_own_prefix_only_and_the_centre_all(tmp_path: Path) -> None:
    options = BrokerOptions(tmp_path / "b", tmp_path / "cache", gateways=("gate-1", "gate-2"))
    async with SimulatedBroker(options) as broker:
        centre, other = (Listener(u, password(broker, u)) for u in ("centre", "gate-2"))
        assert [await each.connect(broker) for each in (centre, other)] == ["Success"] * 2
        async with plain_gateway(broker) as gateway:
            gateway.send("evt", chained(1)[0])
            gateway.client.publish("gw/v1/demo/gate-2/dn/cmd", b"{}", qos=1)  # not its own
            gateway.client.publish("gw/v1/demo/gate-2/up/evt", b"{}", qos=1)
            gateway.send("alarm", chained(1)[0])
            heard = [await asyncio.wait_for(centre.got.get(), T_WAIT_S) for _ in range(2)]
        centre.client.publish("gw/v1/demo/gate-2/dn/ack", b"{}", qos=1)
        assert await asyncio.wait_for(other.got.get(), T_WAIT_S) == "gw/v1/demo/gate-2/dn/ack"
        assert heard == [f"gw/v1/demo/gate-1/up/{what}" for what in ("evt", "alarm")]
        await centre.leave()
        await other.leave()


async def test_a_configured_broker_is_used_as_it_is(tmp_path: Path) -> None:
    async with running_broker(tmp_path) as first:
        at = f"{first.host}:{first.port}"
        options = BrokerOptions(tmp_path / "none", tmp_path, at=at)
        async with SimulatedBroker(options) as broker:
            told = broker.ready()
            assert (told["kind"], told["port"], told["passwords"]) == ("configured", first.port, {})
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize(
    ("at", "why"), [("nonsense", "HOST:PORT"), ("127.0.0.1:1", "no broker answers")]
)
async def test_a_configured_broker_that_is_none_is_an_error(
    tmp_path: Path, at: str, why: str
) -> None:
    with pytest.raises(BrokerError, match=why):
        async with SimulatedBroker(BrokerOptions(tmp_path, tmp_path, at=at)):
            pass


async def test_a_taken_port_is_no_obstacle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    free = broker_module.free_port
    async with running_broker(tmp_path / "one") as first:
        ports = iter([first.port, free()])
        monkeypatch.setattr(broker_module, "free_port", lambda: next(ports))
        async with running_broker(tmp_path / "two") as second:
            assert second.port != first.port


async def test_a_broker_that_does_not_start_says_what_it_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(broker_module, "_mosquitto_acl", lambda _site: "nonsense here\n")
    with pytest.raises(BrokerError, match=r"(?s)does not start: .*nonsense"):
        async with running_broker(tmp_path):
            pass


# ------------------------------------------------------------------------------- unpacked


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A PATH with our own apt-get before the system's programs, and no mosquitto on it."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}/usr/bin{os.pathsep}/bin")
    monkeypatch.setattr(broker_module, "installed", lambda: None)
    return folder


def write_tool(folder: Path, name: str, text: str) -> None:
    (folder / name).write_text(text)
    (folder / name).chmod(0o755)


def package_of(folder: Path) -> Path:
    """A Debian package with the machine's own mosquitto, so that no test needs the network."""
    root = folder / "package"
    (root / "DEBIAN").mkdir(parents=True)
    (root / "DEBIAN/control").write_text(
        "Package: mosquitto\nVersion: 1\nArchitecture: all\nMaintainer: t <t@t>\nDescription: t\n"
    )
    (root / "usr/sbin").mkdir(parents=True)
    assert MOSQUITTO is not None
    shutil.copy(MOSQUITTO, root / "usr/sbin/mosquitto")
    (root / "usr/lib/x86_64-linux-gnu").mkdir(parents=True)
    made = folder / "mosquitto_1_all.deb"
    subprocess.run(["dpkg-deb", "-b", str(root), str(made)], check=True, capture_output=True)
    return made


async def test_mosquitto_runs_unpacked_from_its_package_and_is_downloaded_once(
    tmp_path: Path, tools: Path
) -> None:
    package = package_of(tmp_path)
    counted = tmp_path / "downloads"
    write_tool(
        *(tools, "apt-get"),
        '#!/bin/sh\nif [ "$1" = install ]; then echo "Inst mosquitto (1)"; exit 0; fi\n'
        f'[ "$*" = "download mosquitto" ] || exit 9\necho x >> {counted}\ncp {package} .\n',
    )
    for _ in range(2):
        async with running_broker(tmp_path, "auto") as broker:
            assert broker.ready()["kind"] == "unpacked"
            async with plain_gateway(broker):
                pass
    assert counted.read_text() == "x\n"


def test_where_apt_can_not_the_error_says_why(tmp_path: Path, tools: Path) -> None:
    write_tool(tools, "apt-get", NO_APT)
    with pytest.raises(UnpackError, match="apt-get install failed: E: no network"):
        unpack(tmp_path)


def test_where_there_is_no_apt_the_error_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UnpackError, match="apt-get: "):
        unpack(tmp_path)


def test_an_unpacked_program_that_is_none_is_refused(tmp_path: Path) -> None:
    binary = tmp_path / "mosquitto/usr/sbin/mosquitto"
    binary.parent.mkdir(parents=True)
    write_tool(binary.parent, "mosquitto", "#!/bin/sh\necho broken\n")
    with pytest.raises(UnpackError, match="does not start: broken"):
        unpack(tmp_path)


def test_debians_folder_is_searched_even_if_it_is_not_on_the_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    write_tool(tmp_path, "mosquitto", "#!/bin/sh\n")
    found = broker_unpack.installed([str(tmp_path)])
    assert found is not None
    assert found.binary == tmp_path / "mosquitto"
    assert broker_unpack.installed([]) is None


# ---------------------------------------------------------------------------------- amqtt


async def test_without_mosquitto_amqtt_serves_with_a_loud_notice(
    tmp_path: Path, tools: Path
) -> None:
    """As a process of its own: amqtt's own warnings are none of ours."""
    write_tool(tools, "apt-get", NO_APT)
    process = await start_broker(tmp_path, "amqtt")
    try:
        assert process.stdout is not None
        line = await asyncio.wait_for(process.stdout.readline(), 20)
        assert b'"kind": "amqtt"' in line
        assert b'"durable": false' in line
        assert b"NOT DURABLE" in line
        broker = SimulatedBroker(BrokerOptions(tmp_path / "b", tmp_path))
        broker.port = int(line.partition(b'"port": ')[2].partition(b",")[0])
        async with plain_gateway(broker) as gateway:
            centre = Listener("centre", password(broker, "centre"))
            assert await centre.connect(broker) == "Success"
            await centre.leave()
            gateway.send("evt", chained(1)[0])
    finally:
        process.terminate()
        assert await process.wait() == 0


async def start_broker(folder: Path, way: str) -> asyncio.subprocess.Process:
    import sys

    argv = [sys.executable, "-m", "simulators.cli", "broker", "--directory", str(folder / "b")]
    return await asyncio.create_subprocess_exec(
        *argv, "--way", way, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
    )


async def test_when_nothing_can_be_had_all_that_was_tried_is_named(
    tmp_path: Path, tools: Path
) -> None:
    write_tool(tools, "apt-get", NO_APT)
    with pytest.raises(BrokerError, match=r"not unpacked from its Debian package: .*no network"):
        async with SimulatedBroker(BrokerOptions(tmp_path, tmp_path, way="unpacked")):
            pass
    with pytest.raises(BrokerError, match="mosquitto is not installed"):
        async with SimulatedBroker(BrokerOptions(tmp_path, tmp_path, way="mosquitto")):
            pass
