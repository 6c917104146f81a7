/* tests/unit/upload_test.h -- each test of the uploader in a work folder of its own, and what
 * stands on the hub after it. */
#ifndef QUERN_TESTS_UPLOAD_TEST_H
#define QUERN_TESTS_UPLOAD_TEST_H

#include "upload_fixture.h"

struct upload_test {
	char work[64];
	struct upload_fixture f;
};

int upload_setup(void **state);
int upload_teardown(void **state);
#define UPLOAD_TEST(f) cmocka_unit_test_setup_teardown(f, upload_setup, upload_teardown)

/* Three variants: two of one file, and one of a folder. */
extern const struct fixture_job fixture_q8, fixture_q4, fixture_folder;

size_t fixture_list(struct upload_fixture *f, struct hub_file **files);
const struct hub_file *fixture_find(struct upload_fixture *f,
				    const char *path); /* NULL: not there */
void fixture_published(struct upload_fixture *f, const char *path, const char *content);
const char *fixture_text(struct upload_fixture *f, const char *path);

#endif
