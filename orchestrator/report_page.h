/* orchestrator/report_page.h -- between report_html.c and report_timeline.c. */
#ifndef QUERN_ORCHESTRATOR_REPORT_PAGE_H
#define QUERN_ORCHESTRATOR_REPORT_PAGE_H

#include "core/arena.h"
#include "core/buf.h"

struct report;

/* Foreign text: control characters visible, markup escaped; for content and quoted attributes. */
void page_text(struct buf *b, const char *s);

/* When each attempt of the run went on, one lane above the other, as an SVG. */
void page_timeline(const struct report *r, struct arena *a, struct buf *b);

#endif
