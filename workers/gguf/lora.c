#include "workers/gguf/lora.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "workers/common/fileio.h"
#include "workers/gguf/tokenizer.h"
#include "workers/gguf/type.h"

#define PREFIX "base_model.model."
#define MAGNITUDE ".lora_magnitude_vector"
#define RANK_MAX 4096

/* ---- adapter_config.json */

struct settings {
	const struct json *root;
	double alpha;
	int rank_stabilized, turned, dora;
};

/* Variants that are something else than W + scale * B A. */
static int check_variant(const struct json *root, struct err *e)
{
	static const char *const flags[] = { "use_qalora", "lora_bias", "use_bdlora" };
	static const char *const objects[] = { "layer_replication", "trainable_token_indices",
					       "target_parameters", "alora_invocation_tokens" };

	if (strcmp(json_str(root, "peft_type", "LORA"), "LORA") != 0)
		return err_set(e, ERR_INVALID,
			       "adapter_config.json: the adapter is %.40s; only LORA is merged",
			       json_str(root, "peft_type", ""));
	for (size_t i = 0; i < ARRAY_LEN(flags); i++) {
		if (json_bool(root, flags[i], 0))
			return err_set(e, ERR_INVALID,
				       "adapter_config.json: %s is not merged by this version",
				       flags[i]);
	}
	for (size_t i = 0; i < ARRAY_LEN(objects); i++) {
		const struct json *v = json_get(root, objects[i]);

		if (v && v->type != JSON_NULL && v->count)
			return err_set(e, ERR_INVALID,
				       "adapter_config.json: %s is not merged by this version",
				       objects[i]);
	}
	return 0;
}

static int read_settings(struct arena *a, const char *dir, struct settings *s, struct err *e)
{
	struct json *root;

	if (tokenizer_read_json(a, dir, "adapter_config.json", &root, e) < 0)
		return e->code;
	if (!root)
		return err_set(e, ERR_INVALID, "%s: there is no adapter_config.json", dir);
	if (check_variant(root, e) < 0)
		return e->code;
	*s = (struct settings){ .root = root,
				.alpha = json_num(root, "lora_alpha", 8),
				.rank_stabilized = json_bool(root, "use_rslora", 0),
				.turned = json_bool(root, "fan_in_fan_out", 0),
				.dora = json_bool(root, "use_dora", 0) };
	return 0;
}

/* A module's own alpha: keys of alpha_pattern are regular expressions that match the end of its
 * name; plain ones are read. */
static int alpha_of(const struct settings *s, const char *module, double *out, struct err *e)
{
	const struct json *patterns = json_get(s->root, "alpha_pattern");

	*out = s->alpha;
	for (size_t i = 0; patterns && patterns->type == JSON_OBJECT && i < patterns->count; i++) {
		const char *key = patterns->members[i].key;
		size_t n = strlen(key), m = strlen(module);

		if (strpbrk(key, "*+?|()[]{}\\^$"))
			return err_set(e, ERR_INVALID,
				       "adapter_config.json: alpha_pattern \"%.60s\" is a regular "
				       "expression, which this version does not read",
				       key);
		if (m >= n && strcmp(module + m - n, key) == 0 &&
		    (m == n || module[m - n - 1] == '.')) {
			*out = json_num(patterns, key, s->alpha);
			break;
		}
	}
	return 0;
}

/* ---- adapter_model.safetensors */

struct joining {
	struct arena *a;
	struct st_model *m; /* with the adapter's files behind its own */
	size_t n_files;	    /* of the model alone */
	struct st_model adapter;
	struct settings s;
	struct lora_ends *ends;
	int together; /* the embedding's adapter stands once more under the output's name */
	struct lora *out;
};

static const char *module_of(struct joining *j, const char *name, const char *end)
{
	size_t n = strlen(name), m = strlen(end), p = strlen(PREFIX);

	if (n <= m + p || strncmp(name, PREFIX, p) != 0 || strcmp(name + n - m, end) != 0)
		return NULL;
	return arena_strndup(j->a, name + p, n - m - p);
}

static struct st_tensor *find_base(const struct joining *j, const char *name)
{
	const struct st_tensor *t = st_find(j->m, name);

	return t ? &j->m->tensors[t - j->m->tensors] : NULL;
}

