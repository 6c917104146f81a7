// orchestrator/view/report.js -- what the page does beside showing itself: the details of a job, a
// filter over all jobs, arrow keys in the grid. Everything foreign becomes text nodes, never markup.
"use strict";
(() => {
	const byId = (id) => document.getElementById(id);
	const PAGE = 200, AT_FIRST = 60;
	let loaded;

	/* The order of report_data.c. */
	const data = () => {
		if (!loaded) {
			loaded = JSON.parse(byId("data").textContent);
			loaded.jobs = loaded.jobs.map(([id, state, model, variant, key, version, params, source,
				commit, lora, repo, cause, message, took, bytes, attempts, files, quality]) => ({
				id, state: loaded.states[state], model: loaded.models[model],
				variant: loaded.variants[variant], key, version, params, source, commit, lora, repo,
				cause, message, took, bytes, attempts, files, quality,
			}));
			loaded.index = new Map(loaded.jobs.map((job, i) => [job.id, i]));
		}
		return loaded;
	};
	const text = (n) => data().texts[n];

	const el = (tag, attributes, ...children) => {
		const e = document.createElement(tag);
		for (const [name, value] of Object.entries(attributes || {}))
			e.setAttribute(name, value);
		e.append(...children.filter((c) => c !== null && c !== undefined));
		return e;
	};

	/* ---- sizes, durations and times, as units.c writes them */

	const size = (bytes) => {
		const units = ["B", "KiB", "MiB", "GiB", "TiB"];
		let n = 0;
		for (; bytes >= 1024 && n < 4; n++)
			bytes /= 1024;
		return `${n ? bytes.toFixed(1) : bytes} ${units[n]}`;
	};
	const two = (n) => String(n).padStart(2, "0");
	const duration = (ms) => {
		const s = Math.floor(ms / 1000);
		if (ms < 1000)
			return `${ms}ms`;
		if (s < 60)
			return `${s}s`;
		return s < 3600 ? `${Math.floor(s / 60)}m ${two(s % 60)}s`
			: `${Math.floor(s / 3600)}h ${two(Math.floor(s % 3600 / 60))}m`;
	};
	const clock = (seconds) => {
		const at = new Date((data().started + data().zone + seconds) * 1000);
		return `${two(at.getUTCHours())}:${two(at.getUTCMinutes())}:${two(at.getUTCSeconds())}`;
	};

	/* ---- parts of the details */

	/* Columns in which nothing stands are left out. */
	const table = (caption, allHeads, allRows) => {
		const used = allHeads.map((_, i) => allRows.some((row) => row[i] !== ""));
		return tableOf(caption, allHeads.filter((_, i) => used[i]),
			allRows.map((row) => row.filter((_, i) => used[i])));
	};
	const tableOf = (caption, heads, rows) => el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": caption }, el("table", { class: "list" },
		el("caption", {}, caption),
		el("thead", {}, el("tr", {}, ...heads.map((h) => el("th", { scope: "col" }, h)))),
		el("tbody", {}, ...rows.map((row) => el("tr", {}, ...row.map((c) => el("td", {}, String(c))))))));

	const copyButton = (command) => {
		const button = el("button", { type: "button", class: "copy" }, "copy");
		button.addEventListener("click", async () => {
			await navigator.clipboard.writeText(command);
			button.textContent = "copied";
		});
		return navigator.clipboard ? button : null;
	};
	const commandLine = (command) => el("p", { class: "command" }, el("code", {}, command), copyButton(command));

	const commandFor = (job) => {
		const fix = data().commands[text(job.cause)];
		if (job.state !== "failed")
			return [`quern show ${job.id}`];
		if (fix && !fix.startsWith("quern logs "))
			return [fix, `quern logs ${job.id}`];
		return [`quern logs ${job.id}`, `quern retry ${job.id} && quern run`];
	};

	const parameters = (job) => {
		const rows = [["model", job.model], ["variant", job.variant], ["engine version", text(job.version)],
			["parameters", text(job.params)], ["source", text(job.source)], ["commit", text(job.commit)],
			["adapter", text(job.lora)], ["repository", text(job.repo)], ["key", job.key]];
		const list = el("dl", {});
		for (const [name, value] of rows) {
			if (value)
				list.append(el("dt", {}, name), el("dd", {}, value));
		}
		return list;
	};

	const ending = (exit, signal, took) =>
		signal ? `signal ${signal}` : exit >= 0 ? `exit ${exit}` : took < 0 ? "not seen" : "";

	const attemptTable = (job) => job.attempts.length ? table("attempts, the newest first",
		["#", "began", "took", "memory", "ended", "cause", "message", "evidence", "changed for it"],
		job.attempts.map(([n, began, took, peak, exit, signal, cause, message, from, evidence, rungs]) => [n,
			clock(began), took >= 0 ? duration(took) : "", peak ? size(peak) : "",
			ending(exit, signal, took), text(cause), text(message),
			text(evidence) && `${text(from)}: ${text(evidence)}`, text(rungs)])) : null;

	const fileTable = (job) => job.files.length ? table("files", ["name", "size", "SHA-256"],
		job.files.map(([name, bytes, sum]) => [name, size(bytes), sum])) : null;

	const qualityTable = (job) => {
		const rows = [];
		if (!job.quality)
			return null;
		const [error, snr, tensors, ...worst] = job.quality;
		for (let i = 0; i < worst.length; i += 3)
			rows.push([text(worst[i]), text(worst[i + 1]), worst[i + 2]]);
		return table(`error ${error}, signal to noise ${snr}, of ${tensors} tensors; the worst of them`,
			["tensor", "type", "error"], rows);
	};

	/* ---- the details, in a dialog */

	const dialog = el("dialog", { id: "details", "aria-labelledby": "details-name" });
	document.body.append(dialog);
	let opener = null;

	const close = () => {
		dialog.close();
		if (/^#j\d+$/.test(location.hash))
			history.replaceState(null, "", location.pathname + location.search);
	};
	dialog.addEventListener("close", () => opener && opener.focus());
	dialog.addEventListener("click", (e) => e.target === dialog && close());
	dialog.addEventListener("cancel", (e) => {
		e.preventDefault();
		close();
	});

	const step = (by, job) => {
		const next = data().jobs[data().index.get(job.id) + by];
		const button = el("button", { type: "button", "aria-label": by < 0 ? "job before" : "next job" },
			by < 0 ? "\u2190" : "\u2192");
		button.disabled = !next;
		button.addEventListener("click", () => show(next.id));
		return button;
	};

	const show = (id) => {
		const at = data().index.get(id);
		if (at === undefined)
			return false;
		const job = data().jobs[at];
		const shut = el("button", { type: "button", "aria-label": "close" }, "\u00d7");
		shut.addEventListener("click", close);
		dialog.replaceChildren(...[
			el("div", { class: "bar-of-dialog" }, step(-1, job), step(1, job), el("span", { class: "grow" }), shut),
			el("h2", { id: "details-name" }, `job ${job.id} `,
				el("span", { class: `state s-${job.state}` }, job.state)),
			text(job.message) ? el("p", { class: "said" }, `${text(job.cause)}: ${text(job.message)}`) : null,
			...commandFor(job).map(commandLine), parameters(job),
			attemptTable(job), fileTable(job), qualityTable(job)].filter((part) => part));
		history.replaceState(null, "", `#j${id}`);
		if (!dialog.open)
			dialog.showModal();
		dialog.scrollTop = 0;
		return true;
	};

	document.addEventListener("click", (e) => {
		const link = e.target.closest('a[href^="#j"], [data-j]');
		if (!link || e.ctrlKey || e.metaKey || e.shiftKey)
			return;
		const id = Number(link.dataset.j || link.hash.slice(2));
		if (!Number.isInteger(id) || !id)
			return;
		opener = link.focus ? link : null;
		if (show(id))
			e.preventDefault();
	});
	const byHash = () => /^#j\d+$/.test(location.hash) && show(Number(location.hash.slice(2)));
	addEventListener("hashchange", byHash);

	/* ---- the list of all jobs */

	const tbody = byId("rows"), words = byId("words"), state = byId("state"), more = byId("more");
	let found = [], drawn = 0;

	const row = (job) => el("tr", { id: `j${job.id}` },
		el("th", { scope: "row", class: "n" }, el("a", { href: `#j${job.id}` }, String(job.id))),
		el("td", {}, job.model), el("td", {}, job.variant),
		el("td", {}, el("span", { class: `state s-${job.state}` }, job.state)),
		el("td", { class: "n" }, job.took ? duration(job.took) : ""),
		el("td", { class: "n" }, job.bytes ? size(job.bytes) : ""),
		el("td", { class: "wide" }, text(job.message)));

	const drawMore = () => {
		tbody.append(...found.slice(drawn, drawn + PAGE).map(row));
		drawn = Math.min(drawn + PAGE, found.length);
		more.hidden = drawn === found.length;
		byId("shown").textContent = `${drawn} of ${found.length} jobs shown`;
	};
	const filter = () => {
		const wanted = words.value.toLowerCase().split(/\s+/).filter((w) => w);
		const matches = (job) => {
			if (state.value && job.state !== state.value)
				return false;
			if (!wanted.length)
				return true;
			const all = `${job.id} ${job.model} ${job.variant} ${job.state} ${text(job.cause)} ${text(job.message)} ${
				text(job.repo)} ${job.key}`.toLowerCase();
			return wanted.every((w) => all.includes(w));
		};
		found = data().jobs.filter(matches);
		drawn = 0;
		tbody.className = "";
		tbody.replaceChildren();
		drawMore();
	};
	const startList = () => {
		let due = 0;
		words.addEventListener("input", () => {
			clearTimeout(due);
			due = setTimeout(filter, 120);
		});
		state.addEventListener("change", filter);
		more.addEventListener("click", () => found.length ? drawMore() : filter());
		state.addEventListener("focus", () => {
			if (state.options.length === 1)
				state.append(...data().states.map((s) => el("option", { value: s }, s)));
		});
		byId("filter").addEventListener("submit", (e) => e.preventDefault());
		byId("filter").hidden = false;
		/* On paper and without the script there are more of them. */
		more.hidden = tbody.rows.length <= AT_FIRST;
		if (!more.hidden)
			tbody.classList.add("first-ones");
	};

	/* ---- arrow keys in the grid, which is one stop of the tab key */

	const startGrid = (grid) => {
		const links = grid.querySelectorAll("td a");
		const moves = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };
		links.forEach((a, i) => {
			if (i)
				a.tabIndex = -1;
		});
		grid.addEventListener("keydown", (e) => {
			const [down, right] = moves[e.key] || [0, 0];
			let cell = e.target.closest("td");
			if (!cell || (!down && !right))
				return;
			e.preventDefault();
			for (let a = null; cell && !a; a = cell && cell.firstElementChild) {
				const line = down ? grid.tBodies[0].rows[cell.parentNode.sectionRowIndex + down] : cell.parentNode;
				cell = line && line.cells[cell.cellIndex + right];
				if (cell && cell.firstElementChild && cell.tagName === "TD") {
					e.target.tabIndex = -1;
					cell.firstElementChild.tabIndex = 0;
					cell.firstElementChild.focus();
				}
			}
		});
	};

	startList();
	document.querySelectorAll(".cause .command code").forEach((code) => {
		const button = copyButton(code.textContent);
		if (button)
			code.after(button);
	});
	const grid = document.querySelector("table.grid");
	if (grid)
		startGrid(grid);
	byHash();
})();
