"""What readers show: how each door rests, and the moments that happen at its readers.

Owns which sign a reader was last told to rest in. Must not decide what happened (the tap's path and
the doors do); a reader without light, buzzer or display is passed over.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from gatewayd.domain.door_state import Phase
from gatewayd.domain.model import AccessPointId, DoorId
from gatewayd.domain.ports import DoorStatus, SignedReader
from gatewayd.domain.signs import Indication, Sign, resting


@dataclass(slots=True)
class SignPost:
    """One reader that can tell something, its door, and how it tells what. `moments_s` are the
    indications that go by themselves, in seconds."""

    reader: SignedReader
    door_id: DoorId
    signs: Mapping[Indication, Sign]
    moments_s: Mapping[Indication, float]
    waits_for_pin: bool = False
    installing: bool = False
    rests: Indication | None = None


class FeedbackDesk:
    """One for the box. Every method returns at once and is called on the event loop."""

    def __init__(
        self,
        posts: Mapping[AccessPointId, SignPost],
        status: Callable[[DoorId], DoorStatus],
    ) -> None:
        self._posts = posts
        self._status = status

    def show_all(self) -> None:
        """At the start: how every door rests."""
        for post in self._posts.values():
            self._rest(post)

    def door_changed(self, door_id: DoorId) -> None:
        """Something happened at the door; its readers may have to rest otherwise."""
        for post in self._posts.values():
            if post.door_id == door_id:
                self._rest(post)

    def waits_for_pin(self, point_id: AccessPointId, waits: bool) -> None:
        post = self._posts.get(point_id)
        if post is not None:
            post.waits_for_pin = waits
            self._rest(post)

    def installs(self, point_id: AccessPointId, installs: bool) -> None:
        """The reader's key may be set now, or no longer."""
        post = self._posts.get(point_id)
        if post is not None:
            post.installing = installs
            self._rest(post)

    def happened(self, point_id: AccessPointId, indication: Indication) -> None:
        """Tell a moment. Raises KeyError for an indication that is none."""
        post = self._posts.get(point_id)
        if post is not None:
            post.reader.flash(post.signs[indication], post.moments_s[indication])

    def show(self, point_id: AccessPointId, sign: Sign, for_s: float) -> None:
        """What a linkage wants to be seen or heard there."""
        post = self._posts.get(point_id)
        if post is not None:
            post.reader.flash(sign, for_s)

    def _rest(self, post: SignPost) -> None:
        status = self._status(post.door_id)
        rests = resting(
            Phase(status.phase),
            status.mode,
            waits_for_pin=post.waits_for_pin,
            installing=post.installing,
        )
        if rests is not post.rests:
            post.rests = rests
            post.reader.rest(post.signs[rests])
