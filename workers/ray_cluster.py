"""What is known of a Ray cluster without Ray: its address, whether it answers, whom it lets in, what fits into it."""

from __future__ import annotations

import logging
import os
import re
import secrets
import socket
import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from evonas.errors import ConfigError, ResourceError

CONNECT_SECONDS = 5.0
WATCH_SECONDS = 5.0
HEAD_SECONDS = 15.0
"""How long the head may be silent; after 60 s Ray ends the driver's process."""
START_SECONDS = 600.0
"""How long the pool is content without any worker."""
_HTTP2_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"
_SETTINGS_FRAME = 4
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Node:
    """What a living node has, used or not; `custom` are other resources by name, bytes of `memory` among them."""

    cpus: float
    gpus: float
    custom: tuple[tuple[str, float], ...] = ()

    def fits(self, cpus: float, gpus: float, custom: Mapping[str, float] | None = None) -> int:
        """Return how many workers of so many CPUs, GPUs and other resources the node can hold."""
        has = dict(self.custom)
        shares = [has.get(name, 0.0) / amount for name, amount in (custom or {}).items()]
        shares += [self.gpus / gpus] if gpus else []
        return int(min([self.cpus / cpus, *shares]) + 1e-9)


def workers_to_start(
    nodes: Sequence[Node],
    wanted: int | None,
    cpus: float,
    gpus: float,
    custom: Mapping[str, float] | None = None,
    *,
    grows: bool,
) -> int:
    """Return the wanted number of workers, or as many as fit.

    Raises ResourceError where none fits or, if the cluster never grows, fewer than wanted: Ray would wait for ever.
    """
    fit = sum(node.fits(cpus, gpus, custom) for node in nodes)
    if fit == 0 or (wanted is not None and fit < wanted and not grows):
        also = "".join(f", {_amount(name, amount)}" for name, amount in (custom or {}).items())
        raise ResourceError(
            f"{wanted or 1} worker(s) of 'cpus: {cpus:g}' and 'gpus: {gpus:g}'{also} do not fit, {fit} would; nodes: "
            f"{describe(nodes, custom or {})}; ask for less with 'workers', 'cpus', 'gpus', 'memory_gb' or "
            f"'resources', or set another 'address'"
        )
    if wanted is not None and fit < wanted:
        _log.warning("%d of %d workers fit now, and the others start when nodes join: %s", fit, wanted, describe(nodes))
    return wanted or fit


def describe(nodes: Sequence[Node], others: Collection[str] = ()) -> str:
    """Return the nodes in words, the largest first, with those of their other resources that matter."""
    told = [replace(node, custom=tuple(item for item in node.custom if item[0] in others)) for node in nodes]
    counts = sorted(Counter(told).items(), key=lambda item: (item[0].gpus, item[0].cpus), reverse=True)
    texts = [
        f"{count} of {node.cpus:g} CPUs and {node.gpus:g} GPUs"
        + "".join(f", {_amount(name, amount)}" for name, amount in node.custom)
        for node, count in counts
    ]
    return ", ".join(texts) or "none"


def _amount(name: str, amount: float) -> str:
    return f"memory_gb: {amount / 1e9:.1f}" if name == "memory" else f"{name}: {amount:g}"


class HeadSilent(ResourceError):
    """The head of the cluster does not answer any more."""


class Vigil:
    """Decides when waiting for a cluster has to end: its head is gone, or no worker can start."""

    def __init__(self, head: str) -> None:
        self.head = head
        self._looked = time.monotonic()
        self._silent_since: float | None = None
        self._alone_since: float | None = None

    def complaint(self, working: bool, nodes: Callable[[], Sequence[Node]]) -> ResourceError | None:
        """Look, if the last look is some seconds old, and return what is wrong; `working`: there is a worker."""
        now = time.monotonic()
        if now < self._looked + WATCH_SECONDS:
            return None
        self._looked = now
        if not answers(self.head):
            self._silent_since = self._silent_since or now
            silent = now - self._silent_since
            if silent < HEAD_SECONDS:
                return None
            return HeadSilent(
                f"the head of the Ray cluster at {self.head} has not answered for {silent:.0f} s: bring the cluster "
                f"back and resume, nothing that is finished is lost"
            )
        self._silent_since = None
        if working:
            self._alone_since = None
            return None
        self._alone_since = self._alone_since or now
        alone = now - self._alone_since
        if not nodes():
            return ResourceError("every node of the Ray cluster is gone: bring nodes back and resume")
        if alone < START_SECONDS:
            return None
        return ResourceError(
            f"no worker has started for {alone:.0f} s; nodes: {describe(nodes())}; end what else runs there, "
            f"ask for less with 'cpus' and 'gpus', or bring nodes back; then resume"
        )


