/* workers/gguf/arch_derive.h -- numbers of single architectures that follow from
 * others, and refusals of what llama.cpp does not compute: it has some numbers of
 * some architectures in its code and not in the file. */
#ifndef QUERN_WORKERS_GGUF_ARCH_DERIVE_H
#define QUERN_WORKERS_GGUF_ARCH_DERIVE_H

struct err;
struct hparams;
struct json;

int derive_llama(const struct json *config, struct hparams *h, struct err *e);
int derive_smollm3(const struct json *config, struct hparams *h, struct err *e);
int derive_qwen(const struct json *config, struct hparams *h, struct err *e);
int derive_qwen2moe(const struct json *config, struct hparams *h, struct err *e);
int derive_qwen3moe(const struct json *config, struct hparams *h, struct err *e);
int derive_gemma(const struct json *config, struct hparams *h, struct err *e);
int derive_gemma2(const struct json *config, struct hparams *h, struct err *e);
int derive_gemma3(const struct json *config, struct hparams *h, struct err *e);
int derive_partial(const struct json *config, struct hparams *h, struct err *e);
int derive_phi3(const struct json *config, struct hparams *h, struct err *e);
int derive_minicpm(const struct json *config, struct hparams *h, struct err *e);
int derive_minicpm3(const struct json *config, struct hparams *h, struct err *e);
int derive_deepseek(const struct json *config, struct hparams *h, struct err *e);
int derive_chatglm(const struct json *config, struct hparams *h, struct err *e);
int derive_gpt2(const struct json *config, struct hparams *h, struct err *e);
int derive_falcon(const struct json *config, struct hparams *h, struct err *e);
int derive_telechat(const struct json *config, struct hparams *h, struct err *e);

#endif
