/* orchestrator/measure/board.c -- a board with an NPU as a target: the file and quern-board are
 * copied there (board_there.c), the board is held (one measurement at a time, its clocks fixed),
 * and quern-board is asked. docs/board.md tells what is where, and what happens when the connection
 * goes. */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/mem.h"
#include "orchestrator/measure/board_private.h"

#define RECONNECT_MS 5000     /* to clean up: release has to end within seconds */
#define SILENCE_MS 60000      /* quern-board gives up when we say nothing for so long */
#define HOLD_MS 3600000	      /* for another host's measurement on the same board */
#define END_MS 10000	      /* to put the clocks back, to give the NPU back */
#define ANSWER_SPARE_MS 30000 /* quern-board itself keeps the limit of one answer */
#define SETTLE_MS 1500

/* ---- the board is ours */

static const char *command(struct board *b, const char *verb)
{
	return arena_printf(b->a, "exec %s/%s %s", ssh_quoted(b->a, b->facts.dir), b->harness.name,
			    verb);
}

static void say_clocks(struct board *b, const struct json *v, struct measure_result *r)
{
	const struct json *clocks = json_get(v, "clocks");
	int again = (int)json_int(v, "restored_first", 0);

	if (again > 0)
		measure_warn(r, MEASURE_WARN_TARGET, "",
			     "clocks of an earlier measurement were still fixed and were put back "
			     "first");
	if (!b->base.o->where->board.clocks) {
		measure_say_version(r, "clocks", "as found");
		return;
	}
	measure_say_version(r, "clocks", json_bool(v, "fixed", 0) ? "fixed" : "as found");
	if (!clocks || clocks->type != JSON_ARRAY || clocks->count == 0) {
		measure_warn(r, MEASURE_WARN_TARGET, "",
			     "clocks are not fixed: the board has none that can be; `clocks: "
			     "false` says so");
		return;
	}
	for (size_t i = 0; i < clocks->count && i < 64; i++) {
		const struct json *k = clocks->members[i].value;
		const char *name = json_str(k, "name", "?"),
			   *problem = json_str(k, "problem", NULL);
		const char *now = json_str(k, "now", NULL);

		if (problem)
			measure_warn(r, MEASURE_WARN_TARGET, "",
				     "the clock %s is not fixed: %s; let root's quern-board do it "
				     "(a login as "
				     "root, or sudo without a password)",
				     name, problem);
		else if (now && strncmp(name, "npu", 3) == 0)
			measure_say_version(r, "npu clock", now);
		else if (now && strncmp(name, "ddr", 3) == 0)
			measure_say_version(r, "ddr clock", now);
	}
}

static int take_hold(struct board *b, struct measure_result *r, struct err *e)
{
	const struct measure_options *o = b->base.o;
	int64_t left = measure_left_ms(o);
	const char *verb = arena_printf(b->a, "hold --dir . --silence %d --wait %lld%s", SILENCE_MS,
					(long long)(left < HOLD_MS ? left : HOLD_MS),
					o->where->board.clocks ? " --clocks" : "");
	bool sudo = o->where->board.clocks && strcmp(b->facts.sudo, "yes") == 0;
	const char *script = arena_printf(b->a, "cd %s || exit 3\nexec %s./%s %s",
					  ssh_quoted(b->a, b->facts.dir), sudo ? "sudo -n " : "",
					  b->harness.name, verb);
	struct json *v;
	int rc = ssh_start(&b->ssh, script, &b->hold, e);

	if (rc < 0)
		return rc;
	b->talk.channel = &b->hold;
	rc = board_await(&b->talk, b->a, "held", left, &v, e);
	if (rc < 0)
		return err_wrap(e, "%s", b->ssh.board->host);
	b->held = true;
	say_clocks(b, v, r);
	return 0;
}

/* ---- the model is loaded */

static const char *job_line(struct board *b)
{
	const struct measure_options *o = b->base.o;
	const struct measure_prompt_set *set = o->prompts;
	const struct measure_prompt *first =
		set->n_performance ? &set->performance[0] : &set->quality[0];
	struct json_out w;
	struct buf line;
	const char *out;

	buf_init(&line, BOARD_OUTPUT_MAX);
	jw_init(&w, &line, 0);
	jw_object(&w);
	jw_kint(&w, "protocol", 1);
	jw_kstr(&w, "model", arena_printf(b->a, "%s/%s", b->facts.dir, b->model.name));
	if (o->where->board.runtime)
		jw_kstr(&w, "library", o->where->board.runtime);
	if (o->max_context > 0)
		jw_kint(&w, "max_context", o->max_context);
	jw_kint(&w, "max_new_tokens", first->new_tokens);
	jw_kint(&w, "load_ms", measure_left_ms(o) + 1);
	jw_kint(&w, "answer_ms", o->answer_ms > 0 ? o->answer_ms : 1);
	jw_kint(&w, "silence_ms", SILENCE_MS);
	jw_end_object(&w);
	out = arena_strdup(b->a, buf_str(&line));
	buf_release(&line);
	return out;
}

