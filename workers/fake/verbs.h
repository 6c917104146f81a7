/* workers/fake/verbs.h -- the engine "fake": the worker protocol's verbs. Each
 * returns an exit code, or -1 when it was called wrongly. */
#ifndef QUERN_WORKERS_FAKE_VERBS_H
#define QUERN_WORKERS_FAKE_VERBS_H

int fake_convert(int argc, char **argv);
int fake_validate(int argc, char **argv);

#endif
