"""The languages of the pages: one JSON file of texts each, and which of them a reader gets."""

import json
from collections.abc import Callable, Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from fastapi import Request

NAMES = {"en": "English", "es": "Español", "pt": "Português"}
DEFAULT = "en"
THEMES = ("auto", "light", "dark")

Texts = Mapping[str, str]


@cache
def texts_of(language: str) -> Texts:
    """Every text of one language by its key, `{name}` where a value goes."""
    found: dict[str, str] = json.loads((files("trap_server") / "languages" / f"{language}.json").read_text("utf-8"))
    return found


def choose(wish: str | None, accepted: str | None) -> str:
    """The language that the reader chose, else the first that the browser accepts (RFC 9110), else English."""
    wishes = [wish or "", *_ordered(accepted or "")]
    known = (one.split("-")[0].lower() for one in wishes)
    return next((one for one in known if one in NAMES), DEFAULT)


def translator(language: str) -> Callable[[str], str]:
    """What templates call for a text. Raises KeyError for one that nobody wrote."""
    texts = texts_of(language)
    return lambda key: texts[key]


def reader_of(request: Request) -> dict[str, Any]:
    """What every template needs to know of a reader: language, its texts, theme."""
    language = choose(request.cookies.get("language"), request.headers.get("accept-language"))
    theme = request.cookies.get("theme")
    return {"language": language, "t": translator(language), "theme": theme if theme in THEMES else THEMES[0]}


def _ordered(accepted: str) -> list[str]:
    """Language ranges by their weight, the heaviest first."""
    ranges = [one.strip().split(";") for one in accepted.split(",") if one.strip()]
    return [name.strip() for name, *_ in sorted(ranges, key=_weight, reverse=True)]


def _weight(parts: list[str]) -> float:
    quality = next((part.strip()[2:] for part in parts[1:] if part.strip().startswith("q=")), "1")
    try:
        return float(quality)
    except ValueError:
        return 0.0
