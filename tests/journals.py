"""Journals as earlier runs leave them."""

import anyio
import pytest

from pepsasync.folder.journal import open_journal


def write_journal(folder, *orders):
    """A journal with orders: what was wanted, options, whether it was searched, products and their states."""

    async def write():
        async with open_journal(folder, tell=pytest.fail) as journal:
            for wanted, options, is_searched, products in orders:
                providers = options.get("provider", "peps").split(",")
                order = journal.record_order(wanted, providers, options)
                await journal.note_products(order, products)
                for one, state in products.items():
                    journal.note(one.name, state)
                if is_searched:
                    journal.note_searched(order)

    anyio.run(write)
    return folder
