#include "orchestrator/view/watch_list.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/log.h"
#include "core/mem.h"
#include "core/units.h"
#include "orchestrator/cli.h"
#include "orchestrator/command/store_command.h"
#include "orchestrator/host/workdir.h"
#include "orchestrator/view/table.h"

#define LOG_TAIL (128u << 10) /* bytes of a log that are looked at */
#define TEXT_MAX 2048

void watch_list_init(struct watch_list *l, struct store *s, const char *work)
{
	memset(l, 0, sizeof(*l));
	l->store = s;
	l->work = work;
	l->a = arena_new();
}

void watch_list_release(struct watch_list *l)
{
	arena_free(l->a);
}

/* ---- loading */

static const char *visible(struct arena *a, const char *s)
{
	char text[TEXT_MAX];

	text_visible(s, text, sizeof(text));
	return arena_strdup(a, text);
}

static bool contains(const char *text, const char *wanted)
{
	return !wanted[0] || strcasestr(text, wanted) != NULL;
}

static void add(struct watch_list *l, const struct watch_job *j)
{
	if (!contains(j->label, l->filter) && !contains(j->detail, l->filter) &&
	    !contains(job_state_name(j->state), l->filter))
		return;
	if (l->n == WATCH_ROWS_MAX) {
		l->more = true;
		return;
	}
	l->jobs[l->n++] = *j;
}

/* "layer 3  42%  1.2 GiB/s  3m left" */
static const char *progress(struct watch_list *l, const struct status_job *j)
{
	char done[16] = "", rate[48] = "", left[48] = "", text[32];

	if (j->total > 0)
		snprintf(done, sizeof(done), " %3d%%",
			 (int)(100.0 * (double)j->done / (double)j->total));
	if (j->rate > 0 && strcmp(j->unit, "bytes") == 0) {
		units_format_size((uint64_t)j->rate, text, sizeof(text));
		snprintf(rate, sizeof(rate), "  %s/s", text);
	}
	if (j->left_ms >= 0) {
		units_format_duration(j->left_ms, text, sizeof(text));
		snprintf(left, sizeof(left), "  %s left", text);
	}
	return visible(l->a, arena_printf(l->a, "%s%s%s%s", j->stage[0] ? j->stage : "started",
					  done, rate, left));
}

static void add_active(struct watch_list *l, const struct status *st)
{
	for (int i = 0; i < st->n_active; i++) {
		const struct status_job *j = &st->active[i];
		struct watch_job row = { .id = j->id,
					 .state = j->state,
					 .attempt = j->attempt,
					 .label = visible(l->a, j->label),
					 .detail = j->state == JOB_RUNNING ? progress(l, j) : "" };

		memcpy(row.key, j->key, SHA256_LEN);
		add(l, &row);
	}
}

static int add_row(void *ctx, const struct job_row *j, struct err *e)
{
	struct watch_list *l = ctx;
	struct watch_job row = { .id = j->id, .state = j->state, .attempt = j->tries };

	(void)e;
	if (l->more)
		return 0;
	memcpy(row.key, j->key, SHA256_LEN);
	row.label = visible(l->a, j->label);
	row.detail = j->message[0]
			     ? visible(l->a, arena_printf(l->a, "%s: %s", j->cause, j->message))
			     : "";
	add(l, &row);
	return 0;
}

int watch_list_load(struct watch_list *l, const struct status *st, struct err *e)
{
	struct job_filter f = { .run_id = st->all ? 0 : st->run.id,
				.state = l->what == WATCH_ALL ? -1 : (int)JOB_FAILED };

	arena_reset(l->a);
	l->jobs = arena_array(l->a, WATCH_ROWS_MAX, sizeof(*l->jobs));
	l->n = 0;
	l->more = false;
	if (l->what == WATCH_NOW)
		add_active(l, st);
	return store_job_each(l->store, &f, add_row, l, e);
}

/* ---- the list */

static size_t chosen_index(const struct watch_list *l)
{
	for (size_t i = 0; i < l->n; i++) {
		if (l->jobs[i].id == l->chosen)
			return i;
	}
	return 0;
}

void watch_list_move(struct watch_list *l, int by)
{
	size_t at = chosen_index(l);

	if (l->log_id) {
		if (by < 0)
			l->log_back += (size_t) - (long)by;
		else
			l->log_back -= (size_t)by < l->log_back ? (size_t)by : l->log_back;
		return;
	}
	if (!l->n)
		return;
	if (by < 0)
		at -= (size_t) - (long)by < at ? (size_t) - (long)by : at;
	else
		at = (size_t)by < l->n - 1 - at ? at + (size_t)by : l->n - 1;
	l->chosen = l->jobs[at].id;
}

