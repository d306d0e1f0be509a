"""What a user sees of a run and of products, on a terminal, in a log, on a page; and what that is written to."""
