/* core/err.h -- the error value. A function that can fail returns 0 or more on
 * success and a negative err_code on failure, and has written one sentence for
 * a person into the struct err its caller passed. Code picks the reaction by
 * the number, never by the text. */
#ifndef QUERN_CORE_ERR_H
#define QUERN_CORE_ERR_H

#include <stdarg.h>

enum err_code {
	ERR_INVALID = -1,   /* the input is wrong: fix it, trying again is no use */
	ERR_NOTFOUND = -2,  /* what was named does not exist */
	ERR_BUSY = -3,	    /* somebody else holds it: try again later */
	ERR_IO = -4,	    /* the operating system refused */
	ERR_CORRUPT = -5,   /* our own data is damaged */
	ERR_NOSPACE = -6,   /* no room on the device, or over a limit of ours */
	ERR_ENV = -7,	    /* this machine lacks something; the text says what */
	ERR_CONFLICT = -8,  /* another writer was first (compare-and-swap failed) */
	ERR_CANCELLED = -9, /* stopped on request */
};

#define ERR_MSG_MAX 1024

struct err {
	int code;
	char msg[ERR_MSG_MAX]; /* always terminated; too long a text is cut on a UTF-8 boundary */
};

#define ERR_INIT                                                                                   \
	{                                                                                          \
		0, ""                                                                              \
	}

/* Set code and text; returns code, so that `return err_set(...)` reads well. e may be NULL. */
int err_set(struct err *e, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
int err_setv(struct err *e, int code, const char *fmt, va_list ap)
	__attribute__((format(printf, 3, 0)));

/* Put "context: " in front of the text; returns the code already there (ERR_IO when e is NULL). */
int err_wrap(struct err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Set from errno: "<context>: <strerror>". ENOSPC/EDQUOT give ERR_NOSPACE, ENOENT ERR_NOTFOUND,
 * everything else ERR_IO. errno is read first. */
int err_errno(struct err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* The constant's name in lower case, "invalid", "io" ...; for logs and JSON. */
const char *err_name(int code);

#endif