/* Text in exactly so many cells. */
static void add_cell(FILE *f, const char *text, size_t width)
{
	size_t used = text_width(text);

	text_print_cut(f, text, width);
	for (; used < width; used++)
		fputc(' ', f);
}

static void draw_job(const struct watch_job *j, bool chosen, struct screen *s, int row, int columns)
{
	size_t width = columns > 24 ? (size_t)columns - 22 : 8;
	size_t label = j->detail[0] ? width / 2 : width;
	char *line = NULL;
	size_t size = 0;
	FILE *f = open_memstream(&line, &size);

	if (!f)
		return;
	fprintf(f, "%s%s%7lld ", chosen ? cli_style(stdout, STYLE_BOLD) : "", chosen ? ">" : " ",
		(long long)j->id);
	fprintf(f, "%s%-10s%s ", cli_style(stdout, state_style(j->state)), job_state_name(j->state),
		cli_style(stdout, STYLE_PLAIN));
	if (chosen)
		fputs(cli_style(stdout, STYLE_BOLD), f);
	add_cell(f, j->label, label);
	fprintf(f, "%s %s", cli_style(stdout, STYLE_PLAIN), j->detail);
	fclose(f);
	screen_set(s, row, line);
	free(line);
}

static void draw_jobs(struct watch_list *l, struct screen *s, int from, int to, int columns)
{
	size_t at = chosen_index(l), height = to > from ? (size_t)(to - from) : 1;

	if (at < l->top)
		l->top = at;
	if (at >= l->top + height)
		l->top = at - height + 1;
	if (l->top + height > l->n)
		l->top = l->n > height ? l->n - height : 0;
	for (size_t i = l->top; i < l->n && i < l->top + height; i++)
		draw_job(&l->jobs[i], i == at, s, from + (int)(i - l->top), columns);
	if (!l->n)
		screen_set(s, from,
			   l->filter[0] ? "        no job fits the filter"
					: "        nothing to show");
}

/* ---- a log */

/* The end of the open log, in a; "" while there is none. */
static char *read_tail(const struct watch_list *l, const uint8_t key[SHA256_LEN], struct arena *a)
{
	const char *path = arena_printf(a, "%s/log", workdir_job(a, l->work, key, l->log_attempt));
	char *text = arena_alloc(a, LOG_TAIL + 1);
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	struct stat st;
	ssize_t n = 0;

	if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
		n = pread(fd, text, LOG_TAIL, st.st_size > LOG_TAIL ? st.st_size - LOG_TAIL : 0);
	if (fd >= 0)
		close(fd);
	text[n > 0 ? n : 0] = '\0';
	for (ssize_t i = 0; i < n; i++) {
		if (text[i] == '\0' || text[i] == '\r')
			text[i] = ' ';
	}
	return text;
}

static void draw_log(struct watch_list *l, struct screen *s, int from, int to)
{
	struct arena *a = arena_new();
	struct err ignored = ERR_INIT;
	size_t height = to > from ? (size_t)(to - from) : 1, n = 0, first;
	const char **lines = arena_array(a, LOG_TAIL + 1, sizeof(*lines));
	struct job_row row;
	char *text = NULL, *at;

	if (store_job_get(l->store, l->log_id, a, &row, &ignored) >= 0)
		text = read_tail(l, row.key, a);
	for (char *line = text ? strtok_r(text, "\n", &at) : NULL; line;
	     line = strtok_r(NULL, "\n", &at))
		lines[n++] = line;
	if (l->log_back + height > n)
		l->log_back = n > height ? n - height : 0;
	first = n > height + l->log_back ? n - height - l->log_back : 0;
	for (size_t i = first; i < n && i < first + height; i++)
		screen_set(s, from + (int)(i - first), visible(a, lines[i]));
	if (!n)
		screen_set(s, from, "it has written nothing yet");
	arena_free(a);
}

bool watch_list_open(struct watch_list *l)
{
	const struct watch_job *j = l->n ? &l->jobs[chosen_index(l)] : NULL;

	if (!j || j->attempt == 0)
		return false;
	l->log_id = j->id;
	l->log_attempt = j->attempt;
	l->log_back = 0;
	return true;
}

void watch_list_draw(struct watch_list *l, struct screen *s, int from, int to, int columns)
{
	if (l->log_id)
		draw_log(l, s, from, to);
	else
		draw_jobs(l, s, from, to, columns);
}
