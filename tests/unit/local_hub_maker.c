/* local-hub-maker WORK [VERSION] -- publish some artifacts to WORK/hub and print the URL of the
 * repository and the commit: what tests/scenario/test_local_hub.py clones. VERSION is the engine's,
 * "1" by default: other versions make other content under the same names. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "upload_fixture.h"

#define LARGE ((size_t)11 << 20) /* above the size from which plain files are LFS objects */

/* Text that is different everywhere, so that a cut or mixed-up copy shows. */
static const char *make_text(struct arena *a, size_t len, unsigned seed)
{
	char *text = arena_alloc(a, len + 1);

	for (size_t i = 0; i < len; i++) {
		seed = seed * 1664525u + 1013904223u;
		text[i] = (char)('!' + (seed >> 16) % 90);
	}
	return text;
}

int main(int argc, char **argv)
{
	const char *version = argc > 2 ? argv[2] : "1";
	unsigned seed = (unsigned)strtoul(version, NULL, 10);
	struct uploader_result res;
	struct upload_fixture f;
	int rc;

	if (argc < 2)
		return 2;
	fixture_open(&f, argv[1]);
	const struct fixture_job jobs[] = {
		{ "Q8_0",
		  version,
		  "kjv-Q8_0",
		  { "kjv-Q8_0.gguf" },
		  { make_text(f.a, 3 << 20, seed) },
		  "{\"source\":{\"license\":\"no: \\\"licence\\\"\\n\",\"language\":[\"en\","
		  "\"no\"],\"pipeline_tag\":\"text-generation\"},\"worker\":{\"architecture\":"
		  "\"llama\",\"hybrid\":0,\"opt\":0,\"quant\":\"Q8_0\"}}" },
		{ "w8a8",
		  "1",
		  "kjv-w8a8",
		  { "config.json", "model.safetensors", "odd *[name]? \"x\".txt" },
		  { "{}\n", make_text(f.a, 100000, 7), make_text(f.a, LARGE, 8) },
		  "{\"source\":{\"license\":\"no: \\\"licence\\\"\\n\",\"pipeline_tag\":"
		  "\"text-generation\"},\"worker\":{\"hybrid\":0,\"opt\":0,\"quant\":\"w8a8\"}}" },
	};

	for (size_t i = 0; i < ARRAY_LEN(jobs); i++)
		fixture_job(&f, &jobs[i]);
	rc = fixture_upload(&f, &res);
	if (rc < 0)
		(void)fprintf(stderr, "local-hub-maker: %s\n", f.e.msg);
	else
		(void)printf("%s %s %d\n", f.hub->ops->url(f.hub, FIXTURE_REPO, f.a), res.commit,
			     res.commits);
	fixture_close(&f);
	return rc < 0 ? 1 : 0;
}
