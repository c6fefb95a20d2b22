"""The one way in which the launcher says no."""


class Refused(Exception):
    """One clear line for the person at the terminal; the launcher ends with exit code 1."""
