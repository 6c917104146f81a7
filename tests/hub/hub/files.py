"""Downloads: resolve on the hub, signed and short-lived URLs on the CDN, ranges on both."""
import hashlib
import hmac
import re
import time
from urllib.parse import quote

from hub.api import ID, commit_of, who
from hub.gitstore import Refused
from hub.http import Response, Routes

resolve_routes = Routes()
cdn_routes = Routes()


def signature(hub, what, expires):
    return hmac.new(hub.secret, f"{what}\n{expires}".encode(), hashlib.sha256).hexdigest()[:32]


def signed(hub, path, seconds=None):
    expires = int(hub.clock() + (seconds if seconds is not None else hub.url_seconds))
    return f"{hub.cdn.url}{path}?expires={expires}&signature={signature(hub, path, expires)}"


def check_signed(hub, request):
    """The CDN knows no tokens, and must never see one."""
    if "Authorization" in request.headers:
        hub.leaks.append(request.path)
        raise Refused(400, "Only one auth mechanism allowed")
    expires = request.one("expires", "0")
    if request.one("signature") != signature(hub, request.path, expires):
        raise Refused(403, "SignatureDoesNotMatch")
    if not expires.isdigit() or int(expires) < hub.clock():
        raise Refused(403, "Request has expired")


def ranged(request, size, headers):
    """(status, first, length, headers) for a Range of one piece."""
    m = re.fullmatch(r"bytes=(\d*)-(\d*)", request.headers.get("Range") or "")
    if not m or not (m[1] or m[2]):
        return 200, 0, size, headers
    first = int(m[1]) if m[1] else max(0, size - int(m[2]))
    last = min(int(m[2]), size - 1) if m[1] and m[2] else size - 1
    if first >= size or last < first:
        return 416, 0, 0, {**headers, "Content-Range": f"bytes */{size}"}
    return 206, first, last - first + 1, {**headers, "Content-Range": f"bytes {first}-{last}/{size}"}


@cdn_routes.add("GET HEAD", r"/lfs/(?P<oid>[0-9a-f]{64})")
def cdn_object(hub, request, oid):
    check_signed(hub, request)
    path = hub.state.lfs.path(oid)
    if not path.exists():
        raise Refused(404, "NoSuchKey")
    whole, headers = path.stat().st_size, {"ETag": f'"{oid[:32]}"'}
    if not hub.ranges:
        return Response(200, headers, file=path, size=whole)
    status, first, size, headers = ranged(request, whole, {**headers, "Accept-Ranges": "bytes"})
    return Response(status, headers, file=path, first=first, size=size)


@resolve_routes.add("GET HEAD", r"/(?:(?P<kind>datasets|spaces)/)?(?P<repo_id>[^/]+(?:/[^/]+)?)/resolve/(?P<revision>[^/]+)/(?P<path>.+)")
def resolve(hub, request, kind, repo_id, revision, path):
    kind = kind or "models"
    limit = hub.limits.ask("resolvers")
    if limit is not None:
        e = Refused(429, "Too Many Requests")
        e.headers = limit
        raise e
    repo, real = hub.state.content(hub.state.who(request.token), kind, repo_id)
    prefix = "" if kind == "models" else f"/{kind}"
    if real != repo_id:
        return Response(307, {"Location": f"{prefix}/{real}/resolve/{quote(revision, safe='')}/{quote(path)}"})
    commit = commit_of(repo, revision)
    entry = repo.tree(commit).get(path)
    if not entry:
        e = Refused(404, "Entry not found", "EntryNotFound")
        e.headers = {"X-Repo-Commit": commit}
        raise e
    headers = {"X-Repo-Commit": commit, "Accept-Ranges": "bytes"}
    if entry.lfs:
        oid, size = entry.lfs
        return Response(302, {**headers, "X-Linked-Etag": f'"{oid}"', "X-Linked-Size": str(hub.lie_size or size), "Vary": "Origin",
                              "Location": signed(hub, f"/lfs/{oid}")}, b"Found. Redirecting")
    content = repo.blob(entry.oid)
    status, first, size, headers = ranged(request, len(content), {**headers, "ETag": f'"{entry.oid}"'})
    return Response(status, headers, content[first:first + size])
