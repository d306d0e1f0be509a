"""The folder that a run fills: names, files, room, journal."""
