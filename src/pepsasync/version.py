"""The version, where neither starting nor building has to look far for it."""

__version__ = "0.1.0"
