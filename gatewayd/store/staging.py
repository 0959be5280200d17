"""Chunks of an unfinished whitelist update, kept on disk so that a restart goes on where it was.

Owns the folder `staging`. Must not judge chunks: `link.whitelist_sync` checks their hashes.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

from gatewayd.store.durable import write_whole


class Staging:
    """One update at a time: its manifest, and the raw chunks that have come. Raises OSError."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def begin(self, manifest: bytes) -> None:
        """Start anew, unless the same manifest is under way already."""
        if self.manifest() == manifest:
            return
        self.clear()
        self.folder.mkdir(parents=True)
        write_whole(self.folder / "manifest", manifest)

    def manifest(self) -> bytes | None:
        path = self.folder / "manifest"
        return path.read_bytes() if path.exists() else None

    def put(self, index: int, raw: bytes) -> None:
        write_whole(self.folder / f"{index:06}", raw)

    def have(self) -> set[int]:
        if not self.folder.exists():
            return set()
        return {int(path.name) for path in self.folder.iterdir() if path.name.isdigit()}

    def chunks(self) -> Iterator[bytes]:
        """The chunks in order."""
        for index in sorted(self.have()):
            yield (self.folder / f"{index:06}").read_bytes()

    def clear(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
