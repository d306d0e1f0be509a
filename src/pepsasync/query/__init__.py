"""From words of users to a query, and what matches it."""