static void say_loaded(struct board *b, const struct board_loaded *l, struct measure_result *r)
{
	const char *chip = l->platform ? l->platform : b->facts.arch;

	r->machine = arena_printf(r->a, "%s%s%s, %s cores", b->facts.model[0] ? b->facts.model : "",
				  b->facts.model[0] ? ", " : "", chip,
				  b->facts.cpus[0] ? b->facts.cpus : "?");
	if (l->runtime)
		measure_say_version(r, "rkllm-runtime", l->runtime);
	if (l->driver)
		measure_say_version(r, "rknpu driver", l->driver);
	if (l->toolkit)
		measure_say_version(r, "rkllm-toolkit", l->toolkit);
	measure_say_version(r, "kernel", b->facts.kernel);
	measure_say_version(r, "quern-board", QUERN_VERSION);
}

static int load(struct board *b, struct measure_result *r, struct err *e)
{
	struct board_loaded l;
	struct json *v;
	int rc = ssh_start(&b->ssh, command(b, "serve"), &b->serve, e);

	if (rc < 0)
		return rc;
	b->talk.channel = &b->serve;
	b->talk.other = &b->hold;
	rc = ssh_send(&b->serve, job_line(b), e);
	if (rc == 0)
		rc = board_await(&b->talk, b->a, "loaded",
				 measure_left_ms(b->base.o) + ANSWER_SPARE_MS, &v, e);
	if (rc != 0)
		return err_wrap(e, "%s", b->ssh.board->host);
	board_read_loaded(v, &l);
	say_loaded(b, &l, r);
	board_compare(b->base.o, &l, r);
	return 0;
}

/* ---- the target */

/* A session that breaks off may be quern-board's end or the connection's; the master notices the
 * latter a moment after the session does. */
static int told_apart(struct board *b, int rc, struct err *e)
{
	int64_t until = clock_mono_ms() + SETTLE_MS;

	b->was_lost = false;
	if (rc != ERR_BUSY)
		return rc;
	while (ssh_is_up(&b->ssh) && clock_mono_ms() < until)
		(void)poll(NULL, 0, 20);
	b->was_lost = !ssh_is_up(&b->ssh);
	if (b->was_lost && !strstr(e->msg, "connection"))
		(void)err_set(e, ERR_BUSY, "the connection to %s was lost", b->ssh.board->host);
	return rc;
}

static int prepare(struct measure_target *t, struct measure_result *r, struct err *e)
{
	struct board *b = (struct board *)t;
	int rc = ssh_open(&b->ssh, BOARD_CONNECT_MS, e);

	b->talk.r = r;
	r->host = arena_printf(r->a, "ssh://%s:%d", b->ssh.board->host,
			       b->ssh.board->port ? b->ssh.board->port : 22);
	if (rc == 0)
		rc = board_look_around(b, e);
	if (rc == 0)
		rc = board_prepare_files(b, e);
	if (rc == 0)
		rc = board_bring(b, &b->harness, e);
	if (rc == 0)
		rc = board_bring(b, &b->model, e);
	if (rc == 0)
		rc = take_hold(b, r, e);
	if (rc == 0)
		rc = load(b, r, e);
	return b->facts.dir[0] ? told_apart(b, rc, e) : rc; /* before, nothing is there */
}

/* The runtime applies the model's own template to one text; a system prompt of ours would switch
 * that off (rkllm_set_chat_template). So it goes before the text. */
static char *ask_line(const struct measure_prompt *p)
{
	char *text = p->system ? mem_printf("%s\n\n%s", p->system, p->text) : mem_strdup(p->text);
	struct json_out w;
	struct buf line;

	buf_init(&line, 16 * (size_t)MEASURE_PROMPT_BYTES);
	jw_init(&w, &line, 0);
	jw_object(&w);
	jw_kobject(&w, "ask");
	jw_kstr(&w, "name", p->name);
	jw_kstr(&w, "text", text);
	jw_kint(&w, "max_new_tokens", p->new_tokens);
	jw_end_object(&w);
	jw_end_object(&w);
	free(text);
	return buf_detach(&line);
}

static int ask(struct measure_target *t, const struct measure_prompt *p, struct measure_answer *out,
	       struct err *e)
{
	struct board *b = (struct board *)t;
	struct arena *a = arena_new();
	char *line = ask_line(p);
	struct json *v;
	int rc = ssh_send(&b->serve, line, e);

	/* For another number of tokens, older runtimes load the model again. */
	if (rc == 0)
		rc = board_await(&b->talk, a, "answer",
				 t->o->answer_ms + measure_left_ms(t->o) + ANSWER_SPARE_MS, &v, e);
	if (rc == 0)
		rc = board_read_answer(v, out, e);
	rc = told_apart(b, rc, e);
	free(line);
	arena_free(a);
	return rc;
}

