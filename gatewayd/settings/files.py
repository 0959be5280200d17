"""The files that the settings name: there, readable, private where they are secret, fit together.

Owns the checks that look at the disk. Must not open a device, and makes nothing.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator, Mapping
from pathlib import Path

from pydantic.fields import FieldInfo

from gatewayd.settings.check_rules import MIN_PIN_KEY
from gatewayd.settings.positions import KeyPath
from gatewayd.settings.problem import Problem
from gatewayd.settings.secrets import (
    SecretFileError,
    check_secret_file,
    check_trusted_file,
    is_secret_field,
    is_systemd_credential,
    read_secret,
)
from gatewayd.settings.tables import Draft, Entry, holds_path, rooted


def check_files(draft: Draft) -> list[Problem]:
    """Everything that is wrong with the files that the tables and drivers' options name."""
    problems: list[Problem] = []
    for entries in draft.entries.values():
        for entry in entries:
            bad = list(_named_files(draft, entry))
            problems += bad
            if entry.at[0] in ("link", "console"):
                problems += _tls(draft, entry, sound=not bad)
            problems += [*_central_keys(draft, entry), *_pin_key(draft, entry)]
            if not bad:
                problems += [*_operators(draft, entry), *_drivers_files(draft, entry)]
    return problems + list(_directory(draft))


def _fields(entry: Entry) -> Mapping[str, FieldInfo]:
    options = entry.driver.options.model_fields if entry.driver is not None else {}
    return {**options, **entry.model.model_fields}


def _named_files(draft: Draft, entry: Entry) -> Iterator[Problem]:
    for key, info in _fields(entry).items():
        path = _path(draft, entry, key)
        if path is None or not (key.endswith("_file") or is_secret_field(key, info)):
            continue
        if _comes_later(info, path):
            continue
        try:
            if is_secret_field(key, info):
                check_secret_file(path)
            else:
                check_trusted_file(path)
        except SecretFileError as error:
            yield draft.source.problem((*entry.at, key), error.what, error.hint)


def _comes_later(info: FieldInfo, path: Path) -> bool:
    """The box writes this file itself; until then what needs it is out of service, and says so.
    A credential of systemd it can't write."""
    extra = info.json_schema_extra
    if not isinstance(extra, dict) or extra.get("made_later") is not True:
        return False
    return path.parent.is_dir() and not path.exists() and not is_systemd_credential(path)


def _path(draft: Draft, entry: Entry, key: str) -> Path | None:
    info = _fields(entry).get(key)
    value = rooted(info, entry.raw.get(key), draft.source.folder)
    return value if holds_path(info) and isinstance(value, Path) else None


def _tls(draft: Draft, entry: Entry, *, sound: bool) -> Iterator[Problem]:
    """A certificate and its key come together and fit; `sound` says that all files are there."""
    certificate, key = (_path(draft, entry, name) for name in ("certificate_file", "key_file"))
    authority = _path(draft, entry, "ca_file") if "ca_file" in entry.raw else None
    if (certificate is None) != (key is None):
        has, lacks = (
            ("certificate_file", "key_file") if key is None else ("key_file", "certificate_file")
        )
        yield draft.source.problem((*entry.at, has), f"needs {lacks} beside it", f"set {lacks}")
    if not sound:
        return
    if certificate is not None and key is not None:
        yield from _pair(draft, (*entry.at, "certificate_file"), certificate, key)
    if authority is not None:
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(authority)
        except ssl.SSLError:
            what = f"{authority} holds no certificate"
            yield draft.source.problem((*entry.at, "ca_file"), what, "it must be PEM")


def _pair(draft: Draft, at: KeyPath, certificate: Path, key: Path) -> Iterator[Problem]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        # A key with a pass phrase would ask for it on the terminal; the empty one is wrong.
        context.load_cert_chain(certificate, key, password="")
    except ssl.SSLError as error:
        why = error.reason or "no PEM, or a key with a pass phrase"
        what = f"{certificate} and {key} are no pair: {why.lower().replace('_', ' ')}"
        yield draft.source.problem(at, what, "PEM files, the key without a pass phrase")


def _central_keys(draft: Draft, entry: Entry) -> Iterator[Problem]:
    if entry.at[0] != "link":
        return
    from gatewayd.signed import CentralKeys, CentralKeysError

    path = _path(draft, entry, "central_keys_file")
    try:
        if path is not None and path.is_file():
            CentralKeys.from_json(path.read_bytes(), str(path))
    except OSError:
        return  # said already: the file can't be read
    except CentralKeysError as error:
        yield draft.source.problem((*entry.at, "central_keys_file"), str(error))


def _operators(draft: Draft, entry: Entry) -> Iterator[Problem]:
    """Each mistake in the file of the first operators; that it is private is said already."""
    path = _path(draft, entry, "operators_file") if entry.at[0] == "console" else None
    if path is None:
        return
    from gatewayd.store.operators_file import OperatorsFileError, read_operators_file

    try:
        read_operators_file(path)
    except OperatorsFileError as error:
        at = (*entry.at, "operators_file")
        yield from (draft.source.problem(at, f"{path}: {what}") for what in error.mistakes)


def _drivers_files(draft: Draft, entry: Entry) -> Iterator[Problem]:
    """What the driver finds wrong in its own files, which are there and private."""
    if entry.driver is not None and entry.options is not None:
        for key, what in entry.driver.faults_of(entry.options):
            yield draft.source.problem((*entry.at, key), what)


def _pin_key(draft: Draft, entry: Entry) -> Iterator[Problem]:
    """Long enough; that it is there and private is said already."""
    path = _path(draft, entry, "pin_key_file") if entry.at[0] == "site" else None
    if path is None:
        return
    try:
        length = len(read_secret(path))
    except SecretFileError:
        return
    if length < MIN_PIN_KEY:
        what = f"{path} holds {length} characters, at least {MIN_PIN_KEY} are needed"
        hint = f"run: head -c 32 /dev/urandom | base64 > {path}, and give it to the centre"
        yield draft.source.problem((*entry.at, "pin_key_file"), what, hint)


def _directory(draft: Draft) -> Iterator[Problem]:
    for entry in draft.of("storage"):
        path = _path(draft, entry, "directory")
        if path is None:
            continue
        standing = next(place for place in (path, *path.parents) if place.exists())
        if not standing.is_dir():
            what = f"{standing} is a file, not a folder"
            yield draft.source.problem((*entry.at, "directory"), what, "name a folder")
