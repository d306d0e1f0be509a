"""Pictures of products and runs: maps, plots, pages. The libraries for them are the extra `map`."""
