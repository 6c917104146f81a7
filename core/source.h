/* core/source.h -- a model's folder as the other parts see it: which files
 * count, what is in them, and one hash over it. Files that count: config.json,
 * generation_config.json, tokenizer and template files, safetensors and their
 * index, *.gguf, imatrix.dat, README.md, LICENSE; *.rkllm when one is named. Pickles (*.bin *.pt
 * *.pth *.ckpt *.pkl) never. */
#ifndef QUERN_CORE_SOURCE_H
#define QUERN_CORE_SOURCE_H

#include <stddef.h>
#include <stdint.h>

#include "core/arena.h"
#include "core/err.h"
#include "core/source_quant.h"

struct source_file {
	const char *name; /* relative, path_relative_ok() */
	const char *path; /* absolute, links resolved */
	uint64_t size_bytes;
	int64_t mtime_ns, ctime_ns;
	uint64_t inode, device;
};

struct source_files {
	struct source_file *v; /* sorted by name */
	size_t n;
};

/* The one folder of a model that counts: chat templates by name, NAME.jinja in it (transformers,
 * utils/hub.py, CHAT_TEMPLATE_DIR). */
#define SOURCE_TEMPLATES "additional_chat_templates"
/* True for the name of a file there. */
int source_is_template(const char *name);

/* A converted model of an engine (*.rkllm), which is a source when it is asked for by its name: to
 * be renewed. Nothing but its name and size is known of it. */
int source_is_finished(const char *name);

/* Python of the checkpoint (*.py). It is part of a model only when the user trusts it: see
 * source_list_code(). */
int source_is_code(const char *name);

/* True when a file of this name is part of a model for us; also what a download takes. Names are
 * relative to the model's folder. */
int source_wanted(const char *name);

/* With a GGUF file chosen as the model: the file itself and its other parts, importances (imatrix*)
 * and what describes it, but no other weights. A finished file stands alone. file NULL: everything
 * but those. */
int source_belongs(const char *name, const char *file);

/* List dir and the folder of templates in it. A symbolic link must end in a regular file inside dir
 * or in the "blobs" folder of the Hub cache that dir is a snapshot of (../../blobs); anything else
 * is ERR_INVALID and says so. */
int source_list(struct arena *a, const char *dir, struct source_files *out, struct err *e);
/* And the checkpoint's code. */
int source_list_code(struct arena *a, const char *dir, struct source_files *out, struct err *e);

/* Linear layers of one shape: projections of attention and feed-forward, experts, the output. Not
 * embeddings, positions, routers and norms. */
struct source_matrix {
	const char *name; /* the first of them, by name of tensor */
	uint64_t out, in; /* weights: out rows of in */
	uint64_t count;	  /* how many there are, each expert counted */
};

/* What plan and cards need to know of a model; from config.json and tensor headers alone. Sizes are
 * those of the weights that a quantized checkpoint stands for, but size_bytes and
 * largest_tensor_bytes, which are what is in the files. */
struct source_facts {
	const char *architecture; /* config.json architectures[0]; GGUF: general.architecture */
	const char *model_type;
	const char *dtype;	/* of most weights: "BF16", "I32"; GGUF: "Q4_K" */
	const char *format;	/* "safetensors", "gguf"; of a finished file "rkllm" */
	const char *file;	/* the GGUF file, or the first part of it, or the finished one;
				 * NULL: safetensors */
	const char *quant_form; /* struct source_quant's form; "gguf": blocks of one of its types;
				 * NULL: floats */
	const char *quant_text; /* for a person, "GPTQ, 4 bits, groups of 128"; NULL: floats */
	int quant_bits;		/* these four as in struct source_quant */
	int64_t quant_group;
	int quant_symmetric, quant_desc_act;
	const char *tensor_types; /* GGUF: all of them, "F16 F32 Q4_0"; NULL: safetensors */
	int remote_code; /* config.json or tokenizer_config.json has auto_map: Python of the
			    checkpoint is to be run */
	const struct source_matrix *matrices; /* by out, then in */
	size_t n_matrices;
	const char *license;	/* README.md front matter; NULL if none */
	uint64_t params;	/* all elements */
	uint64_t matrix_params; /* elements of tensors with two or more dimensions */
	uint64_t vector_params; /* the rest */
	uint64_t size_bytes;	/* of tensor data */
	uint64_t largest_tensor_bytes;
	uint64_t n_tensors;
	uint64_t max_row; /* longest row (elements) of a matrix */
	uint64_t
		tokenizer_bytes; /* size of tokenizer.json, or of tokenizer.model, or as metadata */
};

/* Of the safetensors when there are some, else of the only GGUF model of the folder. ERR_INVALID
 * lists them when there are several. */
int source_read_facts(struct arena *a, const char *dir, struct source_facts *out, struct err *e);
/* The same of a GGUF file by its name, or of the folder when file is NULL. */
int source_read_file_facts(struct arena *a, const char *dir, const char *file,
			   struct source_facts *out, struct err *e);

/* The GGUF models of a folder: parts of a split file count once, by the first; files of projectors
 * (mmproj*) and importances (imatrix*) do not. Names in a, sorted. */
const char **source_gguf_files(struct arena *a, const struct source_files *files, size_t *n);

/* source_matrices.c: shapes while tensors are looked at. */
struct matrix_list {
	struct source_matrix *v;
	size_t n, cap;
};

/* Take note of a tensor, of either format; those that are no linear layer are passed over. parts:
 * how many matrices of out x in it holds (GPT-2, which stores them turned, as stored). The name is
 * not copied. */
void matrix_list_add(struct matrix_list *l, const char *name, uint64_t out, uint64_t in,
		     uint64_t parts);
/* One entry a shape, into a; frees the list. */
void matrix_list_finish(struct arena *a, struct matrix_list *l, struct source_facts *f);

/* The member "matrices" of facts as JSON: a list of [name, out, in, count]. Reading takes what
 * makes sense of it. */
void source_matrices_write(struct json_out *w, const struct source_facts *f);
void source_matrices_read(struct arena *a, const struct json *facts, struct source_facts *f);

#endif
