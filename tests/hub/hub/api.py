"""The Hub's API: who, repositories, trees, preupload and commits. Sections as in the protocol reference."""
import base64
import json
import time
from urllib.parse import parse_qs, quote

from hub.cards import card_data, front_matter_error
from hub.gitstore import PLAIN_MAX, Refused, is_binary, iso, lfs_patterns, matches, path_ok, pointer_text
from hub.http import Response, Routes, as_json

routes = Routes()
KIND = r"/api/(?P<kind>models|datasets|spaces)"
ID = r"/(?P<repo_id>[^/]+(?:/[^/]+)?)"
PAGE = 1000
INLINE_MAX = 100 << 20


def who(hub, request):
    limit = hub.limits.ask("api")
    if limit is not None:
        raise_limited(limit)
    return hub.state.who(request.token)


def raise_limited(headers):
    e = Refused(429, "Too Many Requests: you have reached your 'api' rate limit.")
    e.headers = headers
    raise e


def commit_of(repo, revision):
    commit = repo.resolve(revision)
    if not commit:
        raise Refused(404, f"Invalid rev id: {revision}", "RevisionNotFound")
    return commit


# ---- who

@routes.add("GET", r"/api/whoami-v2")
def whoami(hub, request):
    me = who(hub, request)
    if not me:
        raise Refused(401, "Invalid username or password.")
    orgs = [{"type": "org", "id": f"org-{o}", "name": o, "fullname": o, "isEnterprise": False} for o in hub.state.namespaces(me[0])[1:]]
    return as_json({"type": "user", "id": f"user-{me[0]}", "name": me[0], "fullname": me[0], "isPro": False, "orgs": orgs,
                    "auth": {"type": "access_token", "accessToken": {"displayName": "test", "role": me[1],
                                                                     "createdAt": iso(1700000000)}}})


# ---- repositories

def plural(kind):
    return {"model": "models", "dataset": "datasets", "space": "spaces"}.get(kind or "model", "models")


def page_of(hub, kind, repo_id):
    return f"{hub.main.url}/{'' if kind == 'models' else kind + '/'}{repo_id}"


@routes.add("POST", r"/api/repos/create")
def create_repo(hub, request):
    me, ask = who(hub, request), request.json()
    if not me:
        raise Refused(401, "Invalid username or password.")
    kind, repo_id = plural(ask.get("type")), f"{ask.get('organization') or me[0]}/{ask.get('name', '')}"
    if not hub.state.may_write(me, repo_id):
        raise Refused(403, f"You don't have the rights to create a {ask.get('type') or 'model'} under the namespace "
                      f"\"{repo_id.split('/')[0]}\"")
    url = page_of(hub, kind, repo_id)
    if not hub.state.create(kind, repo_id, ask.get("visibility") == "private" or ask.get("private")):
        return as_json({"error": f"You already created this {ask.get('type') or 'model'} repo", "url": url}, 409)
    return as_json({"url": url, "name": repo_id, "id": repo_id})


@routes.add("DELETE", r"/api/repos/delete")
def delete_repo(hub, request):
    me, ask = who(hub, request), request.json()
    kind = plural(ask.get("type"))
    name = ask.get("name", "")
    repo_id = name if "/" in name else f"{ask.get('organization') or (me or ('',))[0]}/{name}"
    _, real = hub.state.writable(me, kind, repo_id)
    hub.state.delete(kind, real)
    return as_json({})


@routes.add("POST", r"/api/repos/move")
def move_repo(hub, request):
    me, ask = who(hub, request), request.json()
    kind = plural(ask.get("type"))
    _, real = hub.state.writable(me, kind, ask.get("fromRepo", ""))
    if hub.state.find(kind, ask.get("toRepo", ""))[0]:
        raise Refused(409, "A repository of that name exists")
    hub.state.move(kind, real, ask["toRepo"])
    return as_json({})


@routes.add("PUT", KIND + ID + r"/settings")
def change_settings(hub, request, kind, repo_id):
    repo, _ = hub.state.writable(who(hub, request), kind, repo_id)
    ask = request.json()
    if "visibility" in ask:
        ask["private"] = ask.pop("visibility") == "private"
    repo.set(**{k: v for k, v in ask.items() if k in ("private", "gated", "disabled")})
    return as_json(repo.settings)


def siblings(repo, commit, blobs):
    out = []
    for e in sorted(repo.tree(commit).values(), key=lambda e: e.path):
        row = {"rfilename": e.path}
        if blobs:
            row.update(size=e.real_size, blobId=e.oid)
            if e.lfs:
                row["lfs"] = {"sha256": e.lfs[0], "size": e.lfs[1], "pointerSize": e.size}
        out.append(row)
    return out


