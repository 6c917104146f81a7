"""Git over smart HTTP, by git's own http-backend behind the hub's tokens."""
import subprocess
import threading

from hub.gitstore import Refused, git_environment
from hub.http import Response, Routes

routes = Routes()
REPO = r"/(?:(?P<kind>datasets|spaces)/)?(?P<repo_id>[^/]+(?:/[^/]+)?)"


def backend(hub, request, repo, tail):
    env = {**git_environment(), "GIT_PROJECT_ROOT": str(repo.path.parent), "GIT_HTTP_EXPORT_ALL": "1",
           "PATH_INFO": f"/{repo.path.name}/{tail}", "REQUEST_METHOD": request.method, "QUERY_STRING": request.query_string,
           "CONTENT_TYPE": request.headers.get("Content-Type", ""), "REMOTE_USER": "hub", "REMOTE_ADDR": "127.0.0.1",
           "GIT_PROTOCOL": request.headers.get("Git-Protocol", ""),
           "HTTP_CONTENT_ENCODING": request.headers.get("Content-Encoding", "")}
    run = subprocess.Popen(["git", "http-backend"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=env)

    def feed():
        try:
            while True:
                piece = request.read()
                if not piece:
                    break
                run.stdin.write(piece)
            run.stdin.close()
        except OSError:
            pass
    feeder = threading.Thread(target=feed, daemon=True)
    feeder.start()
    out = run.stdout.read()
    feeder.join()
    run.wait()
    return out


def answer(out):
    head, _, body = out.partition(b"\r\n\r\n")
    status, headers = 200, {}
    for line in head.decode().split("\r\n"):
        name, _, value = line.partition(":")
        if name.lower() == "status":
            status = int(value.split()[0])
        elif name:
            headers[name] = value.strip()
    return Response(status, headers, body)


def open_repo(hub, request, kind, repo_id, service):
    repo_id = repo_id[:-4] if repo_id.endswith(".git") else repo_id
    me, kind = hub.state.who(request.token), kind or "models"
    if service == "git-receive-pack":
        if not me:
            raise Refused(401, "Authentication is required to push")
        return hub.state.writable(me, kind, repo_id)[0]
    try:
        return hub.state.content(me, kind, repo_id)[0]
    except Refused as e:
        if not me and e.status in (401, 404):
            raise Refused(401, "Authentication is required", e.code) from None
        raise


@routes.add("GET", REPO + r"/info/refs")
def info_refs(hub, request, kind, repo_id):
    service = request.one("service", "")
    if service not in ("git-upload-pack", "git-receive-pack"):
        raise Refused(403, "Please use a smart git client")
    repo = open_repo(hub, request, kind, repo_id, service)
    return answer(backend(hub, request, repo, "info/refs"))


@routes.add("POST", REPO + r"/(?P<service>git-upload-pack|git-receive-pack)")
def rpc(hub, request, kind, repo_id, service):
    repo = open_repo(hub, request, kind, repo_id, service)
    return answer(backend(hub, request, repo, service))
