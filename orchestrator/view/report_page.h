/* orchestrator/view/report_page.h -- between the files that write the page. */
#ifndef QUERN_ORCHESTRATOR_REPORT_PAGE_H
#define QUERN_ORCHESTRATOR_REPORT_PAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "core/arena.h"
#include "core/buf.h"

struct report;
struct report_job;

#define PAGE_LISTED                                                                                \
	500 /* jobs that the page lists without its script; those that are not done first */

/* Foreign text: control characters visible, markup escaped; for content and quoted attributes. */
void page_text(struct buf *b, const char *s);
/* "1.4 GiB", "2h 05m"; in a. */
const char *page_size(struct arena *a, int64_t bytes);
const char *page_duration(struct arena *a, int64_t ms);
/* <section> with its heading, and the table within it that scrolls by itself. caption may be NULL.
 */
void page_section(struct buf *b, const char *id, const char *heading);
void page_table(struct buf *b, const char *class, const char *label);
void page_table_end(struct buf *b);
void page_section_end(struct buf *b);

/* To a job: its details with the script, its row in the list of all without. */
void page_job_link(struct buf *b, const struct report *r, int64_t id);
/* Opening tag of a link that looks like a job's, for those that have a job at hand. */
void page_job_anchor(struct buf *b, const struct report_job *j);

/* report_grid.c: models by variants. */
void page_grid(const struct report *r, struct arena *a, struct buf *b);
/* report_lists.c */
void page_longest(const struct report *r, struct arena *a, struct buf *b);
void page_nights(const struct report *r, struct arena *a, struct buf *b);
void page_jobs(const struct report *r, struct arena *a, struct buf *b);
/* report_quality.c: how far each file is from its checkpoint; report_scatter.c: against its size,
 * one drawing a model. */
void page_quality(const struct report *r, struct arena *a, struct buf *b);
void page_scatter(const struct report *r, struct arena *a, struct buf *b);
/* report_timeline.c: when each attempt of the run went on, one lane above the other, as an SVG. */
/* report_measured.c: how fast artifacts run, where they were tried. */
void page_measured(const struct report *r, struct buf *b);
void page_timeline(const struct report *r, struct arena *a, struct buf *b);
/* report_data.c: what the script shows of each job, as JSON that cannot end its element. */
void page_data(const struct report *r, struct arena *a, struct buf *b);

#endif
