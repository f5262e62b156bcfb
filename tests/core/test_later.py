import os
import subprocess
import sys

IMPORTED = "import sys, ingram_app.ingram_app; print(*sorted({'mcp', 'mcp_types'} & sys.modules.keys()))"


def test_a_process_that_calls_no_mcp_server_holds_no_mcp_sdk_in_memory() -> None:
    env = os.environ | {"IC_DATABASE_URL": "postgresql://x@localhost/x"}
    said = subprocess.run([sys.executable, "-c", IMPORTED], env=env, capture_output=True, text=True, check=True)
    assert not said.stdout.strip(), said.stdout
