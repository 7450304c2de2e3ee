"""What holds for all tests."""

from __future__ import annotations

import signal

if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    # Started in the background of a shell: Ctrl-C would be ignored by all processes that tests start, and send it to.
    signal.signal(signal.SIGINT, signal.default_int_handler)
