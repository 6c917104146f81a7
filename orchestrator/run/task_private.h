/* orchestrator/run/task_private.h -- between task.c (the job: its row, its folder,
 * its states) and task_worker.c (the process). */
#ifndef QUERN_ORCHESTRATOR_TASK_PRIVATE_H
#define QUERN_ORCHESTRATOR_TASK_PRIVATE_H

#include "orchestrator/run/scheduler_private.h"
#include "orchestrator/run/verdict.h"

/* A verdict with nothing to say, for moves that are good. */
extern const struct verdict no_fault;

/* task.c. Move the job by ev (and end the attempt's row when ends): 1 moved, 0 not, because a
 * person moved it first or the store failed (then the run stops). */
int task_move(struct task *t, enum job_event ev, const struct verdict *v, bool ends);
/* Move to the state that follows from v, say it, free t. */
void task_fail(struct task *t, const struct verdict *v);
/* Parameters of the worker, JSON. From one thread at a time. */
const char *task_with(struct task *t);
/* The output is there and valid: seal it in a pool thread, then ready. */
void task_seal(struct task *t);
void task_free(struct task *t);
/* A person moved the job; its worker has ended: end the attempt, free t. */
void task_cancelled(struct task *t, const struct verdict *v);
/* From sealing.c: t->seal has how it went. */
void task_sealed(struct task *t);

/* sealing.c. Seal its output in a pool thread, together with others; then task_sealed(). */
void sealing_add(struct task *t);

/* task_memory.c. A control group for its worker: the descriptor to enter it by, which is the
 * caller's; 0: none. */
int task_memory_group(struct task *t);
/* Its worker has ended: ask the kernel's log, and watch it no more. */
void task_memory_ended(struct task *t);
/* A bad verdict becomes that of a lack of memory, if that is what it was. */
void task_memory_verdict(struct task *t, struct verdict *v);
/* With the attempt's end, in the same transaction. */
int task_memory_record(struct task *t, bool good, const struct verdict *v, struct err *e);
/* task_folder.c. Bytes that its folder may hold; and whether it holds more, or too many files. */
#define TASK_FILES_MAX 20000
uint64_t task_folder_limit(const struct task *t);
bool task_folder_is_full(const struct task *t);

/* task_worker.c. Start the engine's worker with a verb; its ending continues the task. */
void task_spawn(struct task *t, const char *verb);
/* Watch the worker of a dead run; its ending continues the task. */
void task_reattach(struct task *t);

#endif
