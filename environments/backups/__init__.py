"""Backups as they are stored: one compressed archive for each part, and a manifest that names all of them.

A backup exists once its manifest does. Nothing here knows the database.
"""
