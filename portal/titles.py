"""Titles that people give: of projects and of environments."""

import re

from portal.errors import Invalid

MAX = 80
# Control characters, and those that change the direction of what stands behind them.
_UNSEEN = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]")


def check(title: str, *, longest: int = MAX) -> str:
    """The title without the spaces around it. Raises Invalid (field "title")."""
    title = title.strip()
    if not title:
        raise Invalid("Give it a title.", field="title")
    if len(title) > longest:
        raise Invalid(f"The title has {len(title)} characters; {longest} is the most.", field="title")
    check_visible(title, what="title", field="title")
    return title


def check_visible(text: str, *, what: str, field: str) -> None:
    """Raises Invalid for text that looks different from what it is, or would do something to a terminal."""
    if _UNSEEN.search(text):
        raise Invalid(f"The {what} holds a character that cannot be seen.", field=field)
