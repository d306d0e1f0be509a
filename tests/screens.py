"""A terminal that tests can read: what a program writes goes to an emulator (pyte), which keeps the screen."""

import io

import pyte


class Terminal(io.StringIO):
    """A file that is a terminal of some columns and rows."""

    encoding = "utf-8"

    def __init__(self, columns=80, rows=24, encoding="utf-8"):
        super().__init__()
        self.encoding = encoding
        self.size = (columns, rows)
        self.screen = pyte.HistoryScreen(columns, rows, history=10_000, ratio=1e-9)
        self._stream = pyte.Stream(self.screen)

    def isatty(self):
        return True

    def write(self, text):
        self._stream.feed(text.replace("\n", "\r\n"))  # as the line discipline of a terminal does
        return super().write(text)

    def resize(self, columns, rows):
        self.size = (columns, rows)
        self.screen.resize(rows, columns)

    @property
    def lines(self):
        """What stands on the screen, without the empty lines at its end."""
        return "\n".join(line.rstrip() for line in self.screen.display).rstrip("\n").split("\n")

    @property
    def scrolled_off(self):
        """Lines that went out at the top."""
        rows = [[row[column].data for column in range(self.screen.columns)] for row in self.screen.history.top]
        return ["".join(row).rstrip() for row in rows]

    @property
    def colours(self):
        """Every colour that is on the screen."""
        return {(cell.fg, cell.bg) for row in self.screen.buffer.values() for cell in row.values()}
