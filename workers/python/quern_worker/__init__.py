"""The worker's side of docs/worker-protocol.md, for workers in Python 3.8 and later. Standard library only.

    from quern_worker import Fault, progress, put_result, run
"""
from .protocol import (ENV, FAILED, OK, REFUSED, USAGE, Fault, event, fault_of, progress, put, put_result,
                       sha256_of, sync_folder, warning)
from .job import read_job
from .run import run

__all__ = ["ENV", "FAILED", "OK", "REFUSED", "USAGE", "Fault", "event", "fault_of", "progress", "put", "put_result",
           "read_job", "run", "sha256_of", "sync_folder", "warning"]