def info_of(repo, real, commit, blobs):
    s, tree = repo.settings, repo.tree(commit)
    card = card_data(repo.blob(tree["README.md"].oid)) if "README.md" in tree else {}
    config = {}
    if "config.json" in tree and not tree["config.json"].lfs:
        try:
            config = json.loads(repo.blob(tree["config.json"].oid))
        except ValueError:
            pass
    return {"_id": real, "id": real, "modelId": real, "author": real.split("/")[0], "sha": commit, "lastModified": iso(time.time()),
            "createdAt": iso(1700000000), "private": s.get("private", False), "gated": s.get("gated", False),
            "disabled": s.get("disabled", False), "downloads": 0, "likes": 0, "tags": [str(t) for t in card.get("tags") or []],
            "library_name": card.get("library_name"), "pipeline_tag": card.get("pipeline_tag"), "cardData": card,
            "config": {k: config[k] for k in ("architectures", "model_type") if k in config},
            "siblings": siblings(repo, commit, blobs), "usedStorage": sum(e.real_size for e in tree.values()), "spaces": []}


def redirected(hub, kind, asked, real, rest, request):
    """A renamed repository answers from its new name."""
    if asked == real:
        return None
    tail = f"?{request.query_string}" if request.query_string else ""
    return Response(307, {"Location": f"/api/{kind}/{real}{rest}{tail}"})


@routes.add("GET", KIND + ID + r"(?:/revision/(?P<revision>[^/]+))?")
def repo_info(hub, request, kind, repo_id, revision):
    repo, real = hub.state.readable(who(hub, request), kind, repo_id)
    moved = redirected(hub, kind, repo_id, real, f"/revision/{quote(revision, safe='')}" if revision else "", request)
    if moved:
        return moved
    info = info_of(repo, real, commit_of(repo, revision or "main"), request.one("blobs") in ("true", "1", "True"))
    wanted = request.query.get("expand", []) + request.query.get("expand[]", [])
    if wanted:
        info = {k: v for k, v in info.items() if k in wanted or k in ("_id", "id")}
    return as_json(info)


@routes.add("GET", KIND)
def list_repos(hub, request, kind):
    me = who(hub, request)
    rows = []
    for real in hub.state.all(kind):
        repo, _ = hub.state.find(kind, real)
        if hub.state.visible(me, repo, real) and request.one("author", real.split("/")[0]) == real.split("/")[0] and \
                request.one("search", "") in real:
            rows.append({k: v for k, v in info_of(repo, real, repo.resolve("main"), False).items() if k != "siblings"})
    return as_json(rows[:int(request.one("limit", "100"))])


# ---- trees

def row_of(e):
    row = {"type": "file", "oid": e.oid, "size": e.real_size, "path": e.path}
    if e.lfs:
        row["lfs"] = {"oid": e.lfs[0], "size": e.lfs[1], "pointerSize": e.size}
    return row


def folders(tree):
    out = set()
    for path in tree:
        parts = path.split("/")[:-1]
        out.update("/".join(parts[:i + 1]) for i in range(len(parts)))
    return out


@routes.add("GET", KIND + ID + r"/tree/(?P<revision>[^/]+)(?:/(?P<path>.*))?")
def list_tree(hub, request, kind, repo_id, revision, path):
    repo, real = hub.state.readable(who(hub, request), kind, repo_id)
    moved = redirected(hub, kind, repo_id, real, f"/tree/{quote(revision, safe='')}" + (f"/{quote(path)}" if path else ""), request)
    if moved:
        return moved
    commit = commit_of(repo, revision)
    tree, below = repo.tree(commit), f"{path.strip('/')}/" if path else ""
    dirs = folders(tree)
    if below and below[:-1] not in dirs:
        raise Refused(404, f"{path} does not exist on \"{revision}\"", "EntryNotFound")
    deep = request.one("recursive") in ("true", "1", "True")
    rows = [row_of(e) for e in tree.values() if e.path.startswith(below) and (deep or "/" not in e.path[len(below):])]
    rows += [{"type": "directory", "oid": "0" * 40, "size": 0, "path": d} for d in dirs
             if d.startswith(below) and (deep or "/" not in d[len(below):])]
    rows.sort(key=lambda r: r["path"])
    if request.one("expand") in ("true", "1", "True"):
        last = repo.history(commit)[0]
        for r in rows:
            r["lastCommit"] = {"id": last["id"], "title": last["title"], "date": last["date"]}
    return paged(hub, request, rows)


