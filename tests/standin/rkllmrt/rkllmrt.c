/* A stand-in of librkllmrt.so: no arithmetic, no NPU, no model. One source, built once for each
 * layout that the vendor's header has had; STANDIN_VERSION is what it says it is, STANDIN_LAYOUT
 * which structs it has. The structs are declared here as a C programmer reads the reference,
 * without a look at quern-board's table of offsets: what the two disagree about fails in a test.
 *
 * "Models" are the files of the stand-in toolkit (../rkllm/filewriter.py): their second line is
 * what the runtime prints about a file. A third line "do: WORD ..." says what shall go wrong;
 * README.md lists the words. */
#include <math.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define L110 1 /* 1.1.0 to 1.1.4 */
#define L120 2 /* 1.2.0 */
#define L121B1 3
#define L121 4 /* 1.2.1 to 1.2.3 */
#define L130 5

/* ---- the header, layout by layout */

struct extend {
	int32_t base_domain_id;
#if STANDIN_LAYOUT == L110
	uint8_t rest[112];
#else
	int8_t embed_flash;
	int8_t cpus;
	uint32_t cpu_mask;
#if STANDIN_LAYOUT >= L121
	uint8_t n_batch;
	int8_t cross_attention;
	uint8_t rest[104];
#else
	uint8_t rest[106];
#endif
#endif
};

struct param {
	const char *model_path;
	int32_t max_context_len, max_new_tokens, top_k;
#if STANDIN_LAYOUT != L110
	int32_t n_keep;
#endif
	float top_p, temperature, repeat_penalty, frequency_penalty, presence_penalty;
	int32_t mirostat;
	float mirostat_tau, mirostat_eta;
	bool skip_special_token;
#if STANDIN_LAYOUT == L130
	bool ignore_eos_token;
#endif
	bool is_async;
#if STANDIN_LAYOUT != L130
	const char *img_start, *img_end, *img_content;
#endif
	struct extend extend;
};

struct pair {
	const void *p;
	size_t n;
};

struct pictures {
	char *prompt;
#if STANDIN_LAYOUT == L130
	struct {
		float *embed;
		size_t tokens, n;
		const char *start, *end, *content;
		size_t width, height;
	} image;
	struct {
		float *embed;
		size_t tokens, frames, n;
		const char *start, *end, *content;
		size_t width, height;
	} video;
#else
	float *embed;
	size_t tokens;
#if STANDIN_LAYOUT >= L121B1
	size_t n, width, height;
#endif
#endif
};

struct input {
#if STANDIN_LAYOUT >= L121
	const char *role;
	bool enable_thinking;
#endif
	int type;
	union {
		const char *prompt;
		struct pair embed, tokens;
		struct pictures pictures;
	} of;
};

struct infer {
	int mode;
	void *lora, *prompt_cache;
#if STANDIN_LAYOUT == L130
	void *sampling;
#endif
#if STANDIN_LAYOUT != L110
	int keep_history;
#endif
#if STANDIN_LAYOUT == L130
	int32_t max_new_tokens;
#endif
};

struct floats {
	const float *p;
	int width, n;
};

struct perf {
	float prefill_ms;
	int prefill_tokens;
	float generate_ms;
	int generate_tokens;
	float memory_mb;
};

struct result {
	const char *text;
	int32_t token;
	struct floats hidden;
#if STANDIN_LAYOUT != L110
	struct floats logits;
#endif
#if STANDIN_LAYOUT >= L121
	struct perf perf;
#endif
};

#if STANDIN_LAYOUT >= L121
typedef int result_callback(struct result *r, void *userdata, int state);
#else
typedef void result_callback(struct result *r, void *userdata, int state);
#endif

#if STANDIN_LAYOUT == L130
struct callbacks {
	result_callback *result;
	void *result_data;
	int (*tokenize)(void *data, const char *text, int32_t n, int32_t *tokens, int32_t room);
	void *tokenize_data;
	int (*embed)(void *data, int32_t *tokens, uint64_t n, void *out, uint64_t bytes);
	void *embed_data;
};
#define EXPECTED_SIZES                                                                             \
	sizeof(struct param) == 184 && sizeof(struct infer) == 40 &&                               \
		sizeof(struct input) == 160 && sizeof(struct result) == 72
#elif STANDIN_LAYOUT == L121
#define EXPECTED_SIZES                                                                             \
	sizeof(struct param) == 208 && sizeof(struct infer) == 32 && sizeof(struct input) == 64 && \
		sizeof(struct result) == 72
#elif STANDIN_LAYOUT == L121B1
#define EXPECTED_SIZES                                                                             \
	sizeof(struct param) == 208 && sizeof(struct infer) == 32 && sizeof(struct input) == 56 && \
		sizeof(struct result) == 48
