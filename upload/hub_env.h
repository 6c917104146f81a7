/* upload/hub_env.h -- what the environment says about hubs, read as the official
 * Python client reads it (huggingface_hub constants.py, utils/_auth.py). */
#ifndef QUERN_UPLOAD_HUB_ENV_H
#define QUERN_UPLOAD_HUB_ENV_H

#include <stdbool.h>

#include "core/err.h"

struct hub_env {
	char *endpoint;	  /* HF_ENDPOINT, else https://huggingface.co; no slash at the end */
	char *token;	  /* HF_TOKEN, HUGGING_FACE_HUB_TOKEN, else the token file; NULL: none */
	char *token_path; /* HF_TOKEN_PATH, else HF_HOME/token */
	char *home;	  /* HF_HOME, else ${XDG_CACHE_HOME:-~/.cache}/huggingface */
	char *cache;	  /* HF_HUB_CACHE, HUGGINGFACE_HUB_CACHE, else HF_HOME/hub */
	bool offline;	  /* HF_HUB_OFFLINE or TRANSFORMERS_OFFLINE */
	unsigned stall_s; /* HF_HUB_DOWNLOAD_TIMEOUT; 0: our own */
};

/* ERR_INVALID: HF_ENDPOINT is no URL, HF_HUB_DOWNLOAD_TIMEOUT no number; ERR_ENV: no home folder is
 * known; ERR_IO: the token file cannot be read. Paths are absolute. Release always. */
int hub_env_read(struct hub_env *out, struct err *e);
/* The cache alone, without looking for a token. Heap; NULL: no home folder is known. */
char *hub_env_cache(void);
void hub_env_release(struct hub_env *env); /* wipes the token */

/* "1", "on", "yes", "true" in any case. */
bool hub_env_is_true(const char *value);

/* Overwrite the tokens in the environment of this process, which the system shows beside it
 * (/proc/PID/environ): for those that have read them and start nobody who needs them. */
void hub_env_forget(void);
/* A token is in the environment. */
bool hub_env_has_secret(void);

/* No core dump of this process, and no other process of this user may read its memory: for those
 * that hold a token. */
void hub_env_protect(void);

#endif
