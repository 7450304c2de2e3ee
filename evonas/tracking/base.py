"""What a tracker is: something that is told how a search goes, and must never slow it or stop it."""

from __future__ import annotations

from evonas.evaluation import Outcome
from evonas.history import Generation, History


class Tracker:
    """No-op hooks, called on the driver's thread. A tracker that talks to a server does so on a thread of its own."""

    def check(self) -> None:
        """Raise an EvonasError if the tracker cannot do its work; called once, before the run folder is made."""

    def started(self, history: History) -> None:
        """The search starts or resumes; `history` holds what is known already."""

    def outcome(self, history: History, outcome: Outcome) -> None:
        """A candidate has its outcome; it is in `history`, whose `elapsed` is that of the outcome, and on the disk."""

    def generation(self, history: History, generation: Generation) -> None:
        """All candidates of a generation have their outcomes."""

    def link(self) -> str | None:
        """Return the web address at which a person sees the search, if there is one."""
        return None

    def disk_bytes(self, evaluations: int, front: int, results: int) -> int:
        """Return about how much a search of that length leaves on this disk, beside its run folder, for plans.

        `front` is the size of its front, and `results` the bytes of the files in its run folder.
        """
        return 0

    def closed(self, history: History) -> None:
        """The search ended or was interrupted; returns within seconds."""
