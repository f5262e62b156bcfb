"""Modules that take long to import, or much memory, and are not needed before they are used."""

import asyncio
import importlib
import sys
from types import ModuleType

_imported: dict[str, ModuleType] = {}
"""Not `sys.modules`: a module stands there while a thread is still at it, and using it would block the loop."""


async def module(name: str) -> ModuleType:
    """Return a module, imported beside the event loop at its first use. Raises `ImportError`."""
    if name not in _imported:
        _imported[name] = await asyncio.to_thread(importlib.import_module, name)
    return _imported[name]


def is_imported(name: str) -> bool:
    """Tell whether a module has been used here."""
    return name in _imported


def import_without(name: str, *optional: str) -> None:
    """Import a module as if what it can do without were not installed; others can import that still."""
    missing = [one for one in optional if one not in sys.modules]
    sys.modules.update(dict.fromkeys(missing))  # type: ignore[arg-type]
    try:
        importlib.import_module(name)
    finally:
        for one in missing:
            del sys.modules[one]
