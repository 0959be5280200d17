"""The page's words in every language, for what the server renders itself. Owns choosing the
language; the catalogue is gatewayd.wording's, the same for server, page and command line.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from gatewayd.wording import LANGUAGES, catalogue


@dataclass(frozen=True, slots=True)
class Texts:
    by_language: dict[str, Mapping[str, str]]

    @classmethod
    def load(cls) -> Texts:
        return cls({language: catalogue(language) for language in LANGUAGES})

    def of(self, accept_language: str) -> tuple[str, Mapping[str, str]]:
        """The first language of the browser's list that there is; Chinese where there is none."""
        for wanted in accept_language.split(","):
            primary = wanted.split(";")[0].strip().split("-")[0].lower()
            for language in LANGUAGES:
                if primary == language.split("-")[0].lower():
                    return language, self.by_language[language]
        return LANGUAGES[0], self.by_language[LANGUAGES[0]]
