"""Where MLflow keeps searches: a tracking server, or a store beside the run folders that `evonas ui` serves."""

from __future__ import annotations

import importlib
import logging
import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from evonas.errors import TrackingError

REMOTE = ("http", "https")
DATABASES = ("sqlite", "postgresql", "mysql", "mssql")
UI_PORT = 5000


@dataclass(frozen=True, slots=True)
class Store:
    """A tracking URI, and the folder for the artifacts of new experiments where no server decides that."""

    uri: str
    artifacts: Path | None

    @classmethod
    def of(cls, root: Path, uri: str | None = None) -> Store:
        """Return the store of the run folders in `root`: `uri`, else MLFLOW_TRACKING_URI, else `root`/mlflow.db."""
        root = root.absolute()
        uri = uri or os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{root / 'mlflow.db'}"
        if urlsplit(uri).scheme in REMOTE:
            return cls(uri.rstrip("/"), None)
        if uri.startswith("sqlite:///") and not uri.startswith("sqlite:////"):
            uri = f"sqlite:///{Path(uri.removeprefix('sqlite:///')).absolute()}"
        return cls(uri, root / "mlartifacts")

    @property
    def remote(self) -> bool:
        """Whether a server of its own keeps the runs."""
        return urlsplit(self.uri).scheme in REMOTE

    @property
    def address(self) -> str:
        """The URI as it may be shown: without a user's name and password."""
        return self.uri if self.uri.startswith("sqlite") else re.sub("//.*@", "//", self.uri)

    def check_scheme(self) -> None:
        """Raise TrackingError if MLflow cannot keep runs under such a URI, or if everyone could read its password."""
        scheme = urlsplit(self.uri).scheme.partition("+")[0]
        if scheme in (*REMOTE, *DATABASES) and "://" in self.uri:
            self._check_no_secret()
            return
        raise TrackingError(
            f"tracking.uri '{self.address}' is no address that MLflow can use: give http://host:port of a server, or "
            f"sqlite:////absolute/path/mlflow.db, or leave it out for a store beside the run folders"
        )

    def _check_no_secret(self) -> None:
        """The URI of an experiment lies in its journal and in MLflow; one from the environment does not."""
        leak = "would lie in the run folder and in MLflow for everyone to read"
        if self.remote and self.uri != self.address:
            raise TrackingError(
                f"the user's name and password before {self.address} {leak}: leave them out of the address and set "
                f"MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN"
            )
        user = self.uri.removesuffix(self.address.partition("//")[2]).partition("//")[2]
        if ":" in user and self.uri != os.environ.get("MLFLOW_TRACKING_URI"):
            raise TrackingError(
                f"the password before {self.address} {leak}: leave tracking.uri out and set MLFLOW_TRACKING_URI"
            )

    def load(self) -> None:
        """Import the parts of MLflow that the store needs, which takes seconds: best while the workers start."""
        prepare()
        importlib.import_module("mlflow")
        if not self.remote:
            importlib.import_module("mlflow.store.tracking.sqlalchemy_store")

    def check_answer(self) -> None:
        """Raise TrackingError if this is a server that does not answer, or not to us; returns or raises in seconds."""
        if not self.remote:
            return
        prepare()
        from mlflow import MlflowClient
        from mlflow.exceptions import MlflowException

        try:
            MlflowClient(tracking_uri=self.uri).search_experiments(max_results=1)
        except MlflowException as error:
            status = error.get_http_status_code()
            if status in (401, 403):
                raise TrackingError(self._locked(status)) from error
            raise TrackingError(
                f"MLflow at {self.address} does not answer ({reason(error)}): start it, name another by "
                f"tracking.uri=..., or set tracking.must_answer=false to search now and send everything later with "
                f"'evonas sync RUN'"
            ) from error

    def _locked(self, status: int) -> str:
        if status == 401:
            return (
                f"MLflow at {self.address} asks who we are (401): set MLFLOW_TRACKING_USERNAME and "
                f"MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN"
            )
        host = urlsplit(self.address).netloc
        return (
            f"MLflow at {self.address} turns us away (403): if it does not know itself by that name, start it with "
            f"'mlflow server --allowed-hosts {host}' or use its IP address; else ask for the permission"
        )


def prepare() -> None:
    """Keep MLflow's calls short, its terminal output quiet and its telemetry off; call before MLflow is used.

    Its own retries are switched off: they block for minutes, and repeat requests that a slow server has carried out.
    """
    os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] = "0"
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "5")
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "ERROR")
    for name in ("mlflow", "alembic", "urllib3"):
        logging.getLogger(name).setLevel(logging.ERROR)


def reason(error: BaseException) -> str:
    """Return the gist of an error in a line."""
    text = " ".join(str(error).split()) or type(error).__name__
    for known in ("Connection refused", "timed out", "Name or service not known", "No route to host"):
        if known in text:
            return known.lower()
    return text if len(text) <= 200 else text[:197] + "..."


def ui_command(root: Path, *, uri: str | None = None, host: str = "127.0.0.1", port: int = UI_PORT) -> list[str]:
    """Return the command that serves the store of the run folders in `root` to a browser.

    Raises TrackingError where a server serves it already, and where there is none.
    """
    store = Store.of(root, uri)
    store.check_scheme()
    if store.remote:
        raise TrackingError(f"MLflow serves these runs at {store.address} already: open that address in a browser")
    database = Path(store.uri.removeprefix("sqlite:///"))
    if store.uri.startswith("sqlite:///") and not database.exists():
        raise TrackingError(
            f"no runs were tracked in {database}: start one with 'evonas run EXPERIMENT', or name the folder"
        )
    options = {
        "--backend-store-uri": store.uri,
        "--default-artifact-root": str(store.artifacts),
        "--host": host,
        "--port": str(port),
        "--workers": "1",  # more workers answer a single browser ten times slower
    }
    return [sys.executable, "-m", "mlflow", "server", *(part for option in options.items() for part in option)]


def ui_environment() -> dict[str, str]:
    """Return what to add to the environment of `ui_command`: no telemetry, none of the servers for LLM evaluations."""
    return {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
