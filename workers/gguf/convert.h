/* workers/gguf/convert.h -- the verbs that need a job: convert and validate. */
#ifndef QUERN_WORKERS_GGUF_CONVERT_H
#define QUERN_WORKERS_GGUF_CONVERT_H

/* Both return an exit code of the worker protocol. */
int convert_main(const char *job_path);
int validate_main(const char *job_path);

#endif
