"""The link's parts made of the settings and the stores. Owns no part of them."""

from __future__ import annotations

from pathlib import Path
from random import Random

from gatewayd import __version__
from gatewayd.clock import SystemClock
from gatewayd.domain.model import DoorId
from gatewayd.domain.ports import AlarmDesk, Doors
from gatewayd.link.commands import Commands, Forgives
from gatewayd.link.contract import Topics
from gatewayd.link.desired import DesiredState
from gatewayd.link.mqtt import Broker
from gatewayd.link.session import Identity, Link, LinkOptions
from gatewayd.link.whitelist_sync import WhitelistSync
from gatewayd.recorder import Recorder
from gatewayd.settings.bind import zones
from gatewayd.settings.model import LinkSettings, Settings
from gatewayd.settings.secrets import read_secret
from gatewayd.signed import CentralKeys
from gatewayd.store.journal import JournalStore
from gatewayd.store.whitelist import WhitelistStore

PROTOCOLS = {"auto": (5, 4), "5": (5,), "3.1.1": (4,)}


def build_link(
    settings: Settings,
    journal: JournalStore,
    whitelist: WhitelistStore,
    doors: Doors,
    alarms: AlarmDesk,
    recorder: Recorder,
    clock: SystemClock,
    nonce: str,
    random: Random,
    memory: Forgives | None = None,
) -> Link:
    """Raises OSError and CentralKeysError for files that can't be used."""
    line = settings.link
    assert line is not None  # noqa: S101  # the daemon asks only where there is one
    site = settings.site
    keys = _read_keys(line.central_keys_file)
    link = Link(
        _broker(site.gateway, line),
        Topics(site.id, site.gateway),
        Identity(site.gateway, clock.boot_id, journal.epoch, nonce, __version__),
        LinkOptions(PROTOCOLS[line.protocol], line.window, line.resend_s),
        journal,
        lambda: whitelist.base_revision,
        clock,
        recorder.record,
        random,
    )
    door_ids = [DoorId(door.id) for door in settings.door]
    sync = WhitelistSync(
        site.gateway, keys, whitelist, journal, alarms, clock, link.sender("wl-req")
    )
    commands = Commands(
        site.gateway, nonce, keys, door_ids, journal, doors, alarms, clock, link.sender("cmd-res"),
        zones(settings), memory,
    )  # fmt: skip
    desired = DesiredState(
        site.gateway, keys, door_ids, journal, doors, alarms, clock, link.sender("reported")
    )
    link.handle_with(sync, commands, desired)
    return link


def _read_keys(path: Path) -> CentralKeys:
    return CentralKeys.from_json(path.read_bytes(), str(path))


def _broker(gateway: str, line: LinkSettings) -> Broker:
    password = None if line.password_file is None else read_secret(line.password_file)
    return Broker(
        line.host,
        line.port,
        gateway,
        line.keepalive_s,
        line.username,
        password,
        line.tls,
        line.ca_file,
        line.certificate_file,
        line.key_file,
    )
