// What the JavaScript client lists and downloads of the repositories named as arguments: {repo: {path: sha256}}.
import { createHash } from "node:crypto";
import * as hub from "@huggingface/hub";

const options = { hubUrl: process.env.HF_ENDPOINT, accessToken: process.env.HF_TOKEN, useXet: false };
const found = {};
for (const repo of process.argv.slice(2)) {
	found[repo] = {};
	for await (const f of hub.listFiles({ ...options, repo, recursive: true })) {
		if (f.type !== "file") continue;
		const blob = await hub.downloadFile({ ...options, repo, path: f.path });
		const bytes = Buffer.from(await blob.arrayBuffer());
		if (bytes.length !== f.size) throw new Error(`${repo}/${f.path}: ${bytes.length} bytes, listed are ${f.size}`);
		found[repo][f.path] = createHash("sha256").update(bytes).digest("hex");
	}
}
console.log(JSON.stringify(found));
