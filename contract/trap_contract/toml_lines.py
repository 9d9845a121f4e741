"""Where in a TOML file a key stands, for messages that a person can follow with an editor."""

import re

_TABLE = re.compile(r"\s*\[+\s*([A-Za-z0-9_.\"' -]+?)\s*\]+")


def line_of(text: str, key: str, table: str = "") -> int:
    """The line, from 1, that sets `key` in `table`; where nothing sets it the table's header, or line 1.

    A table's own header counts as setting it: line_of(text, "wifi").
    """
    pattern = re.compile(rf"""\s*\[*\s*["']?{re.escape(key)}["']?\s*[=.\]]""")
    within, header = "", 1
    for number, line in enumerate(text.splitlines(), 1):
        if found := _TABLE.match(line):
            within = found[1].strip("\"' ")
            header = number if within == table else header
        if (within == table or (found and not table)) and pattern.match(line):
            return number
    return header
