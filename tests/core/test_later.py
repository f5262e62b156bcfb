import importlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ingram_app.core import later

IMPORTED = "import sys, ingram_app.ingram_app; print(*sorted({'mcp', 'mcp_types', 'requests'} & sys.modules.keys()))"


def test_what_takes_much_memory_is_not_held_by_a_process_that_has_not_used_it() -> None:
    env = os.environ | {"IC_DATABASE_URL": "postgresql://x@localhost/x"}
    said = subprocess.run([sys.executable, "-c", IMPORTED], env=env, capture_output=True, text=True, check=True)
    assert not said.stdout.strip(), said.stdout


def test_a_module_is_imported_without_what_it_can_do_without(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "helped.py").write_text("try:\n    import helper\nexcept ImportError:\n    helper = None\n")
    (tmp_path / "helper.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    later.import_without("helped", "helper")
    assert importlib.import_module("helped").helper is None
    assert importlib.import_module("helper").__file__ == str(tmp_path / "helper.py")
    for name in ("helped", "helper"):
        monkeypatch.delitem(sys.modules, name)
