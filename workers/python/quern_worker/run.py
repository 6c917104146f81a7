"""From a command line to a verb, and from what a verb raises to an exit code."""
import sys
import traceback

from .job import read_job
from .protocol import OK, USAGE, Fault, fault_of, put_fault


def _say(text):
    sys.stdout.flush()
    print(text, file=sys.stderr, flush=True)


def run(argv, job_verbs, file_verbs, with_result=("convert",)):
    """argv as in sys.argv. job_verbs: {verb: f(job)}, file_verbs: {verb: f(path)}; with_result: those that
    leave a result.json. A verb returns None or an exit code. Returns the exit code."""
    name = argv[0].rsplit("/", 1)[-1]
    if len(argv) != 3 or (argv[1] not in job_verbs and argv[1] not in file_verbs):
        _say("usage: {} VERB FILE; verbs of job.json: {}; verbs of a file: {}".format(
            name, ", ".join(sorted(job_verbs)), ", ".join(sorted(file_verbs)) or "none"))
        return USAGE
    verb, path = argv[1:]
    if verb in file_verbs:
        work, given = file_verbs[verb], path
    else:
        try:
            work, given = job_verbs[verb], read_job(path)
        except (OSError, ValueError) as why:
            _say(why)
            return USAGE
    try:
        return work(given) or OK
    except Exception as why:  # pylint: disable=broad-except -- the one place that turns them into exit codes
        fault = fault_of(why)
        if not isinstance(why, (Fault, OSError, MemoryError)):
            traceback.print_exc()
        if verb in with_result:
            try:
                put_fault(fault)
            except OSError as no_room:
                _say("result.json: {}".format(no_room))
        _say(fault)
        return fault.exit_code