static int check_delta(const struct lora_delta *d, const struct st_tensor *base, const char *module,
		       struct err *e)
{
	uint64_t rank = d->a->shape[0], in = d->a->shape[1], out = d->b->shape[0];
	const struct st_tensor *parts[] = { d->a, d->b };

	for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
		if (parts[i]->n_dims != 2 || !load_of(parts[i]->dtype))
			return err_set(e, ERR_INVALID,
				       "adapter: %.200s is no matrix of BF16, F16 or F32",
				       parts[i]->name);
	}
	if (base->n_dims != 2 || d->b->shape[1] != rank || rank == 0 || rank > RANK_MAX ||
	    base->shape[d->turned] != out || base->shape[!d->turned] != in)
		return err_set(e, ERR_INVALID,
			       "adapter: the shapes of %.200s do not fit the model's tensor",
			       module);
	return 0;
}

/* Older versions of PEFT and newer ones end its name differently. */
static int find_magnitude(struct joining *j, const char *module, struct lora_delta *d,
			  struct err *e)
{
	const char *name = arena_printf(j->a, PREFIX "%s" MAGNITUDE, module);

	if (!j->s.dora)
		return 0;
	d->magnitude = st_find(&j->adapter, name);
	if (!d->magnitude)
		d->magnitude = st_find(&j->adapter, arena_printf(j->a, "%s.weight", name));
	if (!d->magnitude || !load_of(d->magnitude->dtype) ||
	    d->magnitude->n_elements != d->b->shape[0])
		return err_set(e, ERR_INVALID,
			       "adapter: %.200s is missing, or not one number for each output of "
			       "its matrix",
			       name);
	return 0;
}

/* Both factors, under the names of a linear module or of an embedding. */
static int add_delta(struct joining *j, const struct st_tensor *first, const char *module,
		     const char *second_end, int embedding, struct err *e)
{
	const char *name = arena_printf(j->a, PREFIX "%s%s", module, second_end);
	const char *target = arena_printf(j->a, "%s.weight", module);
	const struct st_tensor *base = find_base(j, target);
	struct lora_delta *d = &j->out->v[j->out->n];
	double alpha, rank = first->n_dims ? (double)first->shape[0] : 0;

	*d = (struct lora_delta){ .target = target,
				  .a = first,
				  .b = st_find(&j->adapter, name),
				  .turned = embedding || j->s.turned };
	if (!d->b)
		return err_set(e, ERR_INVALID, "adapter: %.200s is missing", name);
	if (!base)
		return err_set(e, ERR_INVALID,
			       "adapter: the model has no tensor %.200s; it is another model's",
			       target);
	if (check_delta(d, base, module, e) < 0 || find_magnitude(j, module, d, e) < 0 ||
	    alpha_of(&j->s, module, &alpha, e) < 0)
		return e->code;
	d->scale = (float)(alpha / (j->s.rank_stabilized ? sqrt(rank) : rank));
	if (!isfinite(d->scale))
		return err_set(e, ERR_INVALID, "adapter: the scale of %.200s is no number", module);
	j->out->n++;
	return 0;
}

/* A tensor that was trained whole takes the place of the model's. */
static int replace(struct joining *j, const struct st_tensor *t, struct err *e)
{
	const char *name =
		strncmp(t->name, PREFIX, strlen(PREFIX)) == 0 ? t->name + strlen(PREFIX) : t->name;
	struct st_tensor *base = find_base(j, name);

	if (!base)
		return err_set(e, ERR_INVALID,
			       "adapter: %.200s fits no tensor of the model; it is another model's",
			       t->name);
	if (base->n_dims != t->n_dims ||
	    memcmp(base->shape, t->shape, (size_t)t->n_dims * sizeof(*t->shape)) != 0)
		return err_set(e, ERR_INVALID,
			       "adapter: %.200s has not the shape of the model's tensor", t->name);
	name = base->name;
	*base = *t;
	base->name = name;
	return 0;
}

/* A length without the two factors beside it changes nothing, and that is not what was meant. */
static int is_adapted(struct joining *j, const struct st_tensor *t, struct err *e)
{
	const char *module = module_of(j, t->name, MAGNITUDE);

	if (!module)
		module = module_of(j, t->name, MAGNITUDE ".weight");
	if (st_find(&j->adapter, arena_printf(j->a, PREFIX "%s.lora_A.weight", module)) ||
	    st_find(&j->adapter, arena_printf(j->a, PREFIX "%s.lora_embedding_A", module)))
		return 0;
	return err_set(e, ERR_INVALID, "adapter: %.200s has no lora_A beside it", t->name);
}

