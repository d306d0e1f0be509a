"""A whole run, and the way of each product through it."""
