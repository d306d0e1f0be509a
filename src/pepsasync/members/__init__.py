"""Some members of a product, without the rest of it: fetched into a partial folder, listed, read as files."""
