"""The languages that refusals are written in: English, and those with a file of translations.

A translation is found by the English sentence, with its `{names}`. Source: RFC 9110 §12.5.4.
"""

import json
from collections.abc import Mapping
from functools import lru_cache
from importlib.resources import files

import msgspec
from werkzeug.datastructures import LanguageAccept
from werkzeug.http import parse_accept_header

from windlass.server.model.task import LOCALE

_OURS = LOCALE.partition("-")[0]
_TRANSLATIONS: dict[str, dict[str, str]] = {
    "de": json.loads((files(__package__) / "translations" / "de.json").read_text(encoding="utf-8")),
}


class Language(msgspec.Struct, frozen=True):
    """A language that answers are written in. locale: a BCP 47 tag; is_asked_for: by the request."""

    locale: str
    is_asked_for: bool

    def said(self, text: str, values: Mapping[str, object]) -> str:
        """The sentence in this language; in English where nobody has translated it."""
        translated = _TRANSLATIONS.get(self.locale, {}).get(text, text)
        return translated.format(**values) if values else translated


@lru_cache(maxsize=256)
def negotiated(accept_language: str) -> Language:
    """The best language for the request's `Accept-Language`; our own where it asks for none that we have."""
    for tag, quality in parse_accept_header(accept_language[:1000], LanguageAccept):  # The most wanted first.
        # By language alone, for no region has texts of its own: whoever reads en-GB reads our English.
        language = tag.partition("-")[0].lower()
        if quality > 0 and language in _TRANSLATIONS:
            return Language(language, is_asked_for=True)
        if quality > 0 and language in (_OURS, "*"):
            return Language(LOCALE, is_asked_for=True)
    return Language(LOCALE, is_asked_for=False)
