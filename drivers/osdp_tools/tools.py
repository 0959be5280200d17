"""The tools for an OSDP line, as the command line finds them: implements
`gatewayd.domain.ports.LineTools`.

Owns how what is found becomes lines for people; what is found is the other modules' of this room.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import aclosing
from datetime import UTC, datetime
from pathlib import Path

from drivers.buses.osdp_keys import read_key
from drivers.osdp_tools.listen import listen
from drivers.osdp_tools.play import exchanges_of, playing
from drivers.osdp_tools.replay import Replay
from drivers.osdp_tools.scan import At, in_words, scan, scan_s
from drivers.osdp_tools.trace import Trace
from drivers.protocols.osdp.capture import (
    Direction,
    Record,
    decode_records,
    encode_record,
    pieces_of,
)
from drivers.protocols.osdp.pieces import Redactor
from gatewayd.domain.ports import Say

NS_PER_S = 1_000_000_000


class OsdpTools:
    """Stateless: every call is one tool's whole run."""

    def scan_s(self, baud_rates: Sequence[int], addresses: Sequence[int]) -> float:
        return scan_s(baud_rates, addresses)

    async def scan(
        self,
        port: str,
        baud_rates: Sequence[int],
        addresses: Sequence[int],
        *,
        most: int | None,
        say: Say,
        progress: Say,
    ) -> int:
        count = 0
        async with aclosing(scan(port, baud_rates, addresses)) as found:
            async for each in found:
                if isinstance(each, At):
                    progress(f"{each.baud_rate} baud, address {each.address}, {count} found")
                    continue
                progress("")
                for line in in_words(each):
                    say(line)
                count += not each.babble
                if most is not None and count >= most:
                    break
        progress("")
        return count

    async def capture(self, port: str, baud_rate: int, take: Callable[[str], None]) -> None:
        redactor = Redactor()
        async with aclosing(listen(port, baud_rate)) as heard:
            async for time_ns, piece in heard:
                if redactor.passes(piece):
                    take(encode_record(Record(time_ns, Direction.TRACE, piece.raw)))

    async def monitor(
        self, port: str, baud_rate: int, key_file: str | None, *, personal: bool, say: Say
    ) -> None:
        trace = _trace(key_file, personal=personal)
        async with aclosing(listen(port, baud_rate)) as heard:
            async for time_ns, piece in heard:
                say(f"{_clock(time_ns)} {trace.tell(piece)}")

    def decode(
        self, lines: Iterable[str], key_file: str | None, *, personal: bool, say: Say
    ) -> None:
        trace = _trace(key_file, personal=personal)
        for record, piece in pieces_of(decode_records(lines)):
            say(f"{_clock(record.time_ns)} {trace.tell(piece)}")

    def replay(
        self, lines: Iterable[str], key_files: Mapping[int, str], *, personal: bool, say: Say
    ) -> bool:
        keys = {address: read_key(Path(path)) for address, path in key_files.items()}
        replay = Replay(keys, personal)
        for time_ns, said in replay.through(decode_records(lines)):
            say(f"{_clock(time_ns)} {said}")
        told = ", ".join(f"{what} {count}" for what, count in sorted(replay.counts.items()))
        say(f"concluded: {told or 'nothing: no panel begins in this capture'}")
        return replay.same and bool(replay.counts["commands"])

    async def play(self, lines: Iterable[str], link: str, *, paced: bool, say: Say) -> bool:
        exchanges = exchanges_of(decode_records(lines))
        with playing(Path(link), exchanges, paced=paced) as player:
            say(f"{len(exchanges)} exchanges wait at {link}: let the panel open it as its port")
            try:
                await player.run()
            finally:
                say(player.told.in_words)
        return not player.told.renumbered and not player.told.made_up


def _trace(key_file: str | None, *, personal: bool) -> Trace:
    return Trace(None if key_file is None else read_key(Path(key_file)), personal)


def _clock(time_ns: int) -> str:
    """UTC, as in the capture: the box's own zone is not known here."""
    moment = datetime.fromtimestamp(time_ns // NS_PER_S, UTC)
    return f"{moment:%Y-%m-%d %H:%M:%S}.{time_ns % NS_PER_S // 1_000_000:03}"
