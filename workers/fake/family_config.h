/* workers/fake/family_config.h -- what one family's config.json has beyond the members of
 * all. Each writes into an object that is open. */
#ifndef QUERN_WORKERS_FAKE_FAMILY_CONFIG_H
#define QUERN_WORKERS_FAKE_FAMILY_CONFIG_H

struct fake_spec;
struct json_out;

void fake_config_llama(struct json_out *w, const struct fake_spec *s);
void fake_config_qwen2(struct json_out *w, const struct fake_spec *s);
void fake_config_rms(struct json_out *w, const struct fake_spec *s);
void fake_config_mixtral(struct json_out *w, const struct fake_spec *s);
void fake_config_qwen_moe(struct json_out *w, const struct fake_spec *s);
void fake_config_gemma(struct json_out *w, const struct fake_spec *s);
void fake_config_gemma2(struct json_out *w, const struct fake_spec *s);
void fake_config_gemma3(struct json_out *w, const struct fake_spec *s);
void fake_config_phi2(struct json_out *w, const struct fake_spec *s);
void fake_config_phi3(struct json_out *w, const struct fake_spec *s);
void fake_config_minicpm(struct json_out *w, const struct fake_spec *s);
void fake_config_minicpm3(struct json_out *w, const struct fake_spec *s);
void fake_config_deepseek(struct json_out *w, const struct fake_spec *s);
void fake_config_granite(struct json_out *w, const struct fake_spec *s);
void fake_config_smollm3(struct json_out *w, const struct fake_spec *s);
void fake_config_stablelm(struct json_out *w, const struct fake_spec *s);
void fake_config_chatglm(struct json_out *w, const struct fake_spec *s);
void fake_config_gpt2(struct json_out *w, const struct fake_spec *s);
void fake_config_falcon(struct json_out *w, const struct fake_spec *s);
void fake_config_telechat(struct json_out *w, const struct fake_spec *s);

#endif