def paged(hub, request, rows):
    start, size = int(request.one("cursor", "0") or 0), min(int(request.one("limit", PAGE)), hub.page or PAGE)
    headers = {}
    if start + size < len(rows):
        rest = "&".join(f"{quote(k)}={quote(v)}" for k, vs in request.query.items() for v in vs if k != "cursor")
        headers["Link"] = f'<{hub.main.url}{request.raw_path}?{rest}{"&" if rest else ""}cursor={start + size}>; rel="next"'
    return as_json(rows[start:start + size], headers=headers)


@routes.add("POST", KIND + ID + r"/paths-info/(?P<revision>[^/]+)")
def paths_info(hub, request, kind, repo_id, revision):
    repo, _ = hub.state.readable(who(hub, request), kind, repo_id)
    tree = repo.tree(commit_of(repo, revision))
    if "json" in request.headers.get("Content-Type", ""):
        paths = request.json().get("paths", [])
    else:
        paths = parse_qs(request.body().decode()).get("paths", [])
    if len(paths) > 1000:
        raise Refused(413, "Too many paths")
    dirs = folders(tree)
    rows = [row_of(tree[p]) if p in tree else {"type": "directory", "oid": "0" * 40, "size": 0, "path": p}
            for p in paths if p in tree or p in dirs]
    return as_json(rows)


@routes.add("GET", KIND + ID + r"/commits/(?P<revision>[^/]+)")
def list_commits(hub, request, kind, repo_id, revision):
    repo, _ = hub.state.readable(who(hub, request), kind, repo_id)
    return paged(hub, request, repo.history(commit_of(repo, revision)))


# ---- refs

@routes.add("GET", KIND + ID + r"/refs")
def list_refs(hub, request, kind, repo_id):
    repo, _ = hub.state.readable(who(hub, request), kind, repo_id)

    def rows(prefix):
        return [{"name": ref[len(prefix):], "ref": ref, "targetCommit": c} for ref, c in repo.refs(prefix).items()]
    out = {"branches": rows("refs/heads/"), "tags": rows("refs/tags/"), "converts": []}
    if request.one("include_prs"):
        out["pullRequests"] = rows("refs/pr/")
    return as_json(out)


@routes.add("POST DELETE", KIND + ID + r"/branch/(?P<name>[^/]+)")
def change_branch(hub, request, kind, repo_id, name):
    repo, _ = hub.state.writable(who(hub, request), kind, repo_id)
    ask, ref = request.json(), f"refs/heads/{name}"
    if request.method == "DELETE":
        commit_of(repo, ref)
        repo.git("update-ref", "-d", ref)
    else:
        if repo.resolve(ref) and not ask.get("overwrite"):
            raise Refused(409, f"Reference {ref} already exists")
        repo.git("update-ref", ref, commit_of(repo, ask.get("startingPoint") or "main"))
    return as_json({})


@routes.add("POST DELETE", KIND + ID + r"/tag/(?P<name>[^/]+)")
def change_tag(hub, request, kind, repo_id, name):
    repo, _ = hub.state.writable(who(hub, request), kind, repo_id)
    if request.method == "DELETE":
        commit_of(repo, f"refs/tags/{name}")
        repo.git("update-ref", "-d", f"refs/tags/{name}")
        return as_json({})
    tag = request.json().get("tag", "")
    if repo.resolve(f"refs/tags/{tag}"):
        raise Refused(409, f"Tag reference exists already: {tag}")
    repo.git("update-ref", f"refs/tags/{tag}", commit_of(repo, name))
    return as_json({})


def new_pull_request(repo, commit):
    number = len(repo.refs("refs/pr/")) + 1
    repo.git("update-ref", f"refs/pr/{number}", commit)
    return number


@routes.add("POST", KIND + ID + r"/discussions")
def create_discussion(hub, request, kind, repo_id):
    repo, _ = hub.state.readable(who(hub, request), kind, repo_id)
    request.json()
    return as_json({"num": new_pull_request(repo, commit_of(repo, "main"))})


# ---- cards

@routes.add("POST", r"/api/validate-yaml")
def validate_yaml(hub, request):
    who(hub, request)
    error = front_matter_error(request.json().get("content", "").encode())
    errors = [{"message": error}] if error else []
    return as_json({"errors": errors, "warnings": []}, 400 if errors else 200)


# ---- upload

