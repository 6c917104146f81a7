"""LFS: batch on the hub; PUT, parts and completion on the CDN; verify on the hub."""
import json
import os
import re
import threading
import uuid

from hub.files import cdn_routes, check_signed, signed
from hub.gitstore import Refused
from hub.http import Response, Routes, as_json

routes = Routes()
REPO = r"/(?:(?P<kind>datasets|spaces)/)?(?P<repo_id>[^/]+(?:/[^/]+)?)\.git/info/lfs"
LFS_JSON = {"Content-Type": "application/vnd.git-lfs+json"}
OID = re.compile(r"\A[0-9a-f]{64}\Z")
OBJECTS_MAX = 256


def upload_actions(hub, obj, request, repo_url, transfers):
    oid, size = obj["oid"], obj["size"]
    verify = {"href": f"{repo_url}/objects/verify", "header": {"Authorization": request.headers.get("Authorization", "")}}
    if "multipart" in transfers and hub.multipart_above is not None and size > hub.multipart_above:
        upload = hub.uploads.start(oid, size, hub.chunk_size)
        count = -(-size // hub.chunk_size)
        header = {"chunk_size": str(hub.chunk_size)}
        for n in range(1, count + 1):
            header[f"{n:05d}"] = signed(hub, f"/part/{upload}/{n}", hub.part_seconds)
        return "multipart", {"upload": {"href": signed(hub, f"/complete/{upload}") + f"&uploadId={upload}", "header": header, "expires_in": hub.part_seconds},
                             "verify": verify}
    return "basic", {"upload": {"href": signed(hub, f"/put/{oid}/{size}", hub.part_seconds), "expires_in": hub.part_seconds},
                     "verify": verify}


@routes.add("POST", REPO + r"/objects/batch")
def batch(hub, request, kind, repo_id):
    ask = request.json()
    me = hub.state.who(request.token)
    operation, objects = ask.get("operation"), ask.get("objects", [])
    if operation == "upload":
        _, real = hub.state.writable(me, kind or "models", repo_id)
    else:
        _, real = hub.state.content(me, kind or "models", repo_id)
    if len(objects) > OBJECTS_MAX:
        raise Refused(413, f"At most {OBJECTS_MAX} objects")
    repo_url = f"{hub.main.url}/{kind + '/' if kind else ''}{real}.git/info/lfs"
    out, used = [], "basic"
    for obj in objects:
        oid, size = obj.get("oid", ""), obj.get("size")
        row = {"oid": oid, "size": size, "authenticated": True}
        if not OID.match(oid) or not isinstance(size, int) or size < 0:
            row["error"] = {"code": 422, "message": "Validation error"}
        elif operation == "download":
            if hub.state.lfs.has(oid):
                row["actions"] = {"download": {"href": signed(hub, f"/lfs/{oid}"), "expires_in": hub.part_seconds}}
            else:
                row["error"] = {"code": 404, "message": "Object does not exist"}
        elif not hub.state.lfs.has(oid, size):
            kind_used, row["actions"] = upload_actions(hub, obj, request, repo_url, ask.get("transfers") or ["basic"])
            used = kind_used if used == "basic" else used  # small objects of such an answer have no parts
        out.append(row)
    return Response(200, LFS_JSON, json.dumps({"transfer": used, "objects": out, "hash_algo": "sha256"}).encode())


@routes.add("POST", REPO + r"/objects/verify")
def verify(hub, request, kind, repo_id):
    hub.state.writable(hub.state.who(request.token), kind or "models", repo_id)
    ask = request.json()
    if not hub.state.lfs.has(ask.get("oid", ""), ask.get("size")):
        raise Refused(404, "Object does not exist")
    return Response(200, LFS_JSON, b"{}")


@routes.add("GET POST", REPO + r"/locks(?:/verify)?")
def locks(hub, request, kind, repo_id):
    raise Refused(404, "Locking is not supported")


# ---- the CDN's side

def store_body(hub, request, size):
    """The body into a temporary file; its length must be right."""
    name = hub.state.root / "tmp" / str(uuid.uuid4())
    with open(name, "wb") as f:
        while True:
            piece = request.read()
            if not piece:
                break
            f.write(piece)
        real = f.tell()
    if size is not None and real != size:
        os.unlink(name)
        raise Refused(400, f"{real} bytes came, {size} were announced")
    return name


@cdn_routes.add("PUT", r"/put/(?P<oid>[0-9a-f]{64})/(?P<size>\d+)")
def put_object(hub, request, oid, size):
    check_signed(hub, request)
    name = store_body(hub, request, int(size))
    hub.state.lfs.keep(name, oid)
    hub.bodies.append(oid)
    return Response(200, {"ETag": f'"{oid[:32]}"'})


class Uploads:
    """Multipart uploads that are going on."""

    def __init__(self):
        self.lock, self.open = threading.Lock(), {}

    def start(self, oid, size, chunk):
        with self.lock:
            for upload, u in self.open.items():
                if (u["oid"], u["size"], u["chunk"]) == (oid, size, chunk):
                    return upload  # as S3: the same upload goes on, with its parts
            upload = uuid.uuid4().hex
            self.open[upload] = {"oid": oid, "size": size, "chunk": chunk, "parts": {}}
            return upload

    def get(self, upload):
        with self.lock:
            if upload not in self.open:
                raise Refused(404, "NoSuchUpload")
            return self.open[upload]

    def end(self, upload):
        with self.lock:
            self.open.pop(upload, None)


@cdn_routes.add("PUT", r"/part/(?P<upload>[0-9a-f]{32})/(?P<number>\d+)")
def put_part(hub, request, upload, number):
    check_signed(hub, request)
    u, n = hub.uploads.get(upload), int(number)
    size = min(u["chunk"], u["size"] - (n - 1) * u["chunk"])
    name = store_body(hub, request, size)
    etag = f'"{uuid.uuid4().hex}"'
    u["parts"][n] = (name, etag)
    hub.bodies.append(f"{u['oid']}:{n}")
    return Response(200, {"ETag": etag})


@cdn_routes.add("POST", r"/complete/(?P<upload>[0-9a-f]{32})")
def complete(hub, request, upload):
    check_signed(hub, request)
    u, ask = hub.uploads.get(upload), request.json()
    parts = ask.get("parts", [])
    count = -(-u["size"] // u["chunk"])
    if ask.get("oid") != u["oid"] or [p.get("partNumber") for p in parts] != list(range(1, count + 1)):
        raise Refused(400, "InvalidPartOrder")
    name = hub.state.root / "tmp" / str(uuid.uuid4())
    with open(name, "wb") as out:
        for p in parts:
            part = u["parts"].get(p["partNumber"])
            if not part or part[1] != p.get("etag"):
                raise Refused(400, "InvalidPart")
            with open(part[0], "rb") as f:
                while True:
                    piece = f.read(1 << 20)
                    if not piece:
                        break
                    out.write(piece)
    hub.state.lfs.keep(name, u["oid"])
    hub.uploads.end(upload)
    for part, _ in u["parts"].values():
        os.unlink(part)
    return as_json({})