#elif STANDIN_LAYOUT == L120
#define EXPECTED_SIZES                                                                             \
	sizeof(struct param) == 208 && sizeof(struct infer) == 32 && sizeof(struct input) == 32 && \
		sizeof(struct result) == 48
#else
#define EXPECTED_SIZES                                                                             \
	sizeof(struct param) == 200 && sizeof(struct infer) == 24 && sizeof(struct input) == 32 && \
		sizeof(struct result) == 32
#endif
_Static_assert(EXPECTED_SIZES, "the sizes that the reference gives for LP64");

struct param rkllm_createDefaultParam(void);
#if STANDIN_LAYOUT == L130
int rkllm_init(void **handle, struct param *p, struct callbacks *c);
#else
int rkllm_init(void **handle, struct param *p, result_callback *c);
#endif
int rkllm_run(void *handle, struct input *in, struct infer *how, void *userdata);
int rkllm_destroy(void *handle);

/* ---- what it does */

struct handle {
	struct param param;
	result_callback *tell;
	char todo[256];
};

#define SAY(level, ...) (printf(level " rkllm: " __VA_ARGS__), putchar('\n'))

struct param rkllm_createDefaultParam(void)
{
	struct param p;

	memset(&p, 0, sizeof(p));
	p.max_context_len = 4096;
	p.max_new_tokens = 999;
	p.top_k = 40;
	p.top_p = 0.9f;
	p.temperature = 0.8f;
	p.repeat_penalty = 1.1f;
	p.is_async = true; /* so that a caller who clears another byte is seen */
#if STANDIN_LAYOUT >= L121
	p.extend.n_batch = 1;
#endif
	return p;
}

static bool has(const struct handle *h, const char *word)
{
	const char *at = strstr(h->todo, word);
	size_t n = strlen(word);

	return at && (at == h->todo || at[-1] == ' ') && (at[n] == ' ' || !at[n]);
}

static void hang(void)
{
	for (;;)
		pause();
}

static bool read_model(struct handle *h)
{
	FILE *f = fopen(h->param.model_path, "rb");
	char head[512] = "", *said, *todo;
	size_t n;

	if (!f) {
		SAY("E", "failed to open rkllm model %s", h->param.model_path);
		return false;
	}
	n = fread(head, 1, sizeof(head) - 1, f);
	fclose(f);
	head[n] = '\0';
	if (strncmp(head, "RKLLM STAND-IN, NOT A MODEL\n", 28) != 0) {
		SAY("E", "invalid rkllm model!");
		return false;
	}
	said = head + 28;
	todo = strstr(said, "\ndo: ");
	if (todo)
		snprintf(h->todo, sizeof(h->todo), "%.*s", (int)strcspn(todo + 5, "\n"), todo + 5);
	said[strcspn(said, "\n")] = '\0';
#if STANDIN_LAYOUT != L110 /* 1.1 is silent about the file */
	if (!has(h, "silent"))
		SAY("I", "%s", said);
#endif
	return true;
}

static int init(void **handle, struct param *p, result_callback *tell)
{
	struct handle *h = calloc(1, sizeof(*h));
	const char *env = getenv("QUERN_STANDIN_RKLLMRT");

	h->param = *p;
	h->tell = tell;
	if (env && strcmp(env, "crash") == 0)
		abort();
	if (env && strcmp(env, "no-version") == 0)
		SAY("I", "this is a stand-in");
	else if (!env || strcmp(env, "no-npu") != 0)
		SAY("I", "rkllm-runtime version: %s, rknpu driver version: 0.9.8, platform: RK3588",
		    STANDIN_VERSION);
	if (env && strcmp(env, "no-npu") == 0) {
		SAY("E", "failed to open rknpu module, need to insmod rknpu driver!");
		free(h);
		return -1;
	}
	SAY("I", "loading rkllm model from %s", p->model_path);
	if (!read_model(h)) {
		free(h);
		return -1;
	}
	SAY("I",
	    "STAND-IN of the runtime, no model is run: context %d, new tokens %d, top_k %d, async "
	    "%d",
	    p->max_context_len, p->max_new_tokens, p->top_k, p->is_async);
	SAY("I", "Enabled cpus: [4, 5, 6, 7]");
	SAY("I", "Enabled cpus num: 4");
	if (has(h, "init-crash"))
		raise(SIGSEGV);
	if (has(h, "init-hang"))
		hang();
	if (has(h, "init-fails")) {
		SAY("E", "matmul(w8a8) run failed");
		return -1;
	}
	for (int i = 0; has(h, "flood") && i < 100000; i++)
		SAY("W", "%d %0200d", i, 0);
	*handle = h;
	return 0;
}

#if STANDIN_LAYOUT == L130
int rkllm_init(void **handle, struct param *p, struct callbacks *c)
{
	return init(handle, p, c->result);
}
#else
int rkllm_init(void **handle, struct param *p, result_callback *c)
{
	return init(handle, p, c);
}
#endif

