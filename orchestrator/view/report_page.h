/* orchestrator/view/report_page.h -- between the files that write the page. */
#ifndef QUERN_ORCHESTRATOR_REPORT_PAGE_H
#define QUERN_ORCHESTRATOR_REPORT_PAGE_H

#include <stdint.h>

#include "core/arena.h"
#include "core/buf.h"

struct report;

/* Foreign text: control characters visible, markup escaped; for content and quoted attributes. */
void page_text(struct buf *b, const char *s);

/* To a job's row in the list of all, where it has one. */
void page_job_link(struct buf *b, const struct report *r, int64_t id);

/* report_quality.c: how far each file is from its checkpoint. */
void page_quality(const struct report *r, struct buf *b);

/* report_measured.c: how fast artifacts run, where they were tried. */
void page_measured(const struct report *r, struct buf *b);

/* When each attempt of the run went on, one lane above the other, as an SVG. */
void page_timeline(const struct report *r, struct arena *a, struct buf *b);

#endif
