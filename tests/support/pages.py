"""Pages as a browser sees them."""

import html.parser
import json


class Reader(html.parser.HTMLParser):
    """What a browser sees: tags with their attributes, and texts by their enclosing tag."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.tags, self.texts, self._open = [], [], ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self._open = tag

    def handle_data(self, data):
        self.texts.append((self._open, data))

    @property
    def data(self):
        at = next(i for i, (_, a) in enumerate(self.tags) if a.get("id") == "data")
        assert self.tags[at][0] == "script"
        return json.loads(next(text for tag, text in self.texts if text.startswith('{"cards"')))
