/* test_sql: every statement of queries.sql is one, uses an index where rows are many, and
 * docs/schema.md says what is true: each of its queries is run by the sqlite3 command. */
#include "store_helper.h"

#include <sys/wait.h>

#include "core/buf.h"
#include "core/path.h"
#include "db/store_private.h"

#define DB "sql.db"

static int setup(void **state)
{
	*state = new_store(DB);
	return 0;
}

static int teardown(void **state)
{
	store_close(*state);
	return 0;
}

static void test_every_statement_prepares(void **state)
{
	struct err e = ERR_INIT;

	for (int q = 0; q < Q_COUNT; q++)
		if (!store_query(*state, (enum store_query)q, &e))
			fail_msg("%s", e.msg);
}

/* Statements that may read all of a large table, and why. */
static int may_scan(const char *name)
{
	/* Counts all, in an index that holds no more than that; and sums for monitoring, which a
	 * pool thread asks for once a minute. */
	return strcmp(name, "JOB_COUNTS") == 0 || strcmp(name, "METRIC_ATTEMPTS") == 0 ||
	       strcmp(name, "METRIC_BYTES") == 0 ||
	       strcmp(name, "ATTEMPTS_LEFT") == 0; /* an index of what has not ended */
}

static int is_scan(const char *detail)
{
	static const char *const large[] = { "SCAN job",      "SCAN event",    "SCAN attempt",
					     "SCAN artifact", "SCAN upload",   "SCAN file_hash",
					     "SCAN sample",   "SCAN measured", "SCAN measurement" };

	for (size_t i = 0; i < sizeof(large) / sizeof(large[0]); i++) {
		size_t n = strlen(large[i]);

		if (strncmp(detail, large[i], n) == 0 && (detail[n] == '\0' || detail[n] == ' '))
			return 1;
	}
	return 0;
}

static void check_plan(struct store *s, enum store_query q)
{
	char *sql = sqlite3_mprintf("EXPLAIN QUERY PLAN %s", store_query_sql(q));
	sqlite3_stmt *st = NULL;

	assert_int_equal(sqlite3_prepare_v2(s->db, sql, -1, &st, NULL), SQLITE_OK);
	while (sqlite3_step(st) == SQLITE_ROW) {
		const char *detail = (const char *)sqlite3_column_text(st, 3);

		if (is_scan(detail) && !may_scan(store_query_name(q)))
			fail_msg("%s: %s", store_query_name(q), detail);
	}
	(void)sqlite3_finalize(st);
	sqlite3_free(sql);
}

static void test_no_statement_reads_all_rows(void **state)
{
	for (int q = 0; q < Q_COUNT; q++)
		check_plan(*state, (enum store_query)q);
	assert_true(is_scan("SCAN job")); /* the check itself sees one */
	assert_true(is_scan("SCAN event USING INDEX x"));
	assert_false(is_scan("SEARCH job USING INDEX job_by_key (<expr>=?)"));
}

/* The scheduler asks for this again and again: no sorting of what never waited. */
static void test_candidates_come_in_order_of_the_index(void **state)
{
	struct store *s = *state;
	char *sql = sqlite3_mprintf("EXPLAIN QUERY PLAN %s", store_query_sql(Q_JOB_CANDIDATES));
	sqlite3_stmt *st = NULL;
	int sorts = 0, covering = 0;

	assert_int_equal(sqlite3_prepare_v2(s->db, sql, -1, &st, NULL), SQLITE_OK);
	while (sqlite3_step(st) == SQLITE_ROW) {
		const char *detail = (const char *)sqlite3_column_text(st, 3);

		sorts += strstr(detail, "TEMP B-TREE") != NULL;
		covering += strstr(detail, "USING COVERING INDEX job_by_state") != NULL;
	}
	assert_int_equal(covering, 2);
	assert_int_equal(sorts, 1); /* those whose wait is over */
	(void)sqlite3_finalize(st);
	sqlite3_free(sql);
}

static void test_table_of_states(void **state)
{
	struct store *s = *state;
	sqlite3_stmt *st = NULL;
	int n = 0;

	assert_int_equal(sqlite3_prepare_v2(s->db, "SELECT id, name, is_end FROM state ORDER BY id",
					    -1, &st, NULL),
			 SQLITE_OK);
	for (; sqlite3_step(st) == SQLITE_ROW; n++) {
		assert_int_equal(sqlite3_column_int(st, 0), n);
		assert_string_equal(sqlite3_column_text(st, 1), job_state_name((enum job_state)n));
		assert_int_equal(sqlite3_column_int(st, 2), job_state_is_end((enum job_state)n));
	}
	assert_int_equal(n, JOB_STATE_COUNT);
	(void)sqlite3_finalize(st);
}

/* Only the store speaks SQLite, and through one header; beside it what makes SQLite's calls fail in
 * tests. */
