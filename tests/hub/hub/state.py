"""Who may do what: users, tokens, organisations, repositories and their settings."""
import json
import os
import shutil
import threading
from pathlib import Path

from hub.gitstore import LfsStore, Refused, Repo, name_ok

TYPES = ("models", "datasets", "spaces")


class State:
    """All of a hub below root. Users and tokens come from the tests, and are kept in hub.json."""

    def __init__(self, root):
        self.root = Path(root)
        self.root.mkdir(parents=True, exist_ok=True)
        (self.root / "tmp").mkdir(exist_ok=True)
        self.lfs = LfsStore(self.root / "lfs")
        self.lock = threading.RLock()
        self.repos = {}
        self.data = {"users": {}, "tokens": {}, "renames": {}}
        if (self.root / "hub.json").exists():
            self.data = json.loads((self.root / "hub.json").read_text())

    def update(self, changes):
        """{"users": {name: {"orgs": [...]}}, "tokens": {token: {"user":, "role":}}}; a token of null is revoked."""
        with self.lock:
            for section, values in changes.items():
                for name, value in values.items():
                    if value is None:
                        self.data[section].pop(name, None)
                    else:
                        self.data[section][name] = value
            self.save()

    def save(self):
        temporary = self.root / "hub.json.tmp"
        temporary.write_text(json.dumps(self.data))
        os.replace(temporary, self.root / "hub.json")

    # ---- tokens

    def who(self, token):
        """(user, role) of a token; None for anonymous. A token that is none is refused."""
        if token is None:
            return None
        known = self.data["tokens"].get(token)
        if not known:
            raise Refused(401, "Invalid credentials in Authorization header")
        return known["user"], known.get("role", "write")

    def namespaces(self, user):
        return [user, *self.data["users"].get(user, {}).get("orgs", [])]

    # ---- repositories

    def folder(self, kind, repo_id):
        return self.root / "repos" / kind / (repo_id + ".git")

    def find(self, kind, repo_id):
        with self.lock:
            repo_id = self.data["renames"].get(f"{kind}/{repo_id}", repo_id)
            folder = self.folder(kind, repo_id)
            if str(folder) not in self.repos:
                if not folder.is_dir():
                    return None, repo_id
                self.repos[str(folder)] = Repo(folder, self.lfs)
            return self.repos[str(folder)], repo_id

    def create(self, kind, repo_id, private=False):
        parts = repo_id.split("/")
        if len(repo_id) > 96 or len(parts) > 2 or not all(parts) or not all(map(name_ok, parts)):
            raise Refused(400, f"Invalid repository name: {repo_id}")
        with self.lock:
            folder = self.folder(kind, repo_id)
            if folder.is_dir():
                return None
            repo = Repo.create(folder, self.lfs)
            repo.set(private=bool(private))
            self.repos[str(folder)] = repo
            return repo

    def delete(self, kind, repo_id):
        with self.lock:
            folder = self.folder(kind, repo_id)
            self.repos.pop(str(folder), None)
            shutil.rmtree(folder)

    def move(self, kind, old, new):
        with self.lock:
            self.folder(kind, new).parent.mkdir(parents=True, exist_ok=True)
            self.repos.pop(str(self.folder(kind, old)), None)
            os.rename(self.folder(kind, old), self.folder(kind, new))
            self.data["renames"][f"{kind}/{old}"] = new
            self.save()

    def all(self, kind):
        base = self.root / "repos" / kind
        return sorted(str(p.relative_to(base))[:-4] for p in base.glob("**/*.git") if p.is_dir())

    # ---- access

    def may_write(self, who, repo_id):
        owner = repo_id.split("/")[0] if "/" in repo_id else None
        return bool(who) and who[1] == "write" and (owner is None or owner in self.namespaces(who[0]))

    def visible(self, who, repo, repo_id):
        if not repo:
            return False
        owner = repo_id.split("/")[0]
        return not repo.settings.get("private") or (bool(who) and owner in self.namespaces(who[0]))

    def readable(self, who, kind, repo_id):
        """The repository for reading its facts; gated ones show them too."""
        repo, real = self.find(kind, repo_id)
        if not self.visible(who, repo, real):
            raise Refused(404 if who else 401, "Repository not found" if who else "Invalid username or password.", "RepoNotFound")
        if repo.settings.get("disabled"):
            raise Refused(403, "Access to this resource is disabled.")
        return repo, real

    def content(self, who, kind, repo_id):
        """The repository for reading its files."""
        repo, real = self.readable(who, kind, repo_id)
        s = repo.settings
        allowed = who and (who[0] in s.get("access", []) or real.split("/")[0] in self.namespaces(who[0]))
        if s.get("gated") and not allowed:
            raise Refused(403 if who else 401, f"Access to model {real} is restricted. You must have access to it and be "
                          "authenticated to access it. Please log in.", "GatedRepo")
        return repo, real

    def writable(self, who, kind, repo_id):
        repo, real = self.readable(who, kind, repo_id)
        if not who:
            raise Refused(401, "Invalid username or password.")
        if not self.may_write(who, real):
            raise Refused(403, f"Forbidden: you must use a write token to {real}, or be a member of its organisation.")
        return repo, real

    def writable_or_pr(self, who, kind, repo_id, request):
        """Anybody with an account may propose a pull request."""
        if request.one("create_pr") in ("1", "true", "True") and who:
            return self.readable(who, kind, repo_id)
        return self.writable(who, kind, repo_id)
