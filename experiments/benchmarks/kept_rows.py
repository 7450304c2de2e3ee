"""Rows of JSON that a benchmark has finished, and does not compute again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def kept_rows(file: Path) -> list[dict[str, Any]]:
    """Return the rows of a file, none if there is no file; a last line that was torn is cut off, to append after."""
    if not file.exists():
        return []
    text = file.read_text()
    whole = text[: text.rfind("\n") + 1]
    if whole != text:
        file.write_text(whole)
    return [json.loads(line) for line in whole.splitlines()]
