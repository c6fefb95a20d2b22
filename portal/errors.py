"""What the doors turn into an answer: the message is shown to the person, so it says what to do."""


class SlipwayError(Exception):
    """Base of every error that a person caused or can mend."""

    def __init__(self, message: str, *, field: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.field = field


class Invalid(SlipwayError):
    """What was given is not right (HTTP 400 or a form error)."""


class Denied(SlipwayError):
    """The person may not (HTTP 403)."""


class Missing(SlipwayError):
    """It does not exist, or the person may not know that it does (HTTP 404)."""


class Conflict(SlipwayError):
    """Not possible in the present state (HTTP 409)."""
