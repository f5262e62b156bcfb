"""A worker's tie to the process that started it: when that one is killed, the worker does not serve on for ever."""

import multiprocessing
import os
import signal
import threading

from ingram_app.core import farewell

_GRACE_SECONDS = 5


def follow_parent() -> None:
    """Stop this worker once its parent is gone, in order if it can. Does nothing in a process that is no worker."""
    if multiprocessing.parent_process() is not None:
        threading.Thread(target=_wait_and_leave, name="lifeline", daemon=True).start()


def _wait_and_leave() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os.kill(os.getpid(), farewell.SIGNAL)
    os.kill(os.getpid(), signal.SIGTERM)
    threading.Event().wait(_GRACE_SECONDS)
    os._exit(1)  # nobody is left who would end what an open stream keeps waiting
