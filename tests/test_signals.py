"""
SIGTERM ends a process in order, where nobody else sees to it.
"""

from __future__ import annotations

import signal
import threading
from typing import TYPE_CHECKING

import pytest

import chimera_log

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


class TestExitOnSigterm:
    def test_exits(self) -> None:
        """
        SIGTERM raises SystemExit, with the code that a shell would show.
        """
        chimera_log.exit_on_sigterm()
        with pytest.raises(SystemExit) as caught:
            signal.raise_signal(signal.SIGTERM)
        assert 143 == caught.value.code

    def test_twice(self) -> None:
        """
        Once told, the process dies of the next SIGTERM: somebody means it.
        """
        chimera_log.exit_on_sigterm()
        with pytest.raises(SystemExit):
            signal.raise_signal(signal.SIGTERM)
        assert signal.SIG_DFL is signal.getsignal(signal.SIGTERM)

    @pytest.mark.parametrize("before", [signal.SIG_IGN, lambda *_: None])
    def test_handled_already(self, before: signal._HANDLER) -> None:
        """
        Who sees to SIGTERM himself, as servers do, goes on doing so.
        """
        signal.signal(signal.SIGTERM, before)
        chimera_log.exit_on_sigterm()
        assert before is signal.getsignal(signal.SIGTERM)

    def test_other_thread(self) -> None:
        """
        Outside the main thread it cannot be done, and says so.
        """
        raised: list[Exception] = []

        def run() -> None:
            try:
                chimera_log.exit_on_sigterm()
            except ValueError as error:
                raised.append(error)

        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
        assert 1 == len(raised)
