"""Outgoing mail of environments: taken at once, kept to be read or handed on to a server."""
