/* core/log.h -- one line an event, key=value, to stderr; called by commands and
 * the scheduler only (modules return errors). Values are quoted when they hold
 * a space, '"' or '='; control characters are shown as \xNN. */
#ifndef QUERN_CORE_LOG_H
#define QUERN_CORE_LOG_H

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

void log_set_level(enum log_level level); /* default LOG_INFO */
/* log_line(LOG_WARN, "retry", "job=%lld cause=%s", ...): time, level and event come first. */
void log_line(enum log_level level, const char *event, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* Copy s into out with control characters and escapes made visible: for foreign text on a
 * terminal. Valid UTF-8 stays. Always terminated. */
void text_visible(const char *s, char *out, unsigned size);

#endif
