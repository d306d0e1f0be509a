"""How products travel: `deliver` is the path of one, `deliver_all` that of many."""
