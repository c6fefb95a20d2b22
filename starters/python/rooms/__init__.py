"""Rooms: a week calendar in which a team books its meeting rooms."""
