"""What an archive, an account and the user bear: slots, quotas, pauses, attempts, rates."""
