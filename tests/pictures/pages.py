"""A page in a browser, through the shadow trees in which bokeh draws."""

from pathlib import Path

ALL = """
const all = [], look = (node) => { for (const one of node.querySelectorAll('*')) {
    all.push(one); if (one.shadowRoot) look(one.shadowRoot); } };
look(document);
"""
IS_VISIBLE_ROW = "one.matches('.slick-row') && one.checkVisibility({visibilityProperty: true})"


class Page:
    """A page that is drawn."""

    def __init__(self, browser, path: Path, size=(1240, 2400)):
        self._browser = browser
        browser.open(path, size)
        browser.wait_for("return window.Bokeh && Bokeh.documents.length && Bokeh.documents[0].is_idle")

    def find(self, selector, what):
        """A JavaScript expression of `one`, for all elements that a selector finds."""
        return self._browser.script(f"{ALL} return all.filter(one => one.matches({selector!r})).map(one => {what})")

    def texts(self, selector):
        return self.find(selector, "one.textContent")

    def boxes(self, selector):
        """Left, top, width and height."""
        places = "(box => [box.x, box.y, box.width, box.height])(one.getBoundingClientRect())"
        return self.find(selector, places)

    def middle_of_map(self):
        x, y, width, height = next(box for box in self.boxes("canvas") if box[2] > 300)
        return x + width / 2, y + height / 2

    def click_map(self):
        self._browser.click(*self.middle_of_map())

    def hover_map(self):
        """What is told at the pointer."""
        self._browser.hover(*self.middle_of_map())
        self._browser.wait_for(f"{ALL} return all.some(one => one.matches('.bk-tooltip-row-value'))")
        return " ".join(self.texts(".bk-tooltip-row-value"))

    def open_tab(self, title):
        [(x, y, width, height)] = [
            box for box, text in zip(self.boxes(".bk-tab"), self.texts(".bk-tab"), strict=True) if text.strip() == title
        ]
        self._browser.click(x + width / 2, y + height / 2)
        self._browser.wait_for("return Bokeh.documents[0].is_idle")

    def rows(self):
        """Of the tables that can be seen."""
        return self._browser.script(f"{ALL} return all.filter(one => {IS_VISIBLE_ROW}).map(one => one.textContent)")

    def wait_for_rows(self):
        """The same: they come a moment after what they are about was chosen."""
        self._browser.wait_for(f"{ALL} return all.some(one => {IS_VISIBLE_ROW})")
        return self.rows()