static void test_one_header_includes_sqlite(void **state)
{
	char line[512];
	int n = 0;
	FILE *p = popen("cd '" SOURCE_DIR "' && grep -rl --include='*.[ch]' --exclude-dir=sim "
			"--exclude=fault_vfs.c '^#include .sqlite3[.]h.' "
			"core db orchestrator upload workers tests",
			"r");

	(void)state;
	assert_non_null(p);
	while (fgets(line, sizeof(line), p)) {
		assert_string_equal(line, "db/store_private.h\n");
		n++;
	}
	assert_int_equal(n, 1);
	(void)pclose(p);
}

/* ---- docs/schema.md */

static void read_document(const char *path, struct buf *doc)
{
	struct err e = ERR_INIT;

	buf_init(doc, 1 << 20);
	OK(path_read(path, 1 << 20, doc, &e));
}

/* Each table and view has its name in a heading, each of its columns stands in backquotes after it.
 */
static void test_document_names_everything(void **state)
{
	struct store *s = *state;
	sqlite3_stmt *st = NULL;
	struct buf doc;
	char text[128];
	int n = 0;

	read_document(SOURCE_DIR "/docs/schema.md", &doc);
	assert_int_equal(sqlite3_prepare_v2(
				 s->db,
				 "SELECT m.name, c.name FROM sqlite_schema m, "
				 "pragma_table_info(m.name) c "
				 "WHERE m.type IN ('table', 'view') AND m.name NOT LIKE 'sqlite%'",
				 -1, &st, NULL),
			 SQLITE_OK);
	for (; sqlite3_step(st) == SQLITE_ROW; n++) {
		const char *section, *end, *found;

		(void)snprintf(text, sizeof(text), "\n### %s\n", sqlite3_column_text(st, 0));
		section = strstr(doc.data, text);
		if (!section) {
			fail_msg("docs/schema.md has no section %s", text + 5);
			return;
		}
		end = strstr(section + 1, "\n##");
		(void)snprintf(text, sizeof(text), "`%s`", sqlite3_column_text(st, 1));
		found = strstr(section, text);
		if (!found || (end && found > end))
			fail_msg("docs/schema.md does not explain %s of %s", text,
				 sqlite3_column_text(st, 0));
	}
	assert_true(n > 100);
	(void)sqlite3_finalize(st);
	buf_release(&doc);
}

/* The command prints rows; anything else, also nothing, is a failure. */
static void run_block(const char *sql, size_t n)
{
	struct err e = ERR_INIT;
	char line[512];
	int rows = 0, status;
	FILE *p;

	OK(path_write("block.sql", sql, n, 0644, &e));
	p = popen("sqlite3 -readonly -batch -bail " DB " < block.sql 2>&1", "r");
	assert_non_null(p);
	while (fgets(line, sizeof(line), p))
		rows++;
	status = pclose(p);
	if (status != 0 || rows == 0)
		fail_msg("status %d, %d lines, last \"%s\" of:\n%.*s", status, rows,
			 rows ? line : "", (int)n, sql);
}

/* What a store of those days could not have. */
static void add_measurement(struct store *s)
{
	struct measurement_row row = { .job_id = 1,
				       .stage = "serve",
				       .settings = "0",
				       .kind = "serve",
				       .started_ms = 1700000000000,
				       .ended_ms = 1700000001000,
				       .state = "done",
				       .result = "{\"rows\":[{\"prompt\":\"short\",\"ttft_ms\":"
						 "{\"median\":5.5}}]}" };
	struct err e = ERR_INIT;

	OK(store_measure_begin(s, &row, &row.id, &e));
	assert_int_equal(store_measure_end(s, &row, &e), 1);
	assert_int_equal(store_measure_end(s, &row, &e), 0); /* once */
}

static int run_blocks(const char *path)
{
	static const char open_mark[] = "\n```sql\n", close_mark[] = "\n```";
	struct buf doc;
	int n = 0;

	read_document(path, &doc);
	for (const char *p = doc.data; (p = strstr(p, open_mark)); n++) {
		const char *end = strstr(p + sizeof(open_mark) - 1, close_mark);

		assert_non_null(end);
		p += sizeof(open_mark) - 1;
		run_block(p, (size_t)(end - p));
	}
	buf_release(&doc);
	return n;
}

static void test_queries_of_the_documents_run(void **state)
{
	struct err e = ERR_INIT;
	struct store *s;

	(void)state;
	if (system("command -v sqlite3 > /dev/null") != 0) {
		print_message("the sqlite3 command is not installed\n");
		skip();
	}
	remove_database(DB);
	OK(path_copy(TEST_DATA "/old-databases/schema-1.db", DB, 0644, &e));
	s = open_store(DB); /* brings it up to date */
	add_measurement(s);
	store_close(s);
	assert_true(run_blocks(SOURCE_DIR "/docs/schema.md") >= 8);
	assert_true(run_blocks(SOURCE_DIR "/docs/operations.md") >= 6);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_every_statement_prepares),
		TEST(test_no_statement_reads_all_rows),
		TEST(test_candidates_come_in_order_of_the_index),
		TEST(test_table_of_states),
		cmocka_unit_test(test_one_header_includes_sqlite),
		TEST(test_document_names_everything),
		cmocka_unit_test(test_queries_of_the_documents_run),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
