#include "upload/gitrepo_remote.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/log.h"
#include "core/mem.h"
#include "upload/gitrepo_private.h"
#include "upload/gitrepo_transport.h"

#define SENT_REF "refs/quern/sent" /* what is being pushed; the branch follows the remote */
#define WORDS_MAX 2000		   /* of the server's own, while it works */

struct talk {
	struct gitrepo_talk base; /* first: it is the payload of the transport */
	struct buf words;	  /* "remote: ..." */
	char *refusal;		  /* of the branch; NULL: taken */
};

static int on_words(const char *text, int len, void *payload)
{
	struct talk *t = payload;

	(void)buf_add(&t->words, text, len > 0 ? (size_t)len : 0); /* the first ones count */
	return 0;
}

static int on_update(const char *ref, const char *status, void *payload)
{
	struct talk *t = payload;

	(void)ref;
	free(t->refusal);
	t->refusal = mem_strdup(status);
	return 0;
}

static void set_callbacks(git_remote_callbacks *cb, struct talk *t)
{
	cb->transport = (git_transport_cb)gitrepo_transport;
	cb->sideband_progress = on_words;
	cb->push_update_reference = on_update;
	cb->payload = t;
}

static void talk_init(struct talk *t, const struct gitrepo_remote *r)
{
	memset(t, 0, sizeof(*t));
	t->base.remote = r;
	buf_init(&t->words, WORDS_MAX);
}

static void talk_release(struct talk *t)
{
	buf_release(&t->words);
	free(t->refusal);
}

/* What failed: the request's own sentence, else libgit2's. */
static int explain(const struct talk *t, struct err *e)
{
	if (t->base.err.code < 0) {
		*e = t->base.err;
		return e->code;
	}
	return gitrepo_fail(e, ERR_IO, t->base.remote->about.repo);
}

/* The URL is shown by libgit2 only; our transport knows where to go. */
static int open_remote(struct gitrepo *g, const struct gitrepo_remote *r, git_remote **out,
		       struct err *e)
{
	char *url = mem_printf("%s%s", http_endpoint(r->http), r->path);
	git_remote_create_options opt;
	int rc = 0;

	git_remote_create_options_init(&opt, GIT_REMOTE_CREATE_OPTIONS_VERSION);
	opt.repository = g->repo;
	/* Nothing of the user's configuration has a say in where a token goes; and the look for it
	 * leaks memory in libgit2 1.5. */
	opt.flags = GIT_REMOTE_CREATE_SKIP_INSTEADOF | GIT_REMOTE_CREATE_SKIP_DEFAULT_FETCHSPEC;
	if (git_remote_create_with_opts(out, url, &opt) < 0)
		rc = gitrepo_fail(e, ERR_IO, r->about.repo);
	free(url);
	return rc;
}

/* ---- fetch */

/* Name of the default branch into branch; "" when there is none. */
static void find_branch(git_remote *remote, char branch[GITREPO_BRANCH_MAX])
{
	git_buf name = { 0 };

	branch[0] = '\0';
	if (git_remote_default_branch(&name, remote) == 0 && name.size < GITREPO_BRANCH_MAX)
		(void)snprintf(branch, GITREPO_BRANCH_MAX, "%s", name.ptr);
	git_buf_dispose(&name);
}

static int fetch_branch(struct gitrepo *g, git_remote *remote, const char *branch, struct talk *t,
			struct err *e)
{
	char *spec = mem_printf("+%s:" GITREPO_BRANCH, branch);
	git_strarray specs = { &spec, 1 };
	git_fetch_options opt;
	int rc = 0;

	(void)g;
	git_fetch_options_init(&opt, GIT_FETCH_OPTIONS_VERSION);
	opt.download_tags = GIT_REMOTE_DOWNLOAD_TAGS_NONE;
	opt.update_fetchhead = 0;
	set_callbacks(&opt.callbacks, t);
	if (git_remote_fetch(remote, &specs, &opt, "quern: fetch") < 0)
		rc = explain(t, e);
	free(spec);
	return rc;
}

/* Nothing there: nothing here, whatever an earlier repository of this name had. */
static int forget_branch(struct gitrepo *g, struct err *e)
{
	int rc = git_reference_remove(g->repo, GITREPO_BRANCH);

	return rc < 0 && rc != GIT_ENOTFOUND ? gitrepo_fail(e, ERR_IO, g->path) : 0;
}

