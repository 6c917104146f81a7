/* orchestrator/view/screen.h -- a terminal as rows of text that are drawn again where they changed:
 * over a slow line a look that shows nothing new costs nothing. The other screen of the terminal is
 * used, and given back at any end: a return, a signal that ends us, a fault. One at a time.
 * docs/adr/0024 says why this is no library. */
#ifndef QUERN_ORCHESTRATOR_SCREEN_H
#define QUERN_ORCHESTRATOR_SCREEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SCREEN_ROWS_MAX 300
#define SCREEN_COLUMNS_MAX 500

enum key {
	KEY_NONE = 0,
	/* a byte of its own up to 255; then: */
	KEY_UP = 256,
	KEY_DOWN,
	KEY_PAGE_UP,
	KEY_PAGE_DOWN,
	KEY_HOME,
	KEY_END,
	KEY_ESCAPE,
	KEY_CLOSED, /* the keyboard is gone */
};
#define KEY_ENTER '\r'
#define KEY_BACKSPACE 127

struct screen;

/* stdout and stdin are a terminal's. */
struct screen *screen_open(void);
/* The terminal is as it was. NULL is fine. */
void screen_close(struct screen *s);
/* For SIGTSTP: give the terminal back, and take it again. */
void screen_suspend(struct screen *s);
void screen_resume(struct screen *s);

/* Its size now; after a change everything is drawn again. */
void screen_size(struct screen *s, int *rows, int *columns);
/* Row 0 is the top one. text may hold the styles of cli_style(); it is cut to the width. Rows that
 * are not set until the next screen_show() are empty. */
void screen_set(struct screen *s, int row, const char *text);
/* Draw what differs from what is there. Returns the bytes that were sent. */
size_t screen_show(struct screen *s);

/* What was typed, when poll() says that there is something. At most n keys; returns how many. */
int screen_keys(struct screen *s, int *keys, int n);

#endif
