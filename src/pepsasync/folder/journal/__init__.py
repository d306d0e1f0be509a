"""The journal of a folder: the order, every product's state, the downloads of each account; `docs/journal.md`.

`open_journal` is for the one process that fills the folder, `JournalReader` for all that only look.
"""

from pepsasync.folder.journal.journal import Journal, Pulse, open_journal
from pepsasync.folder.journal.lease import JournalBusyError, LeaseWatch, Owner
from pepsasync.folder.journal.reading import JournalReader
from pepsasync.folder.journal.rows import UNFINISHED, Asked, Changes, Count, Here, Now, Order, Provenance, Row, State

__all__ = [
    "UNFINISHED",
    "Asked",
    "Changes",
    "Count",
    "Here",
    "Journal",
    "JournalBusyError",
    "JournalReader",
    "LeaseWatch",
    "Now",
    "Order",
    "Owner",
    "Provenance",
    "Pulse",
    "Row",
    "State",
    "open_journal",
]