static int take(struct joining *j, const struct st_tensor *t, struct err *e)
{
	const char *module = module_of(j, t->name, ".lora_A.weight");

	if (module)
		return add_delta(j, t, module, ".lora_B.weight", 0, e);
	module = module_of(j, t->name, ".lora_embedding_A");
	if (module)
		return add_delta(j, t, module, ".lora_embedding_B", 1, e);
	module = module_of(j, t->name, ".lora_B.weight");
	if (module && st_find(&j->adapter, arena_printf(j->a, PREFIX "%s.lora_A.weight", module)))
		return 0; /* with its other half */
	module = module_of(j, t->name, ".lora_embedding_B");
	if (module &&
	    st_find(&j->adapter, arena_printf(j->a, PREFIX "%s.lora_embedding_A", module)))
		return 0;
	if (j->s.dora &&
	    (module_of(j, t->name, MAGNITUDE) || module_of(j, t->name, MAGNITUDE ".weight")))
		return is_adapted(j, t, e);
	return replace(j, t, e);
}

static void join_files(struct joining *j)
{
	struct st_file *files = arena_array(j->a, j->m->n_files + 1, sizeof(*files));
	char *name;

	assert(j->adapter.n_files == 1 && j->adapter.files);
	memcpy(files, j->m->files, j->m->n_files * sizeof(*files));
	j->n_files = j->m->n_files;
	name = arena_printf(j->a, "adapter: %s", j->adapter.files[0].name);
	files[j->n_files] = j->adapter.files[0];
	files[j->n_files].name = name;
	j->m->files = files;
	j->m->n_files++;
	for (size_t i = 0; i < j->adapter.n_tensors; i++)
		j->adapter.tensors[i].file += (uint32_t)j->n_files;
}

static int by_target(const void *x, const void *y)
{
	const struct lora_delta *a = x, *b = y;

	return strcmp(a->target, b->target);
}

static int by_name(const void *x, const void *y)
{
	const struct st_tensor *a = x, *b = y;

	return strcmp(a->name, b->name);
}

static int read_adapter(struct arena *a, const char *dir, struct st_model *out, struct err *e)
{
	const char *path = arena_printf(a, "%s/adapter_model.safetensors", dir);
	struct st_file *file = arena_alloc(a, sizeof(*file));
	struct st_header h;

	if (st_read_header(a, path, &h, e) < 0)
		return err_wrap(e, "adapter");
	*file = (struct st_file){ .path = path, .name = "adapter_model.safetensors" };
	*out = (struct st_model){
		.files = file, .n_files = 1, .tensors = h.tensors, .n_tensors = h.count
	};
	qsort(out->tensors, out->n_tensors, sizeof(*out->tensors), by_name); /* for st_find() */
	return 0;
}

/* ---- the embedding that is the output as well */

/* A tensor of the adapter that belongs to this tensor's module. */
static int belongs_to(const char *name, const char *tensor)
{
	size_t n = tensor ? strlen(tensor) - strlen("weight") : 0; /* with the last dot */

	return tensor && strncmp(name, PREFIX, strlen(PREFIX)) == 0 &&
	       strncmp(name + strlen(PREFIX), tensor, n) == 0;
}

static int changes(const struct joining *j, const char *tensor)
{
	for (size_t i = 0; i < j->adapter.n_tensors; i++) {
		if (belongs_to(j->adapter.tensors[i].name, tensor))
			return 1;
	}
	return 0;
}

static struct st_tensor renamed(struct st_tensor t, const char *name)
{
	t.name = name;
	return t;
}

/* The output becomes a tensor of its own, with the embedding's weights. */
static void give_output(struct joining *j)
{
	struct st_model *m = j->m;
	struct st_tensor *v = arena_array(j->a, m->n_tensors + 1, sizeof(*v));

	memcpy(v, m->tensors, m->n_tensors * sizeof(*v));
	v[m->n_tensors] = renamed(*find_base(j, j->ends->embedding), j->ends->output);
	m->tensors = v;
	m->n_tensors++;
	qsort(m->tensors, m->n_tensors, sizeof(*m->tensors), by_name);
}

