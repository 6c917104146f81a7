#include "orchestrator/command/upload_options.h"

struct hub_options upload_hub_options(const struct config *c)
{
	return (struct hub_options){ .work = c->work,
				     .jobs = c->upload.jobs,
				     .pull_request = c->upload.pull_request != 0,
				     .user = c->upload.user[0] ? c->upload.user : NULL };
}

struct uploader_options upload_options(const struct config *c)
{
	return (struct uploader_options){ .work = c->work,
					  .hub_name = c->upload.hub,
					  .is_private = c->upload.is_private,
					  .drop = config_drops_artifacts(c),
					  .exclude = c->upload.exclude.v,
					  .n_exclude = c->upload.exclude.n,
					  .quantized_by = c->upload.quantized_by,
					  .template_name = c->upload.card,
					  .template_text = c->upload.card_text };
}

int upload_check_token(const struct config *c, struct err *e)
{
	if (c->upload.kind == HUB_NONE)
		return 0;
	return hub_check_token(c->upload.hub, e);
}
