/* Any bytes of a server, in two pieces: the parser ends with an answer or a sentence, and the same
 * bytes in one piece end in the same way. What it made of them can be judged. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "orchestrator/measure/chat.h"
#include "orchestrator/measure/garbage.h"
#include "orchestrator/measure/sse.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static double now(void)
{
	static double t;

	return t += 1;
}

static int read_all(const char *text, size_t size, size_t first, struct buf *said, struct err *e)
{
	struct measure_answer x = { .prompt_tokens = -1, .new_tokens = -1, .cached_tokens = -1 };
	struct chat c;
	struct sse s;
	int rc;

	buf_init(&x.text, 1 << 16);
	chat_begin(&c, &x, 16, now);
	sse_init(&s, 1 << 14);
	rc = sse_feed(&s, text, first, chat_event, &c, e);
	if (rc >= 0)
		rc = sse_feed(&s, text + first, size - first, chat_event, &c, e);
	if (rc >= 0)
		rc = chat_end(&c, e);
	if (rc >= 0 && (x.prompt_tokens < -1 || x.new_tokens < -1 || x.generate_ms < -1))
		abort();
	if (x.text.len)
		buf_add(said, x.text.data, x.text.len);
	chat_release(&c);
	sse_release(&s);
	buf_release(&x.text);
	return rc;
}

static void judge(const struct buf *said)
{
	static const char *const languages[] = { NULL, "en", "zh", "ru" };
	char why[GARBAGE_WHY_MAX];

	for (size_t i = 0; i < 4; i++) {
		const struct garbage_question q = { .prompt = "Why is water wet? \xe6\xb0\xb4",
						    .language = languages[i] };
		enum garbage g = garbage_look(&q, buf_str(said), said->len, why);

		if ((g == GARBAGE_NONE) != (why[0] == '\0') || strlen(why) >= GARBAGE_WHY_MAX)
			abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *)data;
	struct err e = ERR_INIT, f = ERR_INIT;
	struct buf once, twice;
	int rc;

	buf_init(&once, 1 << 17);
	buf_init(&twice, 1 << 17);
	rc = read_all(text, size, size, &once, &e);
	if (rc < 0 && (e.code != rc || !e.msg[0]))
		abort();
	if (read_all(text, size, size / 3, &twice, &f) != rc || once.len != twice.len ||
	    (once.len && memcmp(once.data, twice.data, once.len) != 0))
		abort();
	judge(&once);
	buf_clear(&once);
	buf_add(&once, text, size < 4096 ? size : 4096); /* as if it had been the answer */
	judge(&once);
	buf_release(&once);
	buf_release(&twice);
	return 0;
}
