"""The trade's words for the values of a list, in English and Chinese. Pure; owns the vocabulary."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from gatewayd.directory import cells
from gatewayd.directory.cells import Cell, CellError


class Language(StrEnum):
    ENGLISH = "en"
    CHINESE = "zh-CN"


class Words:
    """Values with their words: English, Chinese, then others that are understood too."""

    def __init__(self, words: Mapping[str, tuple[str, ...]]) -> None:
        self._words = words
        self._value = {
            word.lower(): value for value, known in words.items() for word in (value, *known)
        }

    def read(self, cell: Cell) -> str:
        """The value. Raises CellError for a word that is none of them."""
        found = self._value.get(cells.text(cell).lower())
        if found is None:
            raise CellError("the word is not known", f"one of {self.told()}")
        return found

    def read_or_keep(self, cell: Cell) -> str:
        """The value of a known word; another text, or one with ' in front, is its own value."""
        found = cells.text(cell)
        return found if cells.is_verbatim(cell) else self._value.get(found.lower(), found)

    def shown(self, value: str, language: Language) -> str:
        """The word for it, as `read_or_keep` reads it back."""
        if value in self._words:
            return self._words[value][0 if language is Language.ENGLISH else 1]
        short = cells.written(value)
        return short if short and self.read_or_keep(short) == value else cells.VERBATIM + value

    def told(self) -> str:
        """All of them, for a sentence."""
        return ", ".join(f"{known[0]} ({known[1]})" for known in self._words.values())


ROLES = Words(
    {
        "owner": ("owner", "业主", "户主"),
        "tenant": ("tenant", "租户", "租客"),
        "family": ("family", "家属", "家人"),
        "staff": ("staff", "员工", "物业"),
        "visitor": ("visitor", "访客"),
    }
)
KINDS = Words(
    {
        "card": ("card", "卡", "门禁卡", "ic卡", "id卡"),
        "pin": ("pin", "密码", "开门密码"),
        "qr": ("qr", "二维码"),
        "plate": ("plate", "车牌", "车牌号"),
    }
)
STATUSES = Words(
    {
        "active": ("active", "正常", "有效", "启用"),
        "suspended": ("suspended", "停用", "暂停", "冻结"),
        "lost": ("lost", "挂失", "丢失"),
        "revoked": ("revoked", "注销", "作废", "回收"),
    }
)
CALENDAR_KINDS = Words(
    {
        "holiday": ("holiday", "节假日", "假日", "放假"),
        "workday": ("workday", "调休上班", "调休", "上班"),
    }
)
