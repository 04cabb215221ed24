"""Results as lines of JSON in a file. Whenever a run is stopped, each line is complete or absent."""

import json
import os


def read(path):
    if not os.path.exists(path):
        return []
    with open(path, "rb+") as file:
        text = file.read()
        whole = text.rfind(b"\n") + 1
        file.truncate(whole)  # a line that was cut off
    return [json.loads(line) for line in text[:whole].splitlines()]


def rounded(value):
    """Rounds to six digits, which is enough for any difference here."""
    if isinstance(value, dict):
        return {name: rounded(member) for name, member in value.items()}
    return round(value, 6) if isinstance(value, float) else value


def append(path, result):
    with open(path, "a", encoding="utf-8") as file:
        file.write(json.dumps(rounded(result)) + "\n")
