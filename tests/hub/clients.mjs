// The official JavaScript client against the hub of HF_ENDPOINT. Called by test_javascript.py in a folder with node_modules.
import assert from "node:assert/strict";
import * as hub from "@huggingface/hub";

const hubUrl = process.env.HF_ENDPOINT;
const accessToken = process.env.HF_TOKEN;
const repo = "my-org/js";
const options = { hubUrl, accessToken, useXet: false };

const bytes = (n) => Uint8Array.from({ length: n }, (_, i) => (i * 7 + (i >> 8)) & 255);
const text = async (blob) => Buffer.from(await blob.arrayBuffer());

const me = await hub.whoAmI(options);
assert.equal(me.name, "me");
assert.deepEqual(me.orgs.map((o) => o.name), ["my-org"]);

await hub.createRepo({ ...options, repo });
await assert.rejects(hub.createRepo({ ...options, repo }), (e) => e.statusCode === 409);
assert.equal(await hub.repoExists({ ...options, repo }), true);
assert.equal(await hub.repoExists({ ...options, repo: "my-org/none" }), false);

const small = new Blob(["# hello\n"]);
const medium = new Blob([bytes(3 << 20)]);
const large = new Blob([bytes(40 << 20)]);
await hub.uploadFiles({ ...options, repo, files: [
	{ path: "README.md", content: small },
	{ path: "w.safetensors", content: medium },
	{ path: "dir/large.gguf", content: large },
] });

const listed = {};
for await (const f of hub.listFiles({ ...options, repo, recursive: true })) {
	if (f.type === "file") listed[f.path] = f;
}
assert.deepEqual(Object.keys(listed).sort(), [".gitattributes", "README.md", "dir/large.gguf", "w.safetensors"]);
assert.equal(listed["dir/large.gguf"].size, large.size);
assert.ok(listed["dir/large.gguf"].lfs && !listed["README.md"].lfs);

for (const [path, blob] of [["README.md", small], ["w.safetensors", medium], ["dir/large.gguf", large]]) {
	const got = await hub.downloadFile({ ...options, repo, path });
	assert.ok(Buffer.compare(await text(got), await text(blob)) === 0, path);
}
assert.equal(await hub.downloadFile({ ...options, repo, path: "absent" }), null);

const info = await hub.pathsInfo({ ...options, repo, paths: ["w.safetensors", "absent"] });
assert.deepEqual(info.map((f) => [f.path, f.size]), [["w.safetensors", medium.size]]);

const done = await hub.commit({ ...options, repo, title: "change", operations: [
	{ operation: "addOrUpdate", path: "c.txt", content: new Blob(["c"]) },
	{ operation: "delete", path: "README.md" },
] });
assert.match(done.commit.oid, /^[0-9a-f]{40}$/);
assert.equal(await hub.fileExists({ ...options, repo, path: "README.md" }), false);
assert.equal((await hub.modelInfo({ ...options, name: repo })).name, repo);

await hub.deleteRepo({ ...options, repo });
assert.equal(await hub.repoExists({ ...options, repo }), false);
console.log("ok javascript");