static void tell(struct handle *h, const char *text, int state, const struct perf *perf)
{
	struct result r;

	memset(&r, 0, sizeof(r));
	r.text = text;
#if STANDIN_LAYOUT >= L121
	if (perf)
		r.perf = *perf;
#else
	(void)perf;
#endif
	h->tell(&r, NULL, state);
}

static void table(const struct perf *p)
{
	if (!getenv("RKLLM_LOG_LEVEL"))
		return;
	SAY("I", "---------------------------------------------------------------------------------"
		 "-----");
#if STANDIN_LAYOUT == L110
	SAY("I", " Init          1234.50         /         /                        /");
#else
	SAY("I", " Model init time (ms)  1234.50");
#endif
	SAY("I",
	    " Stage         Total Time (ms)  Tokens    Time per Token (ms)      Tokens per Second");
	SAY("I", " %-12s  %-15.2f  %-8d  %-23.2f  %-23.2f", "Prefill", (double)p->prefill_ms,
	    p->prefill_tokens, 0.0, 0.0);
	SAY("I", " %-12s  %-15.2f  %-8d  %-23.2f  %-23.2f", "Generate", (double)p->generate_ms,
	    p->generate_tokens, 0.0, 0.0);
#if STANDIN_LAYOUT == L130
	SAY("I", " Peak Memory Usage (MB)");
	SAY("I", " %.2f", (double)p->memory_mb);
#else
	SAY("I", "%s Memory Usage (GB)", STANDIN_LAYOUT == L110 ? "" : " Peak");
	SAY("I", " %.2f        ", (double)p->memory_mb / 1024);
#endif
}

static bool understood(const struct input *in, const struct infer *how)
{
	bool ok = in->type == 0 && in->of.prompt && how->mode == 0;

#if STANDIN_LAYOUT >= L121
	ok = ok && in->role && strcmp(in->role, "user") == 0 && !in->enable_thinking;
#endif
#if STANDIN_LAYOUT != L110
	ok = ok && how->keep_history == 0;
#endif
	return ok;
}

/* What it is asked, in words, until there are enough of them. */
static int speak(struct handle *h, const char *prompt, int most)
{
	static const char *const words[] = { "The ", "stand-in ", "was ", "asked: " };
	char piece[64];
	int n = 0;

	while (n < most && n < 4)
		tell(h, words[n++], 0, NULL);
	while (n < most && *prompt) {
		size_t len = strcspn(prompt, " ");

		if (has(h, "crash"))
			raise(SIGSEGV);
		if (has(h, "hang"))
			hang();
		if (has(h, "killed"))
			raise(SIGKILL);
		if (has(h, "exits"))
			_exit(3);
		if (has(h, "gives-up")) {
			tell(h, NULL, 3, NULL);
			return -1;
		}
		len += prompt[len] == ' ';
		if (len >= sizeof(piece))
			len = sizeof(piece) - 1;
		memcpy(piece, prompt, len);
		piece[len] = '\0';
		prompt += len;
		if (has(h, "garbage"))
			snprintf(piece, sizeof(piece), "\xff\xfe[PAD151935]");
		tell(h, NULL, 1, NULL); /* half a character: nothing yet */
		tell(h, piece, 0, NULL);
		n++;
	}
	while (has(h, "endless") && n < most) {
		tell(h, "and on ", 0, NULL);
		n++;
	}
	return n;
}

int rkllm_run(void *handle, struct input *in, struct infer *how, void *userdata)
{
	struct handle *h = handle;
	struct perf p = { 0 };
	int most = h->param.max_new_tokens;

	(void)userdata;
	if (!understood(in, how) || has(h, "run-fails")) {
		SAY("E", "the input is not understood");
		return -1;
	}
#if STANDIN_LAYOUT == L130
	if (how->max_new_tokens > 0)
		most = how->max_new_tokens;
#endif
	for (const char *s = in->of.prompt; *s; s++)
		p.prefill_tokens += *s != ' ' && (s[1] == ' ' || !s[1]);
	p.generate_tokens = speak(h, in->of.prompt, most);
	if (p.generate_tokens < 0)
		return 0;
	if (has(h, "no-end"))
		return 0;
	p.prefill_ms = 2.5f * (float)p.prefill_tokens;
	p.generate_ms = 20.0f * (float)p.generate_tokens;
	p.memory_mb = 768.0f;
	if (has(h, "bad-times")) {
		p.prefill_ms = -NAN;
		p.generate_ms = -5;
		p.memory_mb = INFINITY;
	} else {
		table(&p);
	}
	tell(h, NULL, 2, &p);
	return 0;
}

int rkllm_destroy(void *handle)
{
	struct handle *h = handle;

	if (has(h, "destroy-hang"))
		hang();
	SAY("I", "STAND-IN destroyed");
	free(h);
	return 0;
}
