"""Sizes, durations and counts as commands show them."""

from pepsasync.units import show_count, show_duration, show_size

__all__ = ["show_count", "show_duration", "show_size"]
