"""Settings of readers that present text: what a line is, and how it is taken apart. Owns the keys
that `line-reader` and `evdev-reader` share; must not know how the text comes in.
"""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
)

from drivers.protocols import bit_order
from drivers.protocols.bit_order import Order
from drivers.protocols.text_credential import Digits, Kind, TextReading
from gatewayd.domain.wiegand import MAX_BITS

MAX_FRAME = 32  # characters around a line: a symbology's mark, a lane's name
_LINE_ENDS = re.compile(r"[\r\n]")
_CARD_ONLY = "is for credential = 'card' only: remove it"


def check_frame(text: str) -> str:
    """A prefix or suffix, unchanged. Raises ValueError that says what to write instead."""
    if _LINE_ENDS.search(text):
        raise ValueError("CR and LF end a line anyway: leave them out")
    if len(text) > MAX_FRAME:
        raise ValueError(f"has {len(text)} characters: at most {MAX_FRAME}")
    return text


Frame = Annotated[str, AfterValidator(check_frame)]


class TextOptions(BaseModel):
    """The keys that all readers of text have."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    credential: Kind = Field(
        description="What the reader reads: 'qr' passes (or barcodes), licence 'plate's or 'card's."
    )
    prefix: Frame = Field(
        default="",
        description="What the reader puts in front of every line; taken off, and a line without "
        "it is refused.",
    )
    suffix: Frame = Field(
        default="",
        description="What the reader puts behind every line, before its end; likewise.",
    )
    bits: int | None = Field(
        default=None,
        ge=1,
        le=MAX_BITS,
        validate_default=True,
        description="Cards only, and needed there: how many bits the number has, e.g. 32.",
    )
    digits: Digits | None = Field(
        default=None,
        description="Cards only: how the number is written; 'hex' where it is not set.",
    )
    reverse: Order = Field(default="none", description=f"Cards only. {bit_order.DESCRIPTION}")

    @field_validator("bits")
    @classmethod
    def _bits_of_cards(cls, bits: int | None, info: ValidationInfo) -> int | None:
        kind = info.data.get("credential")
        if kind == "card" and bits is None:
            raise ValueError("is needed for cards: write how many bits one has, e.g. 32")
        if kind in ("qr", "plate") and bits is not None:
            raise ValueError(_CARD_ONLY)
        return bits

    @field_validator("digits")
    @classmethod
    def _digits_of_cards(cls, digits: Digits | None, info: ValidationInfo) -> Digits | None:
        if info.data.get("credential") in ("qr", "plate") and digits is not None:
            raise ValueError(_CARD_ONLY)
        return digits

    @field_validator("reverse")
    @classmethod
    def _order_of_cards(cls, order: Order, info: ValidationInfo) -> Order:
        if info.data.get("credential") in ("qr", "plate") and order != "none":
            raise ValueError(_CARD_ONLY)
        bits = info.data.get("bits")
        if bits is not None and not bit_order.suits(bits, order):
            raise ValueError(
                f"a card of {bits} bits does not come in {order}: write 'bits' or 'none', or as "
                "many bits as the reader sends"
            )
        return order

    @property
    def reading(self) -> TextReading:
        """How a line is read."""
        return TextReading(
            self.credential,
            self.prefix,
            self.suffix,
            self.digits or "hex",
            self.bits or 0,
            self.reverse,
        )