@routes.add("POST", KIND + ID + r"/preupload/(?P<revision>[^/]+)")
def preupload(hub, request, kind, repo_id, revision):
    repo, _ = hub.state.writable_or_pr(who(hub, request), kind, repo_id, request)
    ask = request.json()
    files = ask.get("files", [])
    if len(files) > 256:
        raise Refused(413, "At most 256 files")
    commit = commit_of(repo, revision)
    tree = repo.tree(commit)
    attributes = ask["gitAttributes"].encode() if ask.get("gitAttributes") is not None else repo.attributes(commit)
    patterns, ignored = lfs_patterns(attributes), [line.strip() for line in (ask.get("gitIgnore") or "").splitlines()]
    out = []
    for f in files:
        mode = "lfs" if f["size"] > 0 and (matches(patterns, f["path"]) or f["size"] > PLAIN_MAX or is_binary(f.get("sample"))) else "regular"
        row = {"path": f["path"], "uploadMode": mode, "shouldIgnore": matches([i for i in ignored if i and i[0] != "#"], f["path"])}
        e = tree.get(f["path"])
        if e:
            row["oid"] = e.lfs[0] if e.lfs else e.oid
        out.append(row)
    return as_json({"files": out, "commitOid": commit})


def lines_of(request):
    try:
        return [json.loads(line) for line in request.body().splitlines() if line.strip()]
    except ValueError:
        raise Refused(400, "Invalid NDJSON") from None


def read_commit(hub, repo, head, lines):
    """(header, files {path: bytes}, LFS paths, gone paths)"""
    header, files, large, gone, inline = None, {}, [], [], 0
    tree = repo.tree(head)
    for line in lines:
        key, v = line.get("key"), line.get("value", {})
        if key == "header":
            header = v
            continue
        if not header:
            raise Refused(400, "The header must come first")
        path = v.get("path", "")
        if not path_ok(path.rstrip("/")):
            raise Refused(400, f"Invalid path: {path}")
        if key == "file":
            files[path] = base64.b64decode(v["content"]) if v.get("encoding") == "base64" else v["content"].encode()
            inline += len(files[path])
            if len(files[path]) > PLAIN_MAX:
                raise Refused(400, f"Your push was rejected because it contains files larger than 10 MiB: {path}")
        elif key == "lfsFile":
            if not hub.state.lfs.has(v["oid"], v.get("size")):
                raise Refused(400, f"LFS pointer pointed to a file that does not exist: {path}")
            files[path] = pointer_text(v["oid"], hub.state.lfs.path(v["oid"]).stat().st_size)
            large.append(path)
        elif key == "deletedFile":
            if path not in tree:
                raise Refused(400, f"A file with the name \"{path}\" does not exist")
            gone.append(path)
        elif key == "deletedFolder":
            gone += [p for p in tree if p.startswith(path.rstrip("/") + "/")]
        else:
            raise Refused(400, f"Unknown key {key!r}")
    if not header or not header.get("summary"):
        raise Refused(400, "summary is required")
    if inline > INLINE_MAX:
        raise Refused(413, "Payload too large")
    return header, files, large, gone


def add_attributes(repo, head, files, large):
    """A line for each LFS path that no pattern matches, as the Hub does."""
    attributes = files.get(".gitattributes", repo.attributes(head))
    patterns = lfs_patterns(attributes)
    lines = [f"{p.replace(' ', '[[:space:]]')} filter=lfs diff=lfs merge=lfs -text\n" for p in large if not matches(patterns, p)]
    if lines:
        end = b"" if not attributes or attributes.endswith(b"\n") else b"\n"
        files[".gitattributes"] = attributes + end + "".join(lines).encode()


@routes.add("POST", KIND + ID + r"/commit/(?P<revision>[^/]+)")
def make_commit(hub, request, kind, repo_id, revision):
    repo, real = hub.state.writable_or_pr(who(hub, request), kind, repo_id, request)
    lines = lines_of(request)
    with repo.lock:
        ref = revision if revision.startswith("refs/") else f"refs/heads/{revision}"
        head = commit_of(repo, ref)
        header, files, large, gone = read_commit(hub, repo, head, lines)
        parent = header.get("parentCommit")
        if parent and not head.startswith(parent):
            raise Refused(412, "The branch was updated since you opened this page. Please refresh and try again.")
        if "README.md" in files:
            error = front_matter_error(files["README.md"])
            if error:
                raise Refused(400, f"Invalid metadata in README.md: {error}")
        add_attributes(repo, head, files, large)
        answer = {"success": True, "hookOutput": ""}
        if request.one("create_pr") in ("1", "true", "True"):
            number = new_pull_request(repo, head)
            ref = f"refs/pr/{number}"
            answer["pullRequestUrl"] = f"{page_of(hub, kind, real)}/discussions/{number}"
        message = header["summary"] + (f"\n\n{header['description']}" if header.get("description") else "")
        answer["commitOid"] = repo.commit(ref, message, files, gone)
    answer["commitUrl"] = f"{page_of(hub, kind, real)}/commit/{answer['commitOid']}"
    return as_json(answer)