def cluster_address(option: str | None) -> str | None:
    """Return `host:port` of the cluster to join, from the option or else from RAY_ADDRESS; None for a private one.

    "auto" is the cluster that `ray start` started last on this machine. Raises ConfigError for what is no `host:port`.
    """
    named, address = ("'address'", option) if option else ("RAY_ADDRESS", os.environ.get("RAY_ADDRESS"))
    if not address or address == "local":
        return None
    if address == "auto":
        note = Path(os.environ.get("RAY_TMPDIR", "/tmp")) / "ray" / "ray_current_cluster"
        if not note.exists():
            raise ResourceError(f"{named} is 'auto', and no 'ray start' has left a cluster on this machine ({note})")
        address = note.read_text().strip()
    if not re.fullmatch(r"(\[[^\]]+\]|[^:/\[\]]+):\d+", address):
        raise ConfigError(
            f"{named} must read host:port, as 'ray start' prints it (port 6379 by default), and is '{address}' "
            f"(http:// is for 'ray job submit', ray:// for neither); or leave it out to work on this machine"
        )
    return address


def check_answers(address: str) -> None:
    """Raise ResourceError unless a Ray head answers at `host:port`, within seconds: Ray would try for minutes."""
    try:
        try:
            first_bytes = _greet(address)
        except TimeoutError:  # a busy head gets a second chance
            first_bytes = _greet(address)
    except OSError as error:
        raise ResourceError(f"no Ray cluster answers at {address} ({error}); {_way_in()}") from error
    if first_bytes is not None and first_bytes[3:4] != bytes([_SETTINGS_FRAME]):
        raise ResourceError(f"what answers at {address} is not the head of a Ray cluster; {_way_in()}")


def answers(address: str) -> bool:
    """Whether anything accepts connections at `host:port`."""
    try:
        _connect(address).close()
    except OSError:
        return False
    return True


def refuses(address: str) -> bool:
    """Whether the machine says that nobody listens at `host:port` any more, which a head that is only busy does not."""
    try:
        _connect(address).close()
    except ConnectionRefusedError:
        return True
    except OSError:
        return False
    return False


def entry_refused(address: str, reason: object) -> ResourceError:
    """Return the error for a cluster that answers and cannot be joined."""
    return ResourceError(f"the Ray cluster at {address} cannot be joined ({reason}); {_way_in()}")


def prepare_token() -> None:
    """Give this process a secret for its private cluster.

    Ray would else write one to ~/.ray/auth_token, and with this file there a later `ray start` asks for tokens which
    `ray job submit` does not send. Where the user has a token, or has decided against them, nothing changes.
    """
    if os.environ.get("RAY_AUTH_MODE", "token").lower() == "token" and not token_source():
        os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)


def _connect(address: str) -> socket.socket:
    host, _, port = address.rpartition(":")
    return socket.create_connection((host.strip("[]"), int(port)), timeout=CONNECT_SECONDS)


def _greet(address: str) -> bytes | None:
    """Open HTTP/2, as Ray's gRPC does, and return the first bytes of the answer; None where TLS forbids it."""
    with _connect(address) as connection:
        if os.environ.get("RAY_USE_TLS", "0").lower() in ("1", "true"):
            return None
        connection.sendall(_HTTP2_PREFACE)
        return connection.recv(9)


def token_source() -> str:
    """Return where Ray finds a token here: a variable or a file; '' for nowhere."""
    for variable in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
        if os.environ.get(variable):
            return variable
    default = Path.home() / ".ray" / "auth_token"
    return str(default) if default.exists() else ""


def _way_in() -> str:
    mode, source = os.environ.get("RAY_AUTH_MODE", ""), token_source()
    sent = "" if mode.lower() == "token" else " (no token is sent)"
    token = f"a token is in {source}" if source else "there is no token here"
    return (
        f"RAY_AUTH_MODE is {mode or 'unset'}{sent} and {token}; see 'ray status' on the head, and firewalls; for a "
        f"cluster with tokens set RAY_AUTH_MODE=token and its RAY_AUTH_TOKEN; leave the address out to work here"
    )
