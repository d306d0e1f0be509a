"""Search results as tables and files, and back."""
