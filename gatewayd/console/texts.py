"""The page's words in every language, for what the server renders itself. Owns loading them; the
catalogue is static/i18n/*.json, one file a language, the same for server and page.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from gatewayd.console import static_folder

LANGUAGES = ("zh-CN", "en")


@dataclass(frozen=True, slots=True)
class Texts:
    by_language: dict[str, dict[str, str]]

    @classmethod
    def load(cls) -> Texts:
        folder = static_folder() / "i18n"
        return cls(
            {
                language: json.loads((folder / f"{language}.json").read_text("utf-8"))
                for language in LANGUAGES
            }
        )

    def of(self, accept_language: str) -> tuple[str, dict[str, str]]:
        """The first language of the browser's list that there is; Chinese where there is none."""
        for wanted in accept_language.split(","):
            primary = wanted.split(";")[0].strip().split("-")[0].lower()
            for language in LANGUAGES:
                if primary == language.split("-")[0].lower():
                    return language, self.by_language[language]
        return LANGUAGES[0], self.by_language[LANGUAGES[0]]
