from typing import Any

from django.conf import settings
from django.http import HttpRequest


def portal(request: HttpRequest) -> dict[str, Any]:
    """What every page needs besides its own data."""
    user = getattr(request, "user", None)
    theme = user.theme if user is not None and user.is_authenticated else request.COOKIES.get("slipway_theme", "system")
    return {
        "theme": theme if theme in ("light", "dark") else "system",
        "portal_url": settings.PUBLIC_URL,
    }