int gitrepo_fetch(struct gitrepo *g, const struct gitrepo_remote *r,
		  char branch[GITREPO_BRANCH_MAX], char head[GITREPO_ID], struct err *e)
{
	git_remote_callbacks cb;
	git_remote *remote = NULL;
	struct talk t;
	int rc = open_remote(g, r, &remote, e);

	if (rc < 0)
		return rc;
	talk_init(&t, r);
	git_remote_init_callbacks(&cb, GIT_REMOTE_CALLBACKS_VERSION);
	set_callbacks(&cb, &t);
	if (git_remote_connect(remote, GIT_DIRECTION_FETCH, &cb, NULL, NULL) < 0) {
		rc = explain(&t, e);
	} else {
		find_branch(remote, branch);
		rc = *branch ? fetch_branch(g, remote, branch, &t, e) : forget_branch(g, e);
	}
	if (rc >= 0)
		rc = gitrepo_head(g, head, e);
	if (rc >= 0 && !*branch)
		(void)snprintf(branch, GITREPO_BRANCH_MAX, "%s", GITREPO_BRANCH);
	git_remote_free(remote);
	talk_release(&t);
	return rc;
}

/* ---- push */

/* The server's words in one line, without git's "remote: " and the hook's empty lines. */
static void one_line(const char *text, char *out, size_t size)
{
	size_t n = 0;

	for (; *text && n + 1 < size; text++) {
		char c = *text == '\n' || *text == '\r' || *text == '\t' ? ' ' : *text;

		if (c == ' ' && (n == 0 || out[n - 1] == ' '))
			continue;
		out[n++] = c;
	}
	while (n > 0 && out[n - 1] == ' ')
		n--;
	out[n] = '\0';
}

static bool is_conflict(const char *refusal)
{
	/* git's builtin/receive-pack.c and builtin/send-pack.c; servers of others keep to them */
	static const char *const words[] = { "non-fast-forward",     "fetch first",
					     "failed to update ref", "stale info",
					     "cannot lock ref",	     "failed to lock" };

	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		if (strstr(refusal, words[i]))
			return true;
	return false;
}

static int say_refused(const struct talk *t, struct err *e)
{
	const char *repo = t->base.remote->about.repo;
	char line[600], refusal[200], shown[600];

	if (is_conflict(t->refusal))
		return err_set(e, ERR_CONFLICT, "%s: another writer moved the branch", repo);
	one_line(buf_str(&t->words), line, sizeof(line));
	text_visible(line, shown, sizeof(shown));
	text_visible(t->refusal, refusal, sizeof(refusal));
	return err_set(e, ERR_INVALID, "%s: the server refuses the push (%s)%s%s", repo, refusal,
		       *shown ? ": " : "", shown);
}

/* How a push that libgit2 calls failed has ended. */
static int say_failed(const struct talk *t, int git_rc, struct err *e)
{
	enum http_fault_class class = t->base.fault.class;

	if (git_rc == GIT_ENONFASTFORWARD)
		return err_set(e, ERR_CONFLICT, "%s: another writer moved the branch",
			       t->base.remote->about.repo);
	if (t->base.pushing && t->base.err.code < 0 &&
	    (class == HTTP_FAULT_RETRY || class == HTTP_FAULT_PROTOCOL))
		return err_set(e, ERR_CONFLICT, "%s: perhaps not pushed: %.700s",
			       t->base.remote->about.repo, t->base.err.msg);
	return explain(t, e);
}

static int push_ref(git_remote *remote, const char *branch, struct talk *t, struct err *e)
{
	char *spec = mem_printf(SENT_REF ":%s", branch);
	git_strarray specs = { &spec, 1 };
	git_push_options opt;
	int rc;

	git_push_options_init(&opt, GIT_PUSH_OPTIONS_VERSION);
	set_callbacks(&opt.callbacks, t);
	rc = git_remote_push(remote, &specs, &opt);
	free(spec);
	if (t->refusal)
		return say_refused(t, e);
	return rc < 0 ? say_failed(t, rc, e) : 0;
}

static int mark_sent(struct gitrepo *g, const char *commit, struct err *e)
{
	git_reference *ref = NULL;
	git_oid id;
	int rc = 0;

	if (git_oid_fromstr(&id, commit) < 0 ||
	    git_reference_create(&ref, g->repo, SENT_REF, &id, 1, "quern: push") < 0)
		rc = gitrepo_fail(e, ERR_IO, g->path);
	git_reference_free(ref);
	return rc;
}

int gitrepo_push(struct gitrepo *g, const struct gitrepo_remote *r, const char *commit,
		 const char *branch, struct err *e)
{
	git_remote *remote = NULL;
	struct talk t;
	int rc = mark_sent(g, commit, e);

	if (rc >= 0)
		rc = open_remote(g, r, &remote, e);
	if (rc < 0)
		return rc;
	talk_init(&t, r);
	rc = push_ref(remote, branch, &t, e);
	git_remote_free(remote);
	talk_release(&t);
	return rc;
}
