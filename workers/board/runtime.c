/* workers/board/runtime.c -- the vendor's library, loaded and called. Runs in a process of its own
 * (runner.h). Flow: reference of the runtime, "Board side". */
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/mem.h"
#include "workers/board/oldlibc.h"
#include "workers/board/runner.h"

enum { STATE_NORMAL = 0, STATE_WAITING = 1, STATE_FINISH = 2, STATE_ERROR = 3 };
enum { INPUT_PROMPT = 0, MODE_GENERATE = 0 };

/* rkllm_createDefaultParam() returns its struct through memory that the caller names, as all
 * structs above 16 bytes are returned on both processors: more room than it needs is fine. */
struct room {
	_Alignas(16) unsigned char b[ABI_ROOM];
};

typedef int callback_function(const void *result, void *userdata, int state);

/* CALLBACK_SET: three functions, each with its user data. */
struct callback_set {
	callback_function *result;
	void *result_data;
	void *others[4];
	void *spare[10]; /* should a later version have more of them: none is set */
};

struct runtime {
	const struct runner_setup *setup;
	int frame_fd;
	struct room (*defaults)(void);
	int (*init)(void **handle, void *param, void *callback);
	int (*run)(void *handle, void *input, void *infer, void *userdata);
	int (*destroy)(void *handle);
	void *handle;
	int loaded_tokens; /* max_new_tokens that it was loaded with */
	struct callback_set set;
	/* the answer that is coming */
	int64_t asked_ms;
	struct buf text;
	struct frame_answer answer;
	bool finished, failed;
};

static struct runtime rt;

/* ---- frames */

static void put(const void *p, size_t n)
{
	const char *at = p;

	while (n) {
		ssize_t k = write(rt.frame_fd, at, n);

		if (k < 0 && errno == EINTR)
			continue;
		if (k <= 0)
			_exit(1); /* nobody is there */
		at += k;
		n -= (size_t)k;
	}
}

static void frame(enum frame_kind kind, const void *head, size_t n, const char *text, size_t len)
{
	struct frame f = { .kind = kind, .size = (uint32_t)(n + len) };

	fflush(NULL); /* what was printed until now comes before this */
	put(&f, sizeof(f));
	put(head, n);
	put(text, len);
}

static _Noreturn void fail(const struct err *e)
{
	struct frame_failed f = { .code = e->code };

	frame(FRAME_FAILED, &f, sizeof(f), e->msg, strlen(e->msg));
	_exit(1);
}

/* ---- members by offset */

static void set_int(struct room *r, uint16_t at, int32_t v)
{
	if (at != ABI_NONE)
		memcpy(r->b + at, &v, sizeof(v));
}

static void set_pointer(struct room *r, uint16_t at, const void *v)
{
	if (at != ABI_NONE)
		memcpy(r->b + at, &v, sizeof(v));
}

static const char *get_pointer(const unsigned char *p, uint16_t at)
{
	const char *v;

	memcpy(&v, p + at, sizeof(v));
	return v;
}

static int32_t get_int(const unsigned char *p, size_t at)
{
	int32_t v;

	memcpy(&v, p + at, sizeof(v));
	return v;
}

/* A time or a size: what is none becomes "not told". */
static double get_float(const unsigned char *p, size_t at)
{
	float v;

	memcpy(&v, p + at, sizeof(v));
	return v >= 0 && v < 1e12f ? (double)v : -1;
}

/* ---- calls */

static void *symbol(void *library, const char *name)
{
	struct err e = ERR_INIT;
	void *p = dlsym(library, name);

	if (!p) {
		err_set(&e, ERR_ENV, "%s has no %s: it is not the RKLLM runtime", rt.setup->library,
			name);
		fail(&e);
	}
	return p;
}

static void load_library(void)
{
	struct err e = ERR_INIT;
	void *library = dlopen(rt.setup->library, RTLD_NOW | RTLD_LOCAL);
	void *p;

	if (!library) {
		err_set(&e, ERR_ENV, "the RKLLM runtime cannot be loaded: %s", dlerror());
		fail(&e);
	}
	/* Through void *, as POSIX has it for dlsym(). */
	p = symbol(library, "rkllm_createDefaultParam");
	memcpy(&rt.defaults, &p, sizeof(p));
	p = symbol(library, "rkllm_init");
	memcpy(&rt.init, &p, sizeof(p));
	p = symbol(library, "rkllm_run");
	memcpy(&rt.run, &p, sizeof(p));
	p = symbol(library, "rkllm_destroy");
	memcpy(&rt.destroy, &p, sizeof(p));
}

/* May come from a thread of the runtime, one call at a time. */
static int on_result(const void *result, void *userdata, int state)
{
	const unsigned char *p = result;
	const struct abi *abi = rt.setup->abi;
	struct frame_answer *a = &rt.answer;

	(void)userdata;
	if (!abi)
		return 0; /* only looked at */
	if (state == STATE_ERROR)
		rt.failed = true;
	if (state == STATE_NORMAL && p) {
		const char *text = get_pointer(p, abi->result.text);

		if (a->first_ms < 0)
			a->first_ms = (double)(clock_mono_ms() - rt.asked_ms);
		a->pieces++;
		if (text && buf_add(&rt.text, text, strnlen(text, RUNNER_TEXT_MAX)) < 0)
			a->cut_text = 1;
	}
	if (state == STATE_FINISH) {
		rt.finished = true;
		if (p && abi->result.perf != ABI_NONE) {
			p += abi->result.perf;
			a->prefill_ms = get_float(p, PERF_PREFILL_MS);
			a->prefill_tokens = get_int(p, PERF_PREFILL_TOKENS);
			a->generate_ms = get_float(p, PERF_GENERATE_MS);
			a->generate_tokens = get_int(p, PERF_GENERATE_TOKENS);
			a->memory_mb = get_float(p, PERF_MEMORY_MB);
		}
	}
	return 0;
}

