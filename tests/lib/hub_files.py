"""Put files into a repository of the test hub as clients do: LFS batch, PUT, one commit."""
import base64
import hashlib
import json
import urllib.request


def call(method, url, body, token=None, kind="application/json"):
    headers = {"Content-Type": kind, **({"Authorization": f"Bearer {token}"} if token else {})}
    request = urllib.request.Request(url, data=body, method=method, headers=headers)
    with urllib.request.urlopen(request, timeout=60) as answer:
        return answer.read()


def put_lfs(hub, repo, data):
    oid = hashlib.sha256(data).hexdigest()
    ask = {"operation": "upload", "transfers": ["basic"], "hash_algo": "sha256", "objects": [{"oid": oid, "size": len(data)}]}
    answer = json.loads(call("POST", f"{hub.endpoint}/{repo}.git/info/lfs/objects/batch", json.dumps(ask).encode(), hub.token,
                             "application/vnd.git-lfs+json"))
    upload = answer["objects"][0].get("actions", {}).get("upload")
    if upload:
        call("PUT", upload["href"], data)
    return {"algo": "sha256", "oid": oid, "size": len(data)}


def publish(hub, repo, files, gone=()):
    """One commit with these files ({path: bytes}); *.safetensors are LFS. Returns the commit."""
    lines = [{"key": "header", "value": {"summary": "files", "description": ""}}]
    for path, data in files.items():
        if path.endswith(".safetensors"):
            lines.append({"key": "lfsFile", "value": {"path": path, **put_lfs(hub, repo, data)}})
        else:
            lines.append({"key": "file", "value": {"path": path, "content": base64.b64encode(data).decode(),
                                                   "encoding": "base64"}})
    lines += [{"key": "deletedFile", "value": {"path": path}} for path in gone]
    body = "\n".join(map(json.dumps, lines)).encode()
    return json.loads(call("POST", f"{hub.endpoint}/api/models/{repo}/commit/main", body, hub.token,
                           "application/x-ndjson"))["commitOid"]
