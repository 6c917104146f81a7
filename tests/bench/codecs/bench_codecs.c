/* bench_codecs LIBRARY [TYPE...] -- our encoders against ggml_quantize_chunk() of a ggml library,
 * in one run, one thread: million weights a second (processor time, the best of several runs), and
 * the relative root mean square error of what is read back. Normal weights, Laplace weights, and
 * normal ones with log-normal importances.
 *
 * LIBRARY: libggml-base.so of a llama.cpp release; tests/peer/setup.sh installs one below
 * node_modules/@node-llama-cpp. Output: rows of a Markdown table. */
#include <dlfcn.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "workers/gguf/type.h"

#define N (1u << 19)
#define ROW 4096
#define RUNS 7

typedef size_t quantize_fn(int type, const float *src, void *dst, int64_t start, int64_t nrows,
			   int64_t n_per_row, const float *imatrix);

static const enum gguf_type order[] = {
	TYPE_Q8_0,   TYPE_Q4_0,	   TYPE_Q4_1,  TYPE_Q5_0,   TYPE_Q5_1,	 TYPE_Q2_K,    TYPE_Q3_K,
	TYPE_Q4_K,   TYPE_Q5_K,	   TYPE_Q6_K,  TYPE_IQ4_NL, TYPE_IQ4_XS, TYPE_TQ1_0,   TYPE_TQ2_0,
	TYPE_MXFP4,  TYPE_NVFP4,   TYPE_Q2_0,  TYPE_Q1_0,   TYPE_IQ3_S,	 TYPE_IQ3_XXS, TYPE_IQ2_S,
	TYPE_IQ2_XS, TYPE_IQ2_XXS, TYPE_IQ1_M, TYPE_IQ1_S,
};

/* For these the library wants importances: equal ones. */
static int wants_importances(const struct type *t)
{
	return t->id == TYPE_IQ2_XXS || t->id == TYPE_IQ2_XS || t->id == TYPE_IQ1_S;
}

static float x_[N], y_[N], w_[N], ones_[N];
static unsigned char out_[4 * N];

static double seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static double uniform(void)
{
	static uint64_t state = 88172645463325252u; /* xorshift64 */

	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return ((double)(state >> 11) + 0.5) * 0x1p-53;
}

static double normal(void)
{
	return sqrt(-2 * log(uniform())) * cos(2 * 3.14159265358979 * uniform());
}

static void fill(int laplace)
{
	for (size_t i = 0; i < N; i++)
		x_[i] = (float)(0.02 *
				(laplace ? (uniform() < 0.5 ? 1 : -1) * log(uniform()) : normal()));
	for (size_t i = 0; i < N; i++)
		ones_[i] = 1;
	for (size_t i = 0; i < N; i++)
		w_[i] = i < ROW ? (float)exp(normal()) : w_[i - ROW];
}

static double error_of(const struct type *t, const float *w)
{
	double error = 0, signal = 0;

	t->decode(out_, y_, N);
	for (size_t i = 0; i < N; i++) {
		double d = (double)x_[i] - (double)y_[i], m = w ? (double)w[i] : 1;

		error += m * d * d;
		signal += m * (double)x_[i] * (double)x_[i];
	}
	return sqrt(error / signal);
}

static void ours(const struct type *t, const float *w, int opt)
{
	for (size_t at = 0; at < N; at += ROW)
		type_encoder(t)(x_ + at, w ? w + at : NULL, out_ + type_bytes(t, at), ROW, opt);
}

struct result {
	double speed, error; /* million weights a second */
};

/* opt < 0: the library. */
static struct result measure(const struct type *t, quantize_fn *theirs, const float *w, int opt)
{
	struct result r = { 0, 0 };

	for (int k = 0; k < RUNS; k++) {
		double start = seconds(), speed;

		if (opt < 0)
			theirs(t->id, x_, out_, 0, N / ROW, ROW,
			       w || !wants_importances(t) ? w : ones_);
		else
			ours(t, w, opt);
		speed = N / (seconds() - start) / 1e6;
		r.speed = speed > r.speed ? speed : r.speed;
	}
	r.error = error_of(t, w);
	return r;
}

static int wanted(const struct type *t, int argc, char **argv)
{
	for (int i = 2; i < argc; i++) {
		if (type_by_name(argv[i]) == t)
			return 1;
	}
	return argc < 3;
}

static void table(const char *title, const float *w, quantize_fn *theirs, int argc, char **argv)
{
	printf("\n%s\n\n| type | ggml Mw/s | error | opt 0 Mw/s | times | error | opt 1 Mw/s | "
	       "times | error |\n"
	       "| --- | --- | --- | --- | --- | --- | --- | --- | --- |\n",
	       title);
	for (size_t i = 0; i < sizeof(order) / sizeof(order[0]); i++) {
		const struct type *t = type_by_id(order[i]);
		struct result a, b, c;

		if (!wanted(t, argc, argv))
			continue;
		a = measure(t, theirs, w, -1);
		b = measure(t, theirs, w, 0);
		c = measure(t, theirs, w, 1);
		printf("| %s | %.1f | %.5f | %.1f | %.1f | %.5f | %.1f | %.1f | %.5f |\n", t->name,
		       a.speed, a.error, b.speed, b.speed / a.speed, b.error, c.speed,
		       c.speed / a.speed, c.error);
		fflush(stdout);
	}
}

int main(int argc, char **argv)
{
	void *library = argc > 1 ? dlopen(argv[1], RTLD_NOW) : NULL;
	quantize_fn *theirs = NULL;
	void *symbol;

	if (!library) {
		fprintf(stderr, "usage: bench_codecs LIBRARY [TYPE...]: %s\n",
			argc > 1 ? dlerror() : "no library");
		return 2;
	}
	symbol = dlsym(library, "ggml_quantize_chunk");
	if (!symbol) {
		fprintf(stderr, "%s has no ggml_quantize_chunk\n", argv[1]);
		return 2;
	}
	memcpy(&theirs, &symbol, sizeof(theirs));
	fill(0);
	table("Normal weights", NULL, theirs, argc, argv);
	table("Normal weights, log-normal importances (weighted error)", w_, theirs, argc, argv);
	fill(1);
	table("Laplace weights", NULL, theirs, argc, argv);
	return 0;
}