/* Source: peft, BaseTuner.merge_and_unload(): "Input and output embeddings are no longer tied".
 * With ensure_weight_tying the adapter of one is that of both. */
static int untie(struct joining *j, struct err *e)
{
	struct lora_ends *ends = j->ends;
	int embedding = changes(j, ends->embedding), output = changes(j, ends->output);

	if (!ends->tied || (!embedding && !output))
		return 0;
	j->together = embedding && json_bool(j->s.root, "ensure_weight_tying", 0);
	if (j->together)
		return 0;
	if (!ends->output || !find_base(j, ends->embedding))
		return err_set(e, ERR_INVALID,
			       "adapter: it changes the embedding, which this architecture shares "
			       "with its output, and llama.cpp has no place for a second matrix");
	if (!find_base(j, ends->output))
		give_output(j);
	else
		*find_base(j, ends->output) = renamed(*find_base(j, ends->embedding), ends->output);
	ends->tied = 0;
	return 0;
}

int lora_open(struct arena *a, const char *dir, struct st_model *m, struct lora_ends *ends,
	      struct lora *out, struct err *e)
{
	struct joining j = { .a = a, .m = m, .ends = ends, .out = out };

	if (read_settings(a, dir, &j.s, e) < 0 || read_adapter(a, dir, &j.adapter, e) < 0 ||
	    untie(&j, e) < 0)
		return e->code;
	join_files(&j);
	*out = (struct lora){ .v = arena_array(a, j.adapter.n_tensors + 1, sizeof(*out->v)) };
	for (size_t i = 0; i < j.adapter.n_tensors; i++) {
		if (j.together && belongs_to(j.adapter.tensors[i].name, ends->output))
			continue;
		if (take(&j, &j.adapter.tensors[i], e) < 0)
			return e->code;
	}
	if (j.adapter.n_tensors == 0)
		return err_set(e, ERR_INVALID, "adapter: it holds no tensor");
	qsort(out->v, out->n, sizeof(*out->v), by_target);
	return 0;
}

const struct lora_delta *lora_find(const struct lora *l, const char *target)
{
	struct lora_delta key = { .target = target };

	return l->n ? bsearch(&key, l->v, l->n, sizeof(*l->v), by_target) : NULL;
}

/* ---- while the weights pass by */

static int load_factor(const struct st_tensor *t, const struct st_model *m, const int *fds,
		       float **out, struct err *e)
{
	size_t width = dtype_bytes(t->dtype), n = (size_t)t->n_elements;
	void *raw = mem_array(n, width);
	int rc = file_read_at(fds[t->file], raw, n * width, t->offset, m->files[t->file].name, e);

	free(*out);
	*out = mem_array(n, sizeof(**out));
	if (rc == 0)
		load_of(t->dtype)(raw, *out, n);
	free(raw);
	return rc;
}

int lora_cache_get(struct lora_cache *c, const struct lora_delta *d, const struct st_model *m,
		   const int *fds, struct err *e)
{
	if (c->held == d)
		return 0;
	c->held = NULL;
	if (load_factor(d->a, m, fds, &c->a, e) < 0 || load_factor(d->b, m, fds, &c->b, e) < 0)
		return e->code;
	c->held = d;
	return 0;
}

void lora_cache_release(struct lora_cache *c)
{
	free(c->a);
	free(c->b);
	*c = (struct lora_cache){ NULL, NULL, NULL };
}

void lora_add(const struct lora_cache *c, uint64_t row, uint64_t col, float *x, size_t n)
{
	const struct lora_delta *d = c->held;
	uint64_t rank = d->a->shape[0], in = d->a->shape[1];

	for (uint64_t k = 0; k < rank; k++) {
		/* Element (row, col + i) is B[row][k] A[k][col + i], or the other way round. */
		if (!d->turned) {
			const float *a = c->a + k * in + col;
			float b = d->scale * c->b[row * rank + k];

			for (size_t i = 0; i < n; i++)
				x[i] += b * a[i];
		} else {
			const float *b = c->b + col * rank + k;
			float a = d->scale * c->a[k * in + row];

			for (size_t i = 0; i < n; i++)
				x[i] += a * b[i * rank];
		}
	}
}
