"""Signals that end a process, handled as ctrl-C is: what was begun is cleaned up."""

from __future__ import annotations

import signal
import threading


def interrupt_on_signals() -> None:
    """Have SIGTERM and SIGHUP raise KeyboardInterrupt; a signal that is ignored (nohup) or handled already stays so."""
    if threading.current_thread() is not threading.main_thread():
        return
    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)  # Windows has no SIGHUP
        if number is not None and signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, signal.default_int_handler)
