"""The async front door."""
