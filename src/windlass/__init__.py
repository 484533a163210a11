"""Windlass: a task management server for identity governance, its client and its command line."""

__version__ = "0.1.0"
