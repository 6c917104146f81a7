#include "upload/base64.h"

#include <stdint.h>

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

#define GROUPS 1024 /* of 3 bytes, at a time */

static void encode_group(const unsigned char *p, size_t n, char out[4])
{
	uint32_t v = (uint32_t)p[0] << 16;

	if (n > 1)
		v |= (uint32_t)p[1] << 8;
	if (n > 2)
		v |= p[2];
	out[0] = digits[v >> 18];
	out[1] = digits[v >> 12 & 63];
	out[2] = n > 1 ? digits[v >> 6 & 63] : '=';
	out[3] = n > 2 ? digits[v & 63] : '=';
}

int base64_add(struct buf *b, const void *p, size_t n)
{
	const unsigned char *in = p;
	char out[4 * GROUPS];

	while (n > 0) {
		size_t used = 0;

		for (; n > 0 && used < sizeof(out); used += 4) {
			size_t take = n < 3 ? n : 3;

			encode_group(in, take, out + used);
			in += take;
			n -= take;
		}
		if (buf_add(b, out, used) < 0)
			return -1;
	}
	return 0;
}
