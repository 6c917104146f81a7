#include "workers/fake/merges.h"

#include <stdio.h>
#include <string.h>

/* Short and common, so that ordinary English needs fewer tokens than bytes. '_' is the space. */
static const char words[] =
	"_the _of _and _to _in _is _that _it _was _for _on _are _as _with _his _they _at _be _this "
	"_have _from _or _one _had _by _word _but _not _what _all _were _we _when _your _can _said "
	"_there _use _an _each _which _she _do _how _their _if _will _up _other _about _out _many "
	"_then _them _these _so _some _her _would _make _like _him _into _time _has _look _two "
	"_more "
	"_write _go _see _number _no _way _could _people _my _than _first _water _been _call _who "
	"_its _now _find _long _down _day _did _get _come _made _may _part _model _weight _file "
	"ing tion er ed es ly ment able ness ous al";

static int is_new(const struct fake_merges *m, const char *left, char right)
{
	for (size_t i = 0; i < m->n; i++) {
		if (m->v[i].right == right && strcmp(m->v[i].left, left) == 0)
			return 0;
	}
	return 1;
}

void fake_merges_make(struct fake_merges *m, uint64_t max)
{
	const char *p = words;

	m->n = 0;
	if (max > FAKE_MERGES_MAX)
		max = FAKE_MERGES_MAX;
	while (*p) {
		size_t len = strcspn(p, " ");

		for (size_t k = 1; k < len && m->n < max; k++) {
			char left[FAKE_PIECE_MAX];

			snprintf(left, sizeof(left), "%.*s", (int)k, p);
			if (!is_new(m, left, p[k]))
				continue;
			memcpy(m->v[m->n].left, left, sizeof(left));
			m->v[m->n++].right = p[k];
		}
		p += len;
		p += *p == ' ';
	}
}