/* ---- and back */

static void end_channel(struct board *b, struct ssh_channel *c, struct json **result)
{
	struct err ignored = ERR_INIT;

	*result = NULL;
	ssh_end_input(c);
	b->talk.channel = c;
	b->talk.other = NULL;
	(void)board_await(&b->talk, b->a, "result", END_MS, result, &ignored);
	(void)ssh_drop(c);
}

/* What is left there when the connection broke: quern-board has ended by itself, or is about to. */
static bool clean_up(struct board *b, bool keep_part)
{
	const char *dir = ssh_quoted(b->a, b->facts.dir);
	const char *script = arena_printf(
		b->a,
		"cd %s || exit 3\n"
		"i=0; while [ -e clocks.saved ] && [ $i -lt 8 ]; do sleep 1; i=$((i+1)); done\n"
		"[ ! -e clocks.saved ] || echo quern:clocks=fixed\n"
		"rm -f %s %s %s.part\n"
		"%s%s%s\n"
		"cd / && rmdir %s 2>/dev/null\n"
		"exit 0\n",
		dir, b->model.name, b->harness.name, b->harness.name, keep_part ? ":" : "rm -f ",
		keep_part ? "" : b->model.name, keep_part ? "" : ".part", dir);
	struct err ignored = ERR_INIT;
	struct buf out;
	bool ok;

	buf_init(&out, BOARD_OUTPUT_MAX);
	ok = ssh_run(&b->ssh, script, -1, &out, 2 * END_MS, NULL, NULL, &ignored) == 0 &&
	     !strstr(buf_str(&out), "quern:clocks=fixed");
	buf_release(&out);
	return ok;
}

static void end_hold(struct board *b, struct measure_result *r)
{
	struct json *v;

	end_channel(b, &b->hold, &v);
	if (b->held && !b->was_lost && (!v || strcmp(json_str(v, "status", ""), "ok") != 0))
		measure_warn(r, MEASURE_WARN_TARGET, "",
			     "the clocks of %s may still be fixed: %s; the next measurement there "
			     "puts them "
			     "back",
			     b->ssh.board->host,
			     v ? json_str(v, "message", "?") : "it does not answer");
	b->held = false;
}

static void release(struct measure_target *t, struct measure_result *r)
{
	struct board *b = (struct board *)t;
	struct err e = ERR_INIT;
	struct json *v;

	b->talk.r = NULL;
	b->ssh.finishing = true;
	if (b->serve.pid) {
		end_channel(b, &b->serve, &v);
		if (v && r->memory_bytes < 0)
			r->memory_bytes = (int64_t)json_num(v, "peak_rss_bytes", -1);
	}
	if (b->hold.pid)
		end_hold(b, r);
	if (b->model.name && !ssh_is_up(&b->ssh)) {
		ssh_close(&b->ssh);
		(void)ssh_open(&b->ssh, RECONNECT_MS, &e);
	}
	if (b->model.name && (!ssh_is_up(&b->ssh) || !clean_up(b, b->was_lost)))
		measure_warn(r, MEASURE_WARN_TARGET, "",
			     "%s could not be cleaned up: look into %s there, at clocks.saved and "
			     "model-*",
			     b->ssh.board->host, b->facts.dir);
	ssh_close(&b->ssh);
}

static void board_free(struct measure_target *t)
{
	struct board *b = (struct board *)t;

	if (b->serve.pid)
		(void)ssh_drop(&b->serve);
	if (b->hold.pid)
		(void)ssh_drop(&b->hold);
	ssh_close(&b->ssh);
	if (b->talk.log)
		(void)fclose(b->talk.log);
	arena_free(b->a);
	free(b);
}

int measure_board_new(const struct measure_options *o, struct measure_target **out, struct err *e)
{
	static const struct measure_target_ops ops = { prepare, ask, release, board_free };
	struct board *b;

	if (!o->where->board.host)
		return err_set(e, ERR_INVALID, "a board without a host");
	if (o->prompts->n_performance + o->prompts->n_quality == 0)
		return err_set(e, ERR_INVALID, "no prompts");
	b = mem_zalloc(sizeof(*b));
	b->base = (struct measure_target){ &ops, o };
	b->a = arena_new();
	b->ssh = (struct ssh){ .a = b->a,
			       .board = &o->where->board,
			       .log = arena_printf(b->a, "%s/ssh.log", o->dir) };
	b->hold.in_fd = b->hold.out_fd = b->serve.in_fd = b->serve.out_fd = -1;
	b->talk.log = fopen(arena_printf(b->a, "%s/board.log", o->dir), "we");
	if (b->talk.log)
		(void)setvbuf(b->talk.log, NULL, _IOLBF, 0);
	*out = &b->base;
	return 0;
}
