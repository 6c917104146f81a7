/* tests/unit/upload_fixture.h -- a work folder with a store, artifacts and a local
 * hub, for tests of the uploader. */
#ifndef QUERN_TESTS_UPLOAD_FIXTURE_H
#define QUERN_TESTS_UPLOAD_FIXTURE_H

#include "core/arena.h"
#include "db/store.h"
#include "upload/hub.h"
#include "upload/uploader.h"

#define FIXTURE_REPO "my-org/kjv"

struct upload_fixture {
	const char *work;
	struct arena *a;
	struct store *store;
	struct hub *hub;
	int64_t run_id;
	struct uploader_options opt;
	struct err e;
};

/* Open WORK/state.db and WORK/hub (made when absent) and begin a run. Failures end the process. */
void fixture_open(struct upload_fixture *f, const char *work);
void fixture_close(struct upload_fixture *f);

struct fixture_job {
	const char *quant, *version; /* of the engine */
	const char *file;	     /* base name */
	const char *names[3];	     /* of the artifact's files; NULL ends them */
	const char *contents[3];
	const char *facts; /* NULL: the worker confirms quant, hybrid and opt */
};

/* A job with its artifact, ready; known ones are marked as part of this run. Returns its id. */
int64_t fixture_job(struct upload_fixture *f, const struct fixture_job *j);
/* Path of one of its files. */
const char *fixture_artifact(struct upload_fixture *f, int64_t job_id, const char *name);
enum job_state fixture_state(struct upload_fixture *f, int64_t job_id);
int fixture_upload(struct upload_fixture *f, struct uploader_result *res);

#endif
