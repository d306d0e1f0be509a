"""The verbs of the story, one per file, in its order: search, stage, watch, download, verify, extract."""