/* The function itself for those versions that want it, else the set that has it. */
static void *callback(void)
{
	callback_function *f = on_result;
	void *p;

	if (!rt.setup->abi || rt.setup->abi->callback == CALLBACK_SET) {
		rt.set.result = on_result;
		return &rt.set;
	}
	memcpy(&p, &f, sizeof(p));
	return p;
}

static void load_model(int max_new_tokens)
{
	const struct abi *abi = rt.setup->abi;
	struct room param = rt.defaults();
	struct err e = ERR_INIT;
	int rc;

	set_pointer(&param, abi->param.model_path, rt.setup->model);
	if (rt.setup->max_context > 0)
		set_int(&param, abi->param.max_context_len, rt.setup->max_context);
	set_int(&param, abi->param.max_new_tokens, max_new_tokens);
	set_int(&param, abi->param.top_k, 1); /* greedy */
	param.b[abi->param.is_async] = 0;
	rc = rt.init(&rt.handle, param.b, callback());
	if (rc != 0) {
		err_set(&e, ERR_INVALID, "rkllm_init() returned %d", rc);
		fail(&e);
	}
	rt.loaded_tokens = max_new_tokens;
}

static void answer(const char *prompt, int max_new_tokens)
{
	const struct abi *abi = rt.setup->abi;
	struct room input = { 0 }, infer = { 0 };
	struct err e = ERR_INIT;
	int rc;

	rt.answer = (struct frame_answer){ -1, -1, -1, -1, -1, -1, -1, 0, 0, 0 };
	/* Before 1.3.0 the number is the model's, not the question's. */
	if (max_new_tokens != rt.loaded_tokens && abi->infer.max_new_tokens == ABI_NONE) {
		rt.destroy(rt.handle);
		rt.handle = NULL;
		load_model(max_new_tokens);
		rt.answer.loaded_again = 1;
	}
	set_pointer(&input, abi->input.role, "user");
	set_int(&input, abi->input.input_type, INPUT_PROMPT);
	set_pointer(&input, abi->input.prompt, prompt);
	set_int(&infer, abi->infer.mode, MODE_GENERATE);
	set_int(&infer, abi->infer.keep_history, 0);
	set_int(&infer, abi->infer.max_new_tokens, max_new_tokens);
	buf_clear(&rt.text);
	rt.finished = rt.failed = false;
	rt.asked_ms = clock_mono_ms();
	rc = rt.run(rt.handle, input.b, infer.b, NULL);
	rt.answer.total_ms = (double)(clock_mono_ms() - rt.asked_ms);
	if (rc != 0)
		err_set(&e, ERR_IO, "rkllm_run() returned %d", rc);
	else if (rt.failed)
		err_set(&e, ERR_IO, "the runtime gave up in the middle of an answer (state 3)");
	else if (!rt.finished)
		err_set(&e, ERR_IO, "rkllm_run() returned 0 without an end of the answer");
	if (e.code)
		fail(&e);
	frame(FRAME_ANSWER, &rt.answer, sizeof(rt.answer), buf_str(&rt.text), rt.text.len);
}

/* What the vendor's own demo does: the NPU's memory is given back before the process ends. Whoever
 * sent the signal waits a moment and then uses SIGKILL. */
static void on_end(int sig)
{
	(void)sig;
	if (rt.handle) {
		void *h = rt.handle;

		rt.handle = NULL;
		rt.destroy(h);
	}
	_exit(0);
}

/* ---- asks */

/* All n bytes; false at the end. */
static bool take(int fd, void *out, size_t n)
{
	char *at = out;

	while (n) {
		ssize_t k = read(fd, at, n);

		if (k < 0 && errno == EINTR)
			continue;
		if (k <= 0)
			return false;
		at += k;
		n -= (size_t)k;
	}
	return true;
}

static void serve(int ask_fd)
{
	struct ask a;

	while (take(ask_fd, &a, sizeof(a)) && a.size <= RUNNER_ASK_MAX) {
		char *prompt = mem_alloc((size_t)a.size + 1);

		if (!take(ask_fd, prompt, a.size)) {
			free(prompt);
			break;
		}
		prompt[a.size] = '\0';
		answer(prompt, (int)a.max_new_tokens);
		free(prompt);
	}
}

/* The version stands in the first line that rkllm_init() prints, before it looks at the file; and
 * the path of the file is the first member of the struct in all versions. So a file that is not
 * there tells the version without a guess at anything else. */
static void look(void)
{
	struct room param = rt.defaults();

	set_pointer(&param, 0, "/nonexistent/quern-board-asks-for-the-version");
	if (rt.init(&rt.handle, param.b, callback()) == 0 && rt.handle)
		rt.destroy(rt.handle);
}

_Noreturn void runtime_main(const struct runner_setup *s, int ask_fd, int frame_fd)
{
	struct frame_ready ready = { 0 };
	int64_t began;

	rt.setup = s;
	rt.frame_fd = frame_fd;
	buf_init(&rt.text, RUNNER_TEXT_MAX);
	load_library();
	if (!s->model) {
		look();
		frame(FRAME_READY, &ready, sizeof(ready), "", 0);
		_exit(0);
	}
	signal(SIGTERM, on_end);
	began = clock_mono_ms();
	load_model(s->max_new_tokens);
	ready.load_ms = (double)(clock_mono_ms() - began);
	frame(FRAME_READY, &ready, sizeof(ready), "", 0);
	serve(ask_fd);
	on_end(0);
	_exit(0);
}
